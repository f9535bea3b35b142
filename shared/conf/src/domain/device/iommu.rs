//! I/O memory management units.

use xml::text_enum;

use super::info::DeviceInfo;

text_enum! {
    /// Model.
    pub enum IommuModel { Intel = "intel", Smmuv3 = "smmuv3", Virtio = "virtio" }
}

/// `<iommu>`
#[derive(Clone, Debug, PartialEq)]
pub struct IommuDef {
    pub model: IommuModel,
    pub intremap: Option<bool>,
    pub caching_mode: Option<bool>,
    pub eim: Option<bool>,
    pub iotlb: Option<bool>,
    pub aw_bits: Option<u32>,
    pub dma_translation: Option<bool>,
    pub info: DeviceInfo,
}
