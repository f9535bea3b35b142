//! Memory devices: DIMM, NVDIMM, virtio-pmem, virtio-mem, SGX EPC.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer, missing_attribute};

use super::info::DeviceInfo;
use super::info::{Allow, u64_hex};
use crate::Bitmap;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{internal, xml_error};
use crate::size::memory_kib;

text_enum! {
    /// Model.
    pub enum MemoryModel { Dimm = "dimm", Nvdimm = "nvdimm", VirtioPmem = "virtio-pmem", VirtioMem = "virtio-mem", SgxEpc = "sgx-epc" }
}
text_enum! {
    /// Access of backing memory.
    pub enum MemoryAccess { Shared = "shared", Private = "private" }
}

/// `<memory>` below `<devices>`; sizes in KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryDef {
    pub model: MemoryModel,
    pub access: Option<MemoryAccess>,
    pub discard: Option<bool>,
    pub uuid: Option<[u8; 16]>,
    pub source_nodes: Option<Bitmap>,
    pub page_size_kib: Option<u64>,
    /// Backing file of nvdimm and pmem.
    pub path: Option<String>,
    pub align_size_kib: Option<u64>,
    pub pmem: bool,
    pub size_kib: u64,
    pub target_node: Option<u32>,
    pub label_size_kib: Option<u64>,
    pub readonly: bool,
    pub block_size_kib: Option<u64>,
    pub requested_kib: Option<u64>,
    /// What the running guest has plugged.
    pub current_kib: Option<u64>,
    /// Guest physical address.
    pub base: Option<u64>,
    pub dynamic_memslots: Option<bool>,
    pub info: DeviceInfo,
}

fn kib_at(node: Option<Node<'_>>, path: &[&str]) -> Result<Option<u64>> {
    node.and_then(|n| n.path(path)).map(memory_kib).transpose()
}

impl MemoryDef {
    /// Reads `<memory>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let model: MemoryModel = node.required_word("model")?;
        let access = node.word("access")?;
        let discard = node.yes_no("discard")?;
        let source = node.child("source");
        let path_text = source.and_then(|s| s.child_text("path"));
        let needs_path = matches!(model, MemoryModel::Nvdimm | MemoryModel::VirtioPmem);
        if needs_path && path_text.is_none() {
            return Err(crate::domain::fault::xml_detail(format!("path is required for model '{model}'")));
        }
        let source_nodes = match source.filter(|_| !needs_path).and_then(|s| s.child_text("nodemask")) {
            None => None,
            Some(text) => {
                let nodes = Bitmap::parse(&text)?;
                if nodes.is_empty() {
                    return Err(xml_error(format!("Invalid value of 'nodemask': {text}")));
                }
                Some(nodes)
            }
        };
        let target = node.child("target").ok_or_else(|| xml_error("missing <target> element for <memory> device"))?;
        let size = target.child("size").ok_or_else(|| xml_error("missing element or attribute './size'"))?;
        let uuid = match node.child_text("uuid") {
            None => None,
            Some(text) => Some(xml::parse_uuid(text.trim()).ok_or_else(|| internal("malformed uuid element"))?),
        };
        let address = target.child("address");
        let target_node = match target.child("node") {
            None => None,
            Some(n) => Some(
                xml::parse_u64(&n.text(), 10)
                    .and_then(|n| n.try_into().ok())
                    .ok_or_else(|| xml_error("invalid or missing value of memory device node"))?,
            ),
        };
        Ok(Self {
            model,
            access,
            discard,
            uuid,
            source_nodes,
            page_size_kib: if needs_path { None } else { kib_at(source, &["pagesize"])? },
            path: path_text.filter(|_| needs_path),
            align_size_kib: kib_at(source, &["alignsize"])?,
            pmem: source.is_some_and(|s| s.child("pmem").is_some()),
            size_kib: memory_kib(size)?,
            target_node,
            label_size_kib: kib_at(Some(target), &["label", "size"])?,
            readonly: target.child("readonly").is_some(),
            block_size_kib: kib_at(Some(target), &["block"])?,
            requested_kib: kib_at(Some(target), &["requested"])?,
            current_kib: if ctx.live { kib_at(Some(target), &["current"])? } else { None },
            base: match address {
                None => None,
                Some(a) => Some(u64_hex(a, "base")?.ok_or_else(|| missing_attribute(a, "base"))?),
            },
            dynamic_memslots: target.yes_no("dynamicMemslots")?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<memory>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        let kib = |w: &mut Writer, name: &str, value: Option<u64>| {
            if let Some(value) = value {
                w.leaf_with(name, |w| w.attr("unit", "KiB"), value);
            }
        };
        w.element("memory", |w| {
            w.attr("model", self.model);
            w.attr_opt("access", self.access);
            w.yes_no("discard", self.discard);
            w.leaf_opt("uuid", self.uuid.map(|u| xml::format_uuid(&u)));
            w.element_if_any("source", |w| {
                w.leaf_opt("path", self.path.as_deref());
                kib(w, "alignsize", self.align_size_kib.filter(|k| *k > 0));
                if self.pmem {
                    w.empty("pmem");
                }
                w.leaf_opt("nodemask", self.source_nodes.as_ref());
                kib(w, "pagesize", self.page_size_kib.filter(|k| *k > 0));
            });
            w.element("target", |w| {
                w.yes_no("dynamicMemslots", self.dynamic_memslots);
                kib(w, "size", Some(self.size_kib));
                w.leaf_opt("node", self.target_node);
                if let Some(label) = self.label_size_kib.filter(|k| *k > 0) {
                    w.element("label", |w| kib(w, "size", Some(label)));
                }
                if self.readonly {
                    w.empty("readonly");
                }
                kib(w, "block", self.block_size_kib.filter(|k| *k > 0));
                if self.model == MemoryModel::VirtioMem {
                    kib(w, "requested", Some(self.requested_kib.unwrap_or_default()));
                    kib(w, "current", self.current_kib.filter(|_| !flags.inactive));
                }
                w.element_if_any("address", |w| {
                    w.attr_opt("base", self.base.filter(|b| *b > 0).map(|b| format!("0x{b:x}")))
                });
            });
            self.info.format(w, flags);
        });
    }
}
