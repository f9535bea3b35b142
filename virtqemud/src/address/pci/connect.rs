//! What kind of slot each device wants.

use conf::domain::DomainDef;
use conf::domain::device::chardev::SerialType;
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel};
use conf::domain::device::disk::{DiskBus, DiskDef, DiskModel};
use conf::domain::device::filesystem::{FilesystemDef, FilesystemDriver};
use conf::domain::device::hostdev::{HostdevDef, HostdevSource, MdevModel, ScsiHostModel};
use conf::domain::device::info::VirtioModel;
use conf::domain::device::input::InputBus;
use conf::domain::device::interface::{InterfaceDef, InterfaceKind};
use conf::domain::device::iommu::IommuModel;
use conf::domain::device::memballoon::MemballoonModel;
use conf::domain::device::memory::MemoryModel;
use conf::domain::device::panic::PanicModel;
use conf::domain::device::sound::SoundModel;
use conf::domain::device::video::VideoModel;
use conf::domain::device::vsock::VsockModel;
use conf::domain::device::watchdog::WatchdogModel;

pub use super::bus::Connect;
use crate::address::machine;

const NONE: Connect = Connect(0);
/// Any plain PCI device.
pub const PCI: Connect = Connect::PCI_DEVICE.or(Connect::HOTPLUGGABLE).or(Connect::AUTOASSIGN);
/// Any PCI Express device.
pub const PCIE: Connect = Connect::PCIE_DEVICE.or(Connect::HOTPLUGGABLE).or(Connect::AUTOASSIGN);

/// Wishes by kind of root bus.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// What a device that can do PCI Express wants here.
    express: Connect,
}

impl Wishes {
    /// For this guest's root bus.
    pub fn of(def: &DomainDef) -> Wishes {
        Wishes { express: if machine::has_pcie_root(def) { PCIE } else { PCI } }
    }

    /// Transitional virtio devices only work in plain PCI slots.
    pub fn virtio(self, model: Option<VirtioModel>) -> Connect {
        if model == Some(VirtioModel::Transitional) { PCI } else { self.express }
    }

    pub fn controller(self, controller: &ControllerDef) -> Connect {
        use ControllerKind as K;
        use ControllerModel as M;
        let model = controller.model;
        match controller.kind {
            K::Pci => model.map_or(NONE, bridge),
            K::Usb => match model {
                Some(M::NecXhci | M::QemuXhci) => self.express,
                Some(M::None | M::Qusb1 | M::Qusb2) => NONE,
                _ => PCI,
            },
            K::Scsi => match model {
                Some(M::VirtioScsi | M::VirtioNonTransitional) => self.express,
                Some(M::IbmVscsi) => NONE,
                _ => PCI,
            },
            K::VirtioSerial => match model {
                Some(M::VirtioTransitional) => PCI,
                _ => self.express,
            },
            K::Ide | K::Sata => PCI,
            K::Nvme => self.express,
            K::Fdc | K::Ccid | K::Xenbus | K::Isa => NONE,
        }
    }

    pub fn interface(self, interface: &InterfaceDef) -> Connect {
        if interface.kind == InterfaceKind::Hostdev {
            return self.express;
        }
        match interface.model.as_deref() {
            Some("virtio-transitional") => PCI,
            Some("virtio" | "virtio-non-transitional" | "e1000e" | "igb") => self.express,
            Some("usb-net" | "spapr-vlan" | "lan9118" | "smc91c111") => NONE,
            Some(
                "rtl8139" | "e1000" | "e1000-82544gc" | "e1000-82545em" | "vmxnet" | "vmxnet2" | "vmxnet3" | "vlance",
            )
            | None => PCI,
            _ => self.express,
        }
    }

    pub fn disk(self, disk: &DiskDef) -> Connect {
        match (disk.bus, disk.model) {
            (Some(DiskBus::Virtio), Some(DiskModel::Transitional)) => PCI,
            (Some(DiskBus::Virtio), _) => self.express,
            _ => NONE,
        }
    }

    pub fn filesystem(self, filesystem: &FilesystemDef) -> Connect {
        if filesystem.driver == Some(FilesystemDriver::Mtp) { NONE } else { self.virtio(filesystem.model) }
    }

