//! Host devices given to the guest: PCI, USB, SCSI, vhost SCSI, mediated devices.

use xml::text_enum;

use super::info::{DeviceInfo, PciAddress};
use super::interface::Teaming;
use super::source::{Auth, NetworkHost};

text_enum! {
    /// Driver on the host.
    pub enum HostdevDriverName { Default = "default", Kvm = "kvm", Vfio = "vfio", Xen = "xen" }
}
text_enum! {
    /// Kind of mediated device.
    pub enum MdevModel { VfioPci = "vfio-pci", VfioCcw = "vfio-ccw", VfioAp = "vfio-ap" }
}
text_enum! {
    /// Kind of vhost SCSI device.
    pub enum ScsiHostModel { Virtio = "virtio", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional" }
}

/// `<driver name= model=/>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostdevPciDriver {
    pub name: Option<HostdevDriverName>,
    pub model: Option<String>,
}

/// Origin state of a device, kept in status documents so that it can be returned.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OriginStates {
    pub unbind: bool,
    pub removeslot: bool,
    pub reprobe: bool,
}

/// A USB device by identity, place, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsbSource {
    pub vendor_product: Option<(u32, u32)>,
    /// bus, device
    pub address: Option<(u32, u32)>,
    /// bus, port
    pub port: Option<(u32, String)>,
    pub startup_policy: Option<super::disk::StartupPolicy>,
    pub guest_reset: Option<String>,
    /// The address was found by us.
    pub auto_address: bool,
}

/// Where a SCSI device comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ScsiSource {
    Host { adapter: String, bus: u32, target: u32, unit: u64 },
    Iscsi { path: String, hosts: Vec<NetworkHost>, auth: Option<Auth>, initiator_iqn: Option<String> },
}

/// By kind.
#[derive(Clone, Debug, PartialEq)]
pub enum HostdevSource {
    Pci { address: PciAddress, driver: HostdevPciDriver, states: OriginStates },
    Usb(UsbSource),
    Scsi { source: ScsiSource, rawio: Option<bool>, sgio: Option<super::disk::Sgio> },
    ScsiHost { wwpn: String, model: Option<ScsiHostModel> },
    Mdev { uuid: [u8; 16], model: MdevModel, display: Option<bool>, ramfb: Option<bool> },
}

/// `<hostdev mode='subsystem'>`
#[derive(Clone, Debug, PartialEq)]
pub struct HostdevDef {
    pub source: HostdevSource,
    pub managed: Option<bool>,
    pub readonly: bool,
    pub shareable: bool,
    pub teaming: Option<Teaming>,
    pub info: DeviceInfo,
}
