//! Controllers: buses that other devices sit on.

use xml::text_enum;

use super::disk::IothreadMapping;
use super::info::{DeviceInfo, VirtioOptions};

text_enum! {
    /// Bus that the controller offers.
    pub enum ControllerKind {
        Ide = "ide", Fdc = "fdc", Scsi = "scsi", Sata = "sata", VirtioSerial = "virtio-serial", Ccid = "ccid", Usb = "usb", Pci = "pci",
        Xenbus = "xenbus", Isa = "isa", Nvme = "nvme",
    }
}
text_enum! {
    /// Model, over all kinds; the words of different kinds do not clash but for the virtio ones.
    pub enum ControllerModel {
        // pci
        PciRoot = "pci-root", PcieRoot = "pcie-root", PciBridge = "pci-bridge", DmiToPciBridge = "dmi-to-pci-bridge",
        PcieToPciBridge = "pcie-to-pci-bridge", PcieRootPort = "pcie-root-port", PcieSwitchUpstreamPort = "pcie-switch-upstream-port",
        PcieSwitchDownstreamPort = "pcie-switch-downstream-port", PciExpanderBus = "pci-expander-bus", PcieExpanderBus = "pcie-expander-bus",
        // usb
        Piix3Uhci = "piix3-uhci", Piix4Uhci = "piix4-uhci", Ehci = "ehci", Ich9Ehci1 = "ich9-ehci1", Ich9Uhci1 = "ich9-uhci1",
        Ich9Uhci2 = "ich9-uhci2", Ich9Uhci3 = "ich9-uhci3", Vt82c686bUhci = "vt82c686b-uhci", PciOhci = "pci-ohci", NecXhci = "nec-xhci",
        Qusb1 = "qusb1", Qusb2 = "qusb2", QemuXhci = "qemu-xhci", None = "none",
        // scsi
        Auto = "auto", Buslogic = "buslogic", LsiLogic = "lsilogic", LsiSas1068 = "lsisas1068", Vmpvscsi = "vmpvscsi", IbmVscsi = "ibmvscsi",
        VirtioScsi = "virtio-scsi", LsiSas1078 = "lsisas1078", VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional", Ncr53c90 = "ncr53c90", Dc390 = "dc390", Am53c974 = "am53c974",
        // ide
        Piix3 = "piix3", Piix4 = "piix4", Ich6 = "ich6",
        // virtio-serial
        Virtio = "virtio",
    }
}
text_enum! {
    /// QEMU device behind a PCI controller.
    pub enum PciModelName {
        None = "none", PciBridge = "pci-bridge", I82801b11Bridge = "i82801b11-bridge", Ioh3420 = "ioh3420", X3130Upstream = "x3130-upstream",
        Xio3130Downstream = "xio3130-downstream", Pxb = "pxb", PxbPcie = "pxb-pcie", PcieRootPort = "pcie-root-port",
        SpaprPciHostBridge = "spapr-pci-host-bridge", PciePciBridge = "pcie-pci-bridge",
    }
}

/// Details of a PCI controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PciOptions {
    pub model_name: Option<PciModelName>,
    pub chassis_nr: Option<u32>,
    pub chassis: Option<u32>,
    pub port: Option<u32>,
    pub bus_nr: Option<u32>,
    /// Index of a pseries host bridge.
    pub target_index: Option<u32>,
    pub hotplug: Option<bool>,
    pub numa_node: Option<u32>,
    pub pcihole64_kib: Option<u64>,
    pub mem_reserve_kib: Option<u64>,
}

/// `<controller>`
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerDef {
    pub kind: ControllerKind,
    /// `None` until post-parse numbers it.
    pub index: Option<u32>,
    pub model: Option<ControllerModel>,
    pub queues: Option<u32>,
    pub cmd_per_lun: Option<u32>,
    pub max_sectors: Option<u32>,
    pub ioeventfd: Option<bool>,
    pub iothread: Option<u32>,
    pub iothreads: Vec<IothreadMapping>,
    pub virtio: VirtioOptions,
    /// USB, virtio-serial.
    pub ports: Option<u32>,
    pub vectors: Option<u32>,
    pub max_grant_frames: Option<u32>,
    pub max_event_channels: Option<u32>,
    /// NVMe.
    pub serial: Option<String>,
    pub pci: PciOptions,
    pub info: DeviceInfo,
}

impl ControllerDef {
    /// A controller with nothing but kind, index and model.
    pub fn new(kind: ControllerKind, index: Option<u32>, model: Option<ControllerModel>) -> Self {
        Self {
            kind, index, model, queues: None, cmd_per_lun: None, max_sectors: None, ioeventfd: None, iothread: None, iothreads: Vec::new(),
            virtio: VirtioOptions::default(), ports: None, vectors: None, max_grant_frames: None, max_event_channels: None, serial: None,
            pci: PciOptions::default(), info: DeviceInfo::default(),
        }
    }

    /// The number, 0 when not numbered yet.
    pub fn number(&self) -> u32 {
        self.index.unwrap_or(0)
    }
}
