//! I/O memory management units.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;

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

impl IommuDef {
    /// Reads `<iommu>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let model = node.required_word("model")?;
        let driver = node.child("driver");
        let option = |name: &str| driver.map(|d| d.on_off(name)).transpose().map(Option::flatten);
        Ok(Self {
            model,
            intremap: option("intremap")?,
            caching_mode: option("caching_mode")?,
            eim: option("eim")?,
            iotlb: option("iotlb")?,
            aw_bits: driver.map(|d| d.u32("aw_bits")).transpose()?.flatten(),
            dma_translation: option("dma_translation")?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<iommu>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("iommu", |w| {
            w.attr("model", self.model);
            w.element_if_any("driver", |w| {
                w.on_off("intremap", self.intremap);
                w.on_off("caching_mode", self.caching_mode);
                w.on_off("eim", self.eim);
                w.on_off("iotlb", self.iotlb);
                w.attr_opt("aw_bits", self.aw_bits.filter(|b| *b > 0));
                w.on_off("dma_translation", self.dma_translation);
            });
            self.info.format(w, flags);
        });
    }
}
