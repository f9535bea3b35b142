//! Memory amounts, tuning and backing.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::fault::{unsupported, xml_detail, xml_error};
use crate::Bitmap;
use crate::size::memory_kib;

/// `<memory>`, `<currentMemory>` and `<maxMemory>` in KiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// What `<memory>` says: initial memory plus memory devices.
    pub total_kib: u64,
    pub current_kib: u64,
    pub max_kib: u64,
    pub slots: u32,
    pub dump_core: Option<bool>,
    /// `<memory>` was there.
    pub total_given: bool,
}

/// `<hugepages><page>`; size 0 means the host's default size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HugePage {
    pub size_kib: u64,
    pub nodes: Option<Bitmap>,
}

text_enum! {
    /// Kind of backing.
    pub enum MemorySource { None = "none", File = "file", Anonymous = "anonymous", Memfd = "memfd" }
}
text_enum! {
    /// When memory is allocated.
    pub enum MemoryAllocation { None = "none", Immediate = "immediate", Ondemand = "ondemand" }
}

/// `<memoryBacking>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryBacking {
    pub hugepages: Option<Vec<HugePage>>,
    pub nosharepages: bool,
    pub locked: bool,
    pub source: Option<MemorySource>,
    pub access: Option<super::device::memory::MemoryAccess>,
    pub allocation: Option<MemoryAllocation>,
    pub allocation_threads: Option<u32>,
    pub discard: bool,
}

/// `<memtune>` in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemTune {
    pub hard_limit: Option<u64>,
    pub soft_limit: Option<u64>,
    pub min_guarantee: Option<u64>,
    pub swap_hard_limit: Option<u64>,
}

fn kib(w: &mut Writer, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        w.leaf_with(name, |w| w.attr("unit", "KiB"), value);
    }
}

impl Memory {
    /// Reads `<memory>`, `<currentMemory>` and `<maxMemory>`.
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let amount = |name: &str| domain.child(name).map(memory_kib).transpose();
        let memory = domain.child("memory");
        let max = domain.child("maxMemory");
        let def = Self {
            total_kib: amount("memory")?.unwrap_or_default(),
            current_kib: amount("currentMemory")?.unwrap_or_default(),
            max_kib: amount("maxMemory")?.unwrap_or_default(),
            slots: match max.and_then(|m| m.attr("slots")) {
                None => 0,
                Some(text) => xml::parse_u64(text, 10)
                    .and_then(|n| n.try_into().ok())
                    .ok_or_else(|| xml_error("Failed to parse memory slot count"))?,
            },
            dump_core: memory.map(|m| m.on_off("dumpCore")).transpose()?.flatten(),
            total_given: memory.is_some(),
        };
        Ok(def)
    }

    /// Writes the three elements.
    pub(super) fn format(&self, w: &mut Writer) {
        if self.max_kib > 0 {
            let attributes = |w: &mut Writer| {
                w.attr_opt("slots", Some(self.slots).filter(|s| *s > 0));
                w.attr("unit", "KiB");
            };
            w.leaf_with("maxMemory", attributes, self.max_kib);
        }
        let attributes = |w: &mut Writer| {
            w.on_off("dumpCore", self.dump_core);
            w.attr("unit", "KiB");
        };
        w.leaf_with("memory", attributes, self.total_kib);
        kib(w, "currentMemory", Some(self.current_kib));
    }
}

impl MemTune {
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let Some(node) = domain.child("memtune") else { return Ok(Self::default()) };
        // the largest value means no limit
        let limit =
            |name: &str| node.child(name).map(memory_kib).transpose().map(|l| l.filter(|k| *k < i64::MAX as u64 >> 10));
        let tune = Self {
            hard_limit: limit("hard_limit")?,
            soft_limit: limit("soft_limit")?,
            min_guarantee: limit("min_guarantee")?,
            swap_hard_limit: limit("swap_hard_limit")?,
        };
        if tune.hard_limit.zip(tune.swap_hard_limit).is_some_and(|(hard, swap)| hard > swap) {
            return Err(unsupported("memtune swap_hard_limit should be greater than or equal to hard_limit"));
        }
        Ok(tune)
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("memtune", |w| {
            kib(w, "hard_limit", self.hard_limit);
            kib(w, "soft_limit", self.soft_limit);
            kib(w, "min_guarantee", self.min_guarantee);
            kib(w, "swap_hard_limit", self.swap_hard_limit);
        });
    }
}

