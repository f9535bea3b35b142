//! virtio crypto devices.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::{DeviceInfo, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::xml_error;

text_enum! {
    /// Who computes.
    pub enum CryptoBackend { Builtin = "builtin", Lkcf = "lkcf" }
}

/// `<crypto model='virtio' type='qemu'>`
#[derive(Clone, Debug, PartialEq)]
pub struct CryptoDef {
    pub backend: CryptoBackend,
    pub queues: Option<u32>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}

impl CryptoDef {
    /// Reads `<crypto>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        for (name, only) in [("model", "virtio"), ("type", "qemu")] {
            let word = node.required(name)?;
            if word != only {
                return Err(xml::invalid_value(node, name, word, ""));
            }
        }
        let mut backends = node.children("backend");
        let backend = backends.next().ok_or_else(|| xml_error("missing crypto backend"))?;
        if backends.next().is_some() {
            return Err(xml_error("only one crypto backend is supported"));
        }
        Ok(Self {
            backend: backend.required_word("model")?,
            queues: backend.u32_nonzero("queues")?,
            virtio: VirtioOptions::parse(node.child("driver"))?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<crypto>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("crypto", |w| {
            w.attr("model", "virtio");
            w.attr("type", "qemu");
            w.element("backend", |w| {
                w.attr("model", self.backend);
                w.attr_opt("queues", self.queues);
            });
            self.virtio.format_driver(w);
            self.info.format(w, flags);
        });
    }
}
