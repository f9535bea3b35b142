//! virtio sockets.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::{DeviceInfo, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;

text_enum! {
    /// Model.
    pub enum VsockModel { Default = "default", Virtio = "virtio", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional" }
}

/// `<vsock>`
#[derive(Clone, Debug, PartialEq)]
pub struct VsockDef {
    pub model: Option<VsockModel>,
    pub cid: Option<u32>,
    pub auto_cid: Option<bool>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}

impl VsockDef {
    /// Reads `<vsock>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let cid = node.child("cid");
        Ok(Self {
            model: node.word("model")?.filter(|m| *m != VsockModel::Default),
            cid: cid.map(|c| c.u32_nonzero("address")).transpose()?.flatten(),
            auto_cid: cid.map(|c| c.yes_no("auto")).transpose()?.flatten(),
            virtio: VirtioOptions::parse(node.child("driver"))?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<vsock>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("vsock", |w| {
            w.attr_opt("model", self.model);
            w.element_if_any("cid", |w| {
                w.yes_no("auto", self.auto_cid);
                w.attr_opt("address", self.cid);
            });
            self.info.format(w, flags);
            self.virtio.format_driver(w);
        });
    }
}
