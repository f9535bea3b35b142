//! Shared memory devices.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::xml_error;

text_enum! {
    /// Model.
    pub enum ShmemModel { Ivshmem = "ivshmem", IvshmemPlain = "ivshmem-plain", IvshmemDoorbell = "ivshmem-doorbell" }
}
text_enum! {
    /// Role in migration.
    pub enum ShmemRole { Master = "master", Peer = "peer" }
}

/// `<msi>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Msi {
    pub vectors: Option<u32>,
    pub ioeventfd: Option<bool>,
}

/// `<shmem>`
#[derive(Clone, Debug, PartialEq)]
pub struct ShmemDef {
    pub name: String,
    pub model: Option<ShmemModel>,
    pub role: Option<ShmemRole>,
    /// Bytes.
    pub size: Option<u64>,
    /// Socket of the server (`Some(None)`: named after the device).
    pub server: Option<Option<String>>,
    pub msi: Option<Msi>,
    pub info: DeviceInfo,
}

impl ShmemDef {
    /// Reads `<shmem>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let name = node.non_empty("name").ok_or_else(|| xml_error("shmem element must contain 'name' attribute"))?;
        let size = match node.child("size") {
            None => None,
            Some(size) => {
                let text = size.text();
                let value = xml::parse_u64(&text, 10)
                    .ok_or_else(|| xml_error(format!("Invalid value '{text}' for element or attribute './size[1]'")))?;
                Some(crate::size::scaled(value, size.attr("unit"), 1, u64::MAX)?)
            }
        };
        let msi = match node.child("msi") {
            None => None,
            Some(msi) => Some(Msi { vectors: msi.u32("vectors")?, ioeventfd: msi.on_off("ioeventfd")? }),
        };
        Ok(Self {
            name,
            model: node.child("model").map(|m| m.word("type")).transpose()?.flatten(),
            role: node.word("role")?,
            size,
            server: node.child("server").map(|s| s.non_empty("path")),
            msi,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<shmem>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("shmem", |w| {
            w.attr("name", &self.name);
            w.attr_opt("role", self.role);
            w.element("model", |w| w.attr_opt("type", self.model));
            if let Some(size) = self.size.filter(|s| *s > 0) {
                w.leaf_with("size", |w| w.attr("unit", "M"), size >> 20);
            }
            if let Some(path) = &self.server {
                w.element("server", |w| w.attr_opt("path", path.as_deref()));
            }
            if let Some(msi) = &self.msi {
                w.element("msi", |w| {
                    w.attr_opt("vectors", msi.vectors.filter(|v| *v > 0));
                    w.on_off("ioeventfd", msi.ioeventfd);
                });
            }
            self.info.format(w, flags);
        });
    }
}