impl MemoryBacking {
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let Some(node) = domain.child("memoryBacking") else { return Ok(Self::default()) };
        let mut def = Self {
            nosharepages: node.child("nosharepages").is_some(),
            locked: node.child("locked").is_some(),
            discard: node.child("discard").is_some(),
            source: node.child("source").map(|s| s.word("type")).transpose()?.flatten(),
            access: node.child("access").map(|a| a.word("mode")).transpose()?.flatten(),
            ..Self::default()
        };
        if let Some(allocation) = node.child("allocation") {
            def.allocation = allocation.word("mode")?;
            def.allocation_threads = allocation.u32("threads")?;
        }
        if let Some(hugepages) = node.child("hugepages") {
            let pages: Result<Vec<_>> = hugepages.children("page").map(HugePage::parse).collect();
            let pages = pages?;
            let masters: Vec<u64> = pages.iter().filter(|p| p.nodes.is_none()).map(|p| p.size_kib).collect();
            if let [first, second, ..] = masters[..] {
                return Err(xml_detail(format!("two master hugepages detected: {first} and {second}")));
            }
            for (at, page) in pages.iter().enumerate() {
                let clash = pages[at + 1..]
                    .iter()
                    .find(|o| page.nodes.as_ref().zip(o.nodes.as_ref()).is_some_and(|(a, b)| a.overlaps(b)));
                if let Some(other) = clash {
                    return Err(xml_detail(format!(
                        "nodeset attribute of hugepages of sizes {} and {} intersect",
                        page.size_kib, other.size_kib
                    )));
                }
            }
            def.hugepages = Some(pages);
        }
        Ok(def)
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("memoryBacking", |w| {
            if let Some(pages) = &self.hugepages {
                w.element("hugepages", |w| pages.iter().filter(|p| p.size_kib > 0).for_each(|p| p.format(w)));
            }
            if self.nosharepages {
                w.empty("nosharepages");
            }
            if self.locked {
                w.empty("locked");
            }
            w.element_if_any("source", |w| w.attr_opt("type", self.source.filter(|s| *s != MemorySource::None)));
            w.element_if_any("access", |w| w.attr_opt("mode", self.access));
            w.element_if_any("allocation", |w| {
                w.attr_opt("mode", self.allocation.filter(|a| *a != MemoryAllocation::None));
                w.attr_opt("threads", self.allocation_threads.filter(|t| *t > 0));
            });
            if self.discard {
                w.empty("discard");
            }
        });
    }
}

impl HugePage {
    fn parse(node: Node<'_>) -> Result<Self> {
        let text = node.required("size")?;
        let value = xml::parse_u64(text, 10)
            .ok_or_else(|| xml_error(format!("Invalid value '{text}' for element or attribute './@size'")))?;
        if value == 0 {
            return Err(xml_detail("hugepage size can't be zero"));
        }
        let nodes = match node.attr("nodeset") {
            None => None,
            Some(text) => Some(
                Bitmap::parse(text)
                    .ok()
                    .filter(|n| !n.is_empty())
                    .ok_or_else(|| unsupported(format!("Invalid value of 'nodeset': {text}")))?,
            ),
        };
        Ok(Self { size_kib: crate::size::kib(value, node.attr("unit"))?, nodes })
    }

    fn format(&self, w: &mut Writer) {
        w.element("page", |w| {
            w.attr("size", self.size_kib);
            w.attr("unit", "KiB");
            w.attr_opt("nodeset", self.nodes.as_ref());
        });
    }
}
