//! The memory balloon.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::{DeviceInfo, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;

text_enum! {
    /// Model.
    pub enum MemballoonModel {
        Virtio = "virtio", Xen = "xen", None = "none", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional",
    }
}

/// `<memballoon>`
#[derive(Clone, Debug, PartialEq)]
pub struct MemballoonDef {
    pub model: MemballoonModel,
    pub autodeflate: Option<bool>,
    pub free_page_reporting: Option<bool>,
    /// Seconds between statistics.
    pub stats_period: Option<u32>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}

impl MemballoonDef {
    /// A plain balloon.
    pub fn new(model: MemballoonModel) -> Self {
        Self {
            model,
            autodeflate: None,
            free_page_reporting: None,
            stats_period: None,
            virtio: VirtioOptions::default(),
            info: DeviceInfo::default(),
        }
    }
}

impl MemballoonDef {
    /// Reads `<memballoon>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        Ok(Self {
            autodeflate: node.on_off("autodeflate")?,
            free_page_reporting: node.on_off("freePageReporting")?,
            stats_period: node.child("stats").map(|s| s.u32("period")).transpose()?.flatten().filter(|p| *p > 0),
            virtio: VirtioOptions::parse(node.child("driver"))?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
            ..Self::new(node.required_word("model")?)
        })
    }

    /// Writes `<memballoon>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("memballoon", |w| {
            w.attr("model", self.model);
            w.on_off("autodeflate", self.autodeflate);
            w.on_off("freePageReporting", self.free_page_reporting);
            w.element_if_any("stats", |w| w.attr_opt("period", self.stats_period));
            self.info.format(w, flags);
            self.virtio.format_driver(w);
        });
    }
}
