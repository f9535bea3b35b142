//! The memory balloon.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioOptions};

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
        Self { model, autodeflate: None, free_page_reporting: None, stats_period: None, virtio: VirtioOptions::default(), info: DeviceInfo::default() }
    }
}
