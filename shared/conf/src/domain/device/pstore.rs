//! Persistent storage for crash logs (ACPI ERST).

use error::Result;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::xml_error;

/// `<pstore backend='acpi-erst'>`
#[derive(Clone, Debug, PartialEq)]
pub struct PstoreDef {
    pub size_kib: u64,
    pub path: Option<String>,
    pub info: DeviceInfo,
}

impl PstoreDef {
    /// Reads `<pstore>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let backend = node.required("backend")?;
        if backend != "acpi-erst" {
            return Err(xml::invalid_value(node, "backend", backend, ""));
        }
        let size = node.child("size").ok_or_else(|| xml_error("missing element or attribute './size[1]'"))?;
        Ok(Self {
            size_kib: crate::size::memory_kib(size)?,
            path: node.child_text("path"),
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<pstore>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("pstore", |w| {
            w.attr("backend", "acpi-erst");
            w.leaf_opt("path", self.path.as_deref());
            w.leaf_with("size", |w| w.attr("unit", "KiB"), self.size_kib);
            self.info.format(w, flags);
        });
    }
}
