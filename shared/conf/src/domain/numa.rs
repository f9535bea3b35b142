//! NUMA: the guest's cells and where their memory comes from.

use error::{Code, Domain, Error, Result};
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::device::memory::MemoryAccess;
use super::fault::{unsupported, xml_error};
use super::vcpu::Placement;
use crate::Bitmap;
use crate::FormatFlags;

text_enum! {
    /// Memory policy.
    pub enum NumaMode { Strict = "strict", Preferred = "preferred", Interleave = "interleave", Restrictive = "restrictive" }
}

/// `<memory>` of `<numatune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumaMemory {
    pub mode: Option<NumaMode>,
    pub placement: Option<Placement>,
    pub nodes: Option<Bitmap>,
}

/// `<memnode>`
#[derive(Clone, Debug, PartialEq)]
pub struct MemNode {
    pub cell: u32,
    pub mode: NumaMode,
    pub nodes: Bitmap,
}

/// `<numatune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumaTune {
    pub memory: Option<NumaMemory>,
    pub nodes: Vec<MemNode>,
}

text_enum! {
    /// Cache associativity.
    pub enum CacheAssociativity { None = "none", Direct = "direct", Full = "full" }
}
text_enum! {
    /// Cache write policy.
    pub enum CachePolicy { None = "none", Writeback = "writeback", Writethrough = "writethrough" }
}

/// `<cache>` of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct NumaCache {
    pub level: u32,
    pub size_kib: u64,
    pub line_bytes: u64,
    pub associativity: CacheAssociativity,
    pub policy: CachePolicy,
}

/// `<cell>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumaCell {
    pub cpus: Option<Bitmap>,
    pub memory_kib: u64,
    pub access: Option<MemoryAccess>,
    pub discard: Option<bool>,
    /// Distances to cells by number.
    pub distances: Vec<(u32, u32)>,
    pub caches: Vec<NumaCache>,
}

text_enum! {
    /// What is measured.
    pub enum InterconnectKind { Access = "access", Read = "read", Write = "write" }
}

/// `<latency>` (value in ns) or `<bandwidth>` (value in KiB/s)
#[derive(Clone, Debug, PartialEq)]
pub struct Interconnect {
    pub bandwidth: bool,
    pub initiator: u32,
    pub target: u32,
    pub cache: Option<u32>,
    pub kind: InterconnectKind,
    pub value: u64,
}

/// `<numa>` below `<cpu>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numa {
    pub cells: Vec<NumaCell>,
    pub interconnects: Vec<Interconnect>,
}

fn xml_property(detail: String) -> Error {
    Error::new(Domain::Xml, Code::XmlError, detail)
}

fn numa_mode(node: Node<'_>) -> Result<NumaMode> {
    let Some(word) = node.attr("mode") else { return Ok(NumaMode::Strict) };
    NumaMode::from_word(word).ok_or_else(|| unsupported(format!("Unsupported NUMA memory tuning mode '{word}'")))
}

fn nodeset(node: Node<'_>, name: &str) -> Result<Option<Bitmap>> {
    let Some(text) = node.attr(name) else { return Ok(None) };
    let set = Bitmap::parse(text)?;
    if set.is_empty() {
        return Err(unsupported(format!("Invalid value of '{name}': {text}")));
    }
    Ok(Some(set))
}

impl NumaTune {
    /// Reads `<numatune>`; `auto`: the vCPUs are placed automatically.
    pub(super) fn parse(domain: Node<'_>, auto: bool) -> Result<Self> {
        let mut def = Self::default();
        let Some(node) = domain.child("numatune") else { return Ok(def) };
        for child in node.children("memnode") {
            let cell = child
                .u32("cellid")?
                .ok_or_else(|| xml_error("Missing required cellid attribute in memnode element"))?;
            if def.nodes.iter().any(|n| n.cell == cell) {
                return Err(xml_error(format!("Multiple memnode elements with cellid {cell}")));
            }
            let mode = numa_mode(child)?;
            let nodes = match child.attr("nodeset") {
                None => return Err(xml_error("Missing required nodeset attribute in memnode element")),
                Some(_) => nodeset(child, "nodeset")?.unwrap_or_default(),
            };
            def.nodes.push(MemNode { cell, mode, nodes });
        }
        def.nodes.sort_by_key(|n| n.cell);
        if let Some(memory) = node.child("memory") {
            let nodes = nodeset(memory, "nodeset")?;
            let given: Option<Placement> = memory.word("placement")?;
            let mode = numa_mode(memory)?;
            let placement = match given {
                Some(p) => p,
                None if nodes.is_some() => Placement::Static,
                None if auto => Placement::Auto,
                None => Placement::Static,
            };
            if placement == Placement::Static && nodes.is_none() {
                if given.is_some() || auto || memory.attr("mode").is_some() {
                    return Err(unsupported("nodeset for NUMA memory tuning must be set if 'placement' is 'static'"));
                }
                return Ok(def);
            }
            let nodes = nodes.filter(|_| placement == Placement::Static);
            def.memory = Some(NumaMemory { mode: Some(mode), placement: Some(placement), nodes });
        } else if !def.nodes.is_empty() {
            return Ok(def);
        }
        def.check_modes()?;
        Ok(def)
    }

