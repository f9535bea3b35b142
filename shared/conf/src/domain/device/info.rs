//! What all devices share: alias, guest address, boot order, option ROM.

use xml::text_enum;

/// zPCI identity of a PCI device on s390x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zpci {
    pub uid: Option<u32>,
    pub fid: Option<u32>,
}

/// Guest or host PCI address. As a guest address, bus 0 slot 0 of domain 0 means "some PCI address, please".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u32,
    pub slot: u32,
    pub function: u32,
    pub multifunction: Option<bool>,
    pub zpci: Zpci,
}

impl PciAddress {
    /// Whether domain, bus and slot are zero: no device can sit there, so it only asks for an address.
    pub fn is_empty(&self) -> bool {
        self.domain == 0 && self.bus == 0 && self.slot == 0
    }

    /// `0000:00:01.2`
    pub fn text(&self) -> String {
        format!("{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

/// Place on a disk or SCSI controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriveAddress {
    pub controller: u32,
    pub bus: u32,
    pub target: u32,
    pub unit: u32,
}

/// Place on a virtio-serial controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioSerialAddress {
    pub controller: u32,
    pub bus: u32,
    /// 0 until assigned.
    pub port: u32,
}

/// Place on a smart card controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CcidAddress {
    pub controller: u32,
    pub slot: u32,
}

/// Place on a USB bus: ports from the root down, empty until assigned (at most four).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsbAddress {
    pub bus: u32,
    pub port: Vec<u32>,
}

/// Channel subsystem address of s390x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CcwAddress {
    /// (cssid, ssid, devno) once known.
    pub at: Option<(u32, u32, u32)>,
}

/// ISA port range start and interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsaAddress {
    pub iobase: Option<u32>,
    pub irq: Option<u32>,
}

/// Slot and guest physical base of a memory device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DimmAddress {
    pub slot: u32,
    pub base: u64,
}

/// Where the guest finds the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Pci(PciAddress),
    Drive(DriveAddress),
    VirtioSerial(VirtioSerialAddress),
    Ccid(CcidAddress),
    Usb(UsbAddress),
    /// `reg`, once known.
    SpaprVio(Option<u64>),
    VirtioS390,
    Ccw(CcwAddress),
    VirtioMmio,
    Isa(IsaAddress),
    Dimm(DimmAddress),
    /// The user does not want the device to be seen by the guest yet.
    Unassigned,
}

text_enum! {
    /// Word of each kind of address.
    pub enum AddressKind {
        Pci = "pci", Drive = "drive", VirtioSerial = "virtio-serial", Ccid = "ccid", Usb = "usb", SpaprVio = "spapr-vio",
        VirtioS390 = "virtio-s390", Ccw = "ccw", VirtioMmio = "virtio-mmio", Isa = "isa", Dimm = "dimm", Unassigned = "unassigned",
    }
}

/// Option ROM of a PCI device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rom {
    pub enabled: Option<bool>,
    pub bar: Option<bool>,
    pub file: Option<String>,
}

/// What all devices share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceInfo {
    /// QEMU's id; a user's own begins with `ua-`.
    pub alias: Option<String>,
    pub address: Option<Address>,
    /// Start port of a companion USB controller.
    pub master_start_port: Option<u32>,
    pub boot_index: Option<u32>,
    /// IPL parameter of s390x boot devices.
    pub loadparm: Option<String>,
    pub rom: Option<Rom>,
    pub acpi_index: Option<u32>,
    /// Devices with equal groups must share a PHB (pseries); filled by address assignment.
    pub isolation_group: Option<u32>,
}

impl DeviceInfo {
    /// The PCI address, when it is one.
    pub fn pci(&self) -> Option<&PciAddress> {
        match &self.address {
            Some(Address::Pci(pci)) => Some(pci),
            _ => None,
        }
    }

    /// Whether a PCI address is wanted but not chosen yet.
    pub fn wants_pci(&self) -> bool {
        self.pci().is_some_and(PciAddress::is_empty)
    }

    /// Whether the user gave the alias.
    pub fn has_user_alias(&self) -> bool {
        self.alias.as_deref().is_some_and(|a| a.starts_with("ua-"))
    }
}

impl Address {
    /// Its kind.
    pub fn kind(&self) -> AddressKind {
        match self {
            Self::Pci(_) => AddressKind::Pci,
            Self::Drive(_) => AddressKind::Drive,
            Self::VirtioSerial(_) => AddressKind::VirtioSerial,
            Self::Ccid(_) => AddressKind::Ccid,
            Self::Usb(_) => AddressKind::Usb,
            Self::SpaprVio(_) => AddressKind::SpaprVio,
            Self::VirtioS390 => AddressKind::VirtioS390,
            Self::Ccw(_) => AddressKind::Ccw,
            Self::VirtioMmio => AddressKind::VirtioMmio,
            Self::Isa(_) => AddressKind::Isa,
            Self::Dimm(_) => AddressKind::Dimm,
            Self::Unassigned => AddressKind::Unassigned,
        }
    }
}

/// `<driver iommu= ats= packed= page_per_vq=/>` of virtio devices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VirtioOptions {
    pub iommu: Option<bool>,
    pub ats: Option<bool>,
    pub packed: Option<bool>,
    pub page_per_vq: Option<bool>,
}

text_enum! {
    /// Flavour of a virtio device.
    pub enum VirtioModel { Virtio = "virtio", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional" }
}