    pub fn sound(self, model: SoundModel) -> Connect {
        match model {
            SoundModel::Es1370 | SoundModel::Ac97 | SoundModel::Ich6 | SoundModel::Ich9 => PCI,
            SoundModel::Virtio => self.express,
            SoundModel::Sb16 | SoundModel::Usb | SoundModel::PcSpk | SoundModel::Ich7 => NONE,
        }
    }

    pub fn video(self, model: Option<VideoModel>) -> Connect {
        match model {
            Some(VideoModel::Virtio) => self.express,
            Some(VideoModel::Bochs) => self.express,
            None | Some(VideoModel::Default | VideoModel::None | VideoModel::Ramfb | VideoModel::Gop) => NONE,
            Some(_) => PCI,
        }
    }

    pub fn hostdev(self, hostdev: &HostdevDef) -> Connect {
        match &hostdev.source {
            HostdevSource::Pci { .. } => self.express,
            HostdevSource::Mdev { model: MdevModel::VfioPci, .. } => self.express,
            HostdevSource::ScsiHost { model: Some(ScsiHostModel::Transitional), .. } => PCI,
            HostdevSource::ScsiHost { .. } => self.express,
            _ => NONE,
        }
    }

    pub fn memballoon(self, model: MemballoonModel) -> Connect {
        match model {
            MemballoonModel::Transitional => PCI,
            MemballoonModel::Virtio | MemballoonModel::NonTransitional => self.express,
            MemballoonModel::Xen | MemballoonModel::None => NONE,
        }
    }

    pub fn watchdog(self, model: WatchdogModel) -> Connect {
        if model == WatchdogModel::I6300esb { PCI } else { NONE }
    }

    pub fn input(self, bus: Option<InputBus>, model: Option<VirtioModel>) -> Connect {
        if bus == Some(InputBus::Virtio) { self.virtio(model) } else { NONE }
    }

    pub fn vsock(self, model: Option<VsockModel>) -> Connect {
        match model {
            Some(VsockModel::Transitional) => PCI,
            None | Some(VsockModel::Default) => NONE,
            Some(_) => self.express,
        }
    }

    pub fn memory(self, model: MemoryModel) -> Connect {
        if matches!(model, MemoryModel::VirtioMem | MemoryModel::VirtioPmem) { self.express } else { NONE }
    }

    pub fn iommu(self, model: IommuModel) -> Connect {
        if model == IommuModel::Virtio { self.integrated() } else { NONE }
    }

    pub fn serial(self, target: Option<SerialType>) -> Connect {
        if target == Some(SerialType::Pci) { PCI } else { NONE }
    }

    pub fn panic(self, model: Option<PanicModel>) -> Connect {
        if model == Some(PanicModel::Pvpanic) { self.integrated() } else { NONE }
    }

    /// Part of the root complex, where there is one.
    fn integrated(self) -> Connect {
        if self.express == PCIE { Connect::PCIE_DEVICE.or(Connect::AUTOASSIGN).or(Connect::INTEGRATED) } else { PCI }
    }

    /// Shared memory.
    pub fn shmem(self) -> Connect {
        PCI
    }

    /// virtio-crypto.
    pub fn crypto(self) -> Connect {
        PCI
    }
}

fn bridge(model: ControllerModel) -> Connect {
    use ControllerModel as M;
    let wish = match model {
        M::PciBridge => Connect::PCI_BRIDGE,
        M::PciExpanderBus => Connect::PCI_EXPANDER_BUS,
        M::DmiToPciBridge => Connect::DMI_TO_PCI_BRIDGE,
        M::PcieToPciBridge => Connect::PCIE_TO_PCI_BRIDGE,
        // Eight root ports share a slot, as functions of one device.
        M::PcieRootPort => Connect::PCIE_ROOT_PORT.or(Connect::AGGREGATE_SLOT),
        M::PcieSwitchUpstreamPort => Connect::PCIE_SWITCH_UPSTREAM_PORT,
        M::PcieSwitchDownstreamPort => Connect::PCIE_SWITCH_DOWNSTREAM_PORT,
        M::PcieExpanderBus => Connect::PCIE_EXPANDER_BUS,
        _ => return NONE,
    };
    wish.or(Connect::AUTOASSIGN)
}
