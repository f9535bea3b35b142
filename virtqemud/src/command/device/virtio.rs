//! How a virtio device begins: its name with transport and flavour, then the options that all have.

use conf::domain::device::info::{Address, DeviceInfo, VirtioModel, VirtioOptions};

use crate::command::props::Props;

/// Name with its transport: `virtio-blk` on PCI is `virtio-blk-pci`.
pub fn name(base: &str, info: &DeviceInfo, model: Option<VirtioModel>) -> String {
    let transport = match &info.address {
        Some(Address::Ccw(_)) => "-ccw",
        Some(Address::VirtioMmio) => "-device",
        Some(Address::VirtioS390) => "-s390",
        _ => "-pci",
    };
    let flavour = match model {
        Some(VirtioModel::Transitional) => "-transitional",
        Some(VirtioModel::NonTransitional) => "-non-transitional",
        _ => "",
    };
    format!("{base}{transport}{flavour}")
}

/// The beginning of a virtio device.
pub fn begin(base: &str, info: &DeviceInfo, model: Option<VirtioModel>, options: &VirtioOptions) -> Props {
    with_options(name(base, info, model), options)
}

/// The beginning, under a name that is known.
pub fn with_options(name: String, options: &VirtioOptions) -> Props {
    Props::driver(name)
        .maybe("iommu_platform", options.iommu)
        .maybe("ats", options.ats)
        .maybe("packed", options.packed)
        .maybe("page-per-vq", options.page_per_vq)
}