    fn check_modes(&self) -> Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        if memory.placement == Some(Placement::Auto) && !self.nodes.is_empty() {
            return Err(unsupported("Per-node binding is not compatible with automatic NUMA placement."));
        }
        let restrictive = memory.mode == Some(NumaMode::Restrictive);
        if restrictive && self.nodes.iter().any(|n| n.mode != NumaMode::Restrictive) {
            return Err(xml_error(
                "'restrictive' mode is required in memnode element when mode is 'restrictive' in memory element",
            ));
        }
        Ok(())
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("numatune", |w| {
            if let Some(memory) = &self.memory {
                w.element("memory", |w| {
                    w.attr_opt("mode", memory.mode);
                    match &memory.nodes {
                        Some(nodes) => w.attr("nodeset", nodes),
                        None => w.attr_opt("placement", memory.placement),
                    }
                });
            }
            for node in &self.nodes {
                w.element("memnode", |w| {
                    w.attr("cellid", node.cell);
                    w.attr("mode", node.mode);
                    w.attr("nodeset", &node.nodes);
                });
            }
        });
    }
}

impl NumaCache {
    fn parse(node: Node<'_>) -> Result<Self> {
        let scaled = |name: &str, unit: u64| -> Result<u64> {
            let child = node.child(name).ok_or_else(|| xml_error(format!("Missing {name} element in NUMA cache")))?;
            let value = child.u64("value")?.ok_or_else(|| xml::missing_attribute(child, "value"))?;
            Ok(crate::size::scaled(value, child.attr("unit"), unit, u64::MAX)? / unit)
        };
        Ok(Self {
            level: node.u32_nonzero("level")?.ok_or_else(|| xml::missing_attribute(node, "level"))?,
            associativity: node.required_word("associativity")?,
            policy: node.required_word("policy")?,
            size_kib: scaled("size", 1024)?,
            line_bytes: scaled("line", 1)?,
        })
    }

    fn format(&self, w: &mut Writer) {
        w.element("cache", |w| {
            w.attr("level", self.level);
            w.attr("associativity", self.associativity);
            w.attr("policy", self.policy);
            for (name, value, unit) in [("size", self.size_kib, "KiB"), ("line", self.line_bytes, "B")] {
                w.element(name, |w| {
                    w.attr("value", value);
                    w.attr("unit", unit);
                });
            }
        });
    }
}

impl Interconnect {
    fn parse(node: Node<'_>) -> Result<Self> {
        let bandwidth = node.name() == "bandwidth";
        let need = |name: &str| node.u32(name)?.ok_or_else(|| xml::missing_attribute(node, name));
        let value = node.u64_nonzero("value")?.ok_or_else(|| xml::missing_attribute(node, "value"))?;
        Ok(Self {
            bandwidth,
            initiator: need("initiator")?,
            target: need("target")?,
            cache: node.u32_nonzero("cache")?,
            kind: node.required_word("type")?,
            value: if bandwidth {
                crate::size::scaled(value, node.attr("unit"), 1024, u64::MAX)? / 1024
            } else {
                value
            },
        })
    }
}

impl Numa {
    /// Reads `<numa>` below `<cpu>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `INTERNAL_ERROR` as libvirt's.
    pub(super) fn parse(cpu: Option<Node<'_>>) -> Result<Self> {
        let Some(node) = cpu.and_then(|c| c.child("numa")) else { return Ok(Self::default()) };
        let elements: Vec<Node<'_>> = node.children("cell").collect();
        if elements.is_empty() {
            return Err(xml_error("NUMA topology defined without NUMA cells"));
        }
        let count = elements.len();
        let mut cells = vec![None; count];
        for (at, cell) in elements.into_iter().enumerate() {
            let id = cell.u32("id")?.map_or(at, |i| i as usize);
            if id >= count {
                return Err(xml_error(
                    "Exactly one 'cell' element per guest NUMA cell allowed, non-contiguous ranges or ranges not starting from 0 are not allowed",
                ));
            }
            if cells[id].is_some() {
                return Err(xml_error(format!("Duplicate NUMA cell info for cell id '{id}'")));
            }
            cells[id] = Some(NumaCell::parse(cell)?);
        }
        let mut numa = Self { cells: cells.into_iter().flatten().collect(), interconnects: Vec::new() };
        numa.check_cpus()?;
        numa.complete_distances();
        if let Some(list) = node.child("interconnects") {
            numa.interconnects = list
                .elements()
                .filter(|n| n.is("latency"))
                .chain(list.elements().filter(|n| n.is("bandwidth")))
                .map(Interconnect::parse)
                .collect::<Result<_>>()?;
        }
        Ok(numa)
    }

