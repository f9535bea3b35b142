//! IOMMUs that are devices.

use conf::domain::device::iommu::IommuModel;
use error::Result;

use super::{address, alias};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// The IOMMU; ARM's is a feature of the machine.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let Some(iommu) = &def.devices.iommu else { return Ok(()) };
    let id = alias(&iommu.info);
    match iommu.model {
        IommuModel::Intel => {
            let props = Props::driver("intel-iommu")
                .with("id", id)
                .on_off("intremap", iommu.intremap)
                .maybe("caching-mode", iommu.caching_mode)
                .on_off("eim", iommu.eim)
                .maybe("device-iotlb", iommu.iotlb)
                .nonzero("aw-bits", iommu.aw_bits.unwrap_or(0))
                .maybe("dma-translation", iommu.dma_translation);
            b.device(props);
        }
        IommuModel::Virtio => b.device(address::place(Props::driver("virtio-iommu").with("id", id), def, &iommu.info)),
        IommuModel::Smmuv3 => {}
    }
    Ok(())
}