    fn check_cpus(&self) -> Result<()> {
        for (at, cell) in self.cells.iter().enumerate() {
            let clash = self.cells[at + 1..]
                .iter()
                .position(|o| cell.cpus.as_ref().zip(o.cpus.as_ref()).is_some_and(|(a, b)| a.overlaps(b)));
            if let Some(other) = clash {
                return Err(unsupported(format!("NUMA cells {} and {} have overlapping vCPU ids", at, at + 1 + other)));
            }
        }
        Ok(())
    }

    /// A distance that is given one way holds the other way too.
    fn complete_distances(&mut self) {
        if self.cells.iter().all(|c| c.distances.is_empty()) {
            return;
        }
        let count = self.cells.len() as u32;
        let given: Vec<Vec<(u32, u32)>> = self.cells.iter().map(|c| c.distances.clone()).collect();
        let find = |a: u32, b: u32| given[a as usize].iter().find(|(id, _)| *id == b).map(|(_, v)| *v);
        for (at, cell) in (0u32..).zip(&mut self.cells) {
            cell.distances = (0..count)
                .filter_map(|other| {
                    let value = find(at, other).or_else(|| find(other, at)).or((at == other).then_some(10));
                    value.map(|v| (other, v))
                })
                .collect();
        }
    }

    pub(super) fn format(&self, w: &mut Writer, _flags: FormatFlags) {
        w.element_if_any("numa", |w| {
            for (id, cell) in self.cells.iter().enumerate() {
                cell.format(id, w);
            }
            w.element_if_any("interconnects", |w| {
                for link in &self.interconnects {
                    w.element(if link.bandwidth { "bandwidth" } else { "latency" }, |w| {
                        w.attr("initiator", link.initiator);
                        w.attr("target", link.target);
                        w.attr_opt("cache", link.cache);
                        w.attr("type", link.kind);
                        w.attr("value", link.value);
                        w.attr_opt("unit", link.bandwidth.then_some("KiB"));
                    });
                }
            });
        });
    }

    /// Sum of the cells' memory.
    pub fn memory_kib(&self) -> u64 {
        self.cells.iter().fold(0u64, |sum, c| sum.saturating_add(c.memory_kib))
    }
}

impl NumaCell {
    fn parse(node: Node<'_>) -> Result<Self> {
        let cpus = node.attr("cpus").map(Bitmap::parse).transpose()?.filter(|c| !c.is_empty());
        let text =
            node.attr("memory").ok_or_else(|| xml_property("missing element or attribute './@memory'".to_owned()))?;
        let value = xml::parse_u64(text, 10)
            .ok_or_else(|| xml_property(format!("Invalid value '{text}' for element or attribute './@memory'")))?;
        let mut distances = Vec::new();
        if let Some(list) = node.child("distances") {
            for sibling in list.children("sibling") {
                let id = sibling.u32("id")?.ok_or_else(|| xml::missing_attribute(sibling, "id"))?;
                let value = sibling.u32("value")?.ok_or_else(|| xml::missing_attribute(sibling, "value"))?;
                if !(10..=255).contains(&value) {
                    return Err(xml_error(format!("'value {value}' is invalid for sibling id {id} under NUMA cell")));
                }
                distances.push((id, value));
            }
        }
        Ok(Self {
            cpus,
            memory_kib: crate::size::kib(value, node.attr("unit"))?,
            access: node.word("memAccess")?,
            discard: node.yes_no("discard")?,
            distances,
            caches: node.children("cache").map(NumaCache::parse).collect::<Result<_>>()?,
        })
    }

    fn format(&self, id: usize, w: &mut Writer) {
        w.element("cell", |w| {
            w.attr("id", id);
            w.attr_opt("cpus", self.cpus.as_ref());
            w.attr("memory", self.memory_kib);
            w.attr("unit", "KiB");
            w.attr_opt("memAccess", self.access);
            w.yes_no("discard", self.discard);
            w.element_if_any("distances", |w| {
                for (id, value) in &self.distances {
                    w.element("sibling", |w| {
                        w.attr("id", id);
                        w.attr("value", value);
                    });
                }
            });
            self.caches.iter().for_each(|c| c.format(w));
        });
    }
}
