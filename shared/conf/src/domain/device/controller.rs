//! Controllers: buses that other devices sit on.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::disk::IothreadMapping;
use super::disk_driver::{format_iothread_mapping, parse_iothread_mapping};
use super::info::Allow;
use super::info::{DeviceInfo, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{unsupported, xml_error};

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
            kind,
            index,
            model,
            queues: None,
            cmd_per_lun: None,
            max_sectors: None,
            ioeventfd: None,
            iothread: None,
            iothreads: Vec::new(),
            virtio: VirtioOptions::default(),
            ports: None,
            vectors: None,
            max_grant_frames: None,
            max_event_channels: None,
            serial: None,
            pci: PciOptions::default(),
            info: DeviceInfo::default(),
        }
    }

    /// The number, 0 when not numbered yet.
    pub fn number(&self) -> u32 {
        self.index.unwrap_or(0)
    }
}

impl ControllerModel {
    /// Whether a controller of `kind` can be of this model.
    fn fits(self, kind: ControllerKind) -> bool {
        use ControllerModel as M;
        match kind {
            ControllerKind::Pci => (M::PciRoot..=M::PcieExpanderBus).contains(&self),
            ControllerKind::Usb => (M::Piix3Uhci..=M::None).contains(&self),
            ControllerKind::Scsi => (M::Auto..=M::Am53c974).contains(&self),
            ControllerKind::Ide => (M::Piix3..=M::Ich6).contains(&self),
            ControllerKind::VirtioSerial => {
                matches!(self, M::Virtio | M::VirtioTransitional | M::VirtioNonTransitional)
            }
            _ => false,
        }
    }
}

impl PciOptions {
    fn parse(node: Node<'_>, controller: ControllerModel) -> Result<Self> {
        let mut options = Self::default();
        let mut models = node.children("model");
        if let Some(model) = models.next() {
            if let Some(word) = model.attr("name") {
                options.model_name = Some(
                    PciModelName::from_word(word)
                        .filter(|m| *m != PciModelName::None)
                        .ok_or_else(|| xml::invalid_value(model, "name", word, ""))?,
                );
            }
            if models.next().is_some() {
                return Err(xml_error("Multiple <model> elements in controller definition not allowed"));
            }
        }
        let mut targets = node.children("target");
        if let Some(target) = targets.next() {
            options.chassis_nr = target.u32_base("chassisNr", 0)?;
            options.chassis = target.u32_base("chassis", 0)?;
            options.port = target.u32_base("port", 0)?;
            options.bus_nr = target.u32_base("busNr", 0)?;
            options.target_index = target.u32_base("index", 0)?;
            options.hotplug = target.on_off("hotplug")?;
            options.mem_reserve_kib = target.u64("memReserve")?;
            if let Some(numa) = target.child("node") {
                let text = numa.text();
                let value = xml::parse_u64(&text, 10).and_then(|n| n.try_into().ok());
                options.numa_node = Some(value.ok_or_else(|| xml_error(format!("invalid value '{text}' for <node>")))?);
            }
            if targets.next().is_some() {
                return Err(xml_error("Multiple <target> elements in controller definition not allowed"));
            }
        }
        if let Some(hole) = node.child("pcihole64") {
            if !matches!(controller, ControllerModel::PciRoot | ControllerModel::PcieRoot) {
                return Err(unsupported("Setting the 64-bit PCI hole size is supported only for root PCI controllers"));
            }
            options.pcihole64_kib = Some(crate::size::memory_kib(hole)?);
        }
        Ok(options)
    }

    fn check(&self) -> Result<()> {
        let range = |name: &str, value: Option<u32>, first: u32, last: u32| match value {
            Some(n) if !(first..=last).contains(&n) => {
                Err(unsupported(format!("PCI controller {name} '{n}' out of range - must be {first}-{last}")))
            }
            _ => Ok(()),
        };
        range("chassisNr", self.chassis_nr, 1, 255)?;
        range("chassis", self.chassis, 0, 255)?;
        range("port", self.port, 0, 255)?;
        range("busNr", self.bus_nr, 1, 254)?;
        range("target index", self.target_index, 0, 30)?;
        Ok(())
    }

    fn format(&self, w: &mut Writer) {
        w.element_if_any("model", |w| w.attr_opt("name", self.model_name.filter(|m| *m != PciModelName::None)));
        w.element_if_any("target", |w| {
            w.attr_opt("chassisNr", self.chassis_nr);
            w.attr_opt("chassis", self.chassis);
            w.attr_opt("port", self.port.map(|p| format!("0x{p:x}")));
            w.attr_opt("busNr", self.bus_nr);
            w.attr_opt("index", self.target_index);
            w.on_off("hotplug", self.hotplug);
            w.attr_opt("memReserve", self.mem_reserve_kib);
            w.leaf_opt("node", self.numa_node);
        });
        if let Some(kib) = self.pcihole64_kib {
            w.leaf_with("pcihole64", |w| w.attr("unit", "KiB"), kib);
        }
    }
}

impl ControllerDef {
    /// Reads `<controller>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let kind = node.word("type")?.unwrap_or(ControllerKind::Ide);
        if kind == ControllerKind::Nvme {
            // newer than the API level that we speak
            return Err(xml::invalid_value(node, "type", "nvme", ""));
        }
        let model = match node.attr("model") {
            None => None,
            Some(word) => Some(
                ControllerModel::from_word(word)
                    .filter(|m| m.fits(kind))
                    .ok_or_else(|| unsupported(format!("Unknown model type '{word}'")))?,
            ),
        };
        let index = node.i32_non_negative("index")?.map(i32::cast_unsigned);
        let mut def = Self::new(kind, index, model);
        if let Some(driver) = node.child("driver") {
            def.queues = driver.u32("queues")?;
            def.cmd_per_lun = driver.u32("cmd_per_lun")?;
            def.max_sectors = driver.u32("max_sectors")?;
            def.ioeventfd = driver.on_off("ioeventfd")?;
            def.iothread = driver.u32("iothread")?;
            def.iothreads = parse_iothread_mapping(driver)?;
            def.virtio = VirtioOptions::parse(Some(driver))?;
        }
        match kind {
            ControllerKind::VirtioSerial => {
                def.ports = node.i32_non_negative("ports")?.map(i32::cast_unsigned);
                def.vectors = node.i32_non_negative("vectors")?.map(i32::cast_unsigned);
            }
            ControllerKind::Usb => def.ports = node.u32("ports")?,
            ControllerKind::Xenbus => {
                def.max_grant_frames = node.u32("maxGrantFrames")?;
                def.max_event_channels = node.u32("maxEventChannels")?;
            }
            ControllerKind::Nvme => def.serial = node.child_text("serial"),
            ControllerKind::Pci => {
                let model =
                    def.model.ok_or_else(|| xml_error("Missing required attribute 'model' in element 'controller'"))?;
                def.pci = PciOptions::parse(node, model)?;
                def.pci.check()?;
            }
            _ => {}
        }
        def.info = DeviceInfo::parse(node, ctx, Allow::default())?;
        let root = matches!(def.model, Some(ControllerModel::PciRoot | ControllerModel::PcieRoot));
        if kind == ControllerKind::Pci && root {
            if def.info.address.is_some() {
                return Err(unsupported("pci-root and pcie-root controllers should not have an address"));
            }
            if def.model == Some(ControllerModel::PcieRoot) && def.index.is_some_and(|i| i != 0) {
                return Err(unsupported("pcie-root controller must have index 0"));
            }
        }
        Ok(def)
    }

    /// Writes `<controller>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("controller", |w| {
            w.attr("type", self.kind);
            w.attr_opt("index", self.index);
            w.attr_opt("model", self.model);
            w.attr_opt("ports", self.ports);
            w.attr_opt("vectors", self.vectors);
            w.attr_opt("maxGrantFrames", self.max_grant_frames);
            w.attr_opt("maxEventChannels", self.max_event_channels);
            w.element_if_any("driver", |w| {
                w.attr_opt("queues", self.queues.filter(|n| *n > 0));
                w.attr_opt("cmd_per_lun", self.cmd_per_lun.filter(|n| *n > 0));
                w.attr_opt("max_sectors", self.max_sectors.filter(|n| *n > 0));
                w.on_off("ioeventfd", self.ioeventfd);
                w.attr_opt("iothread", self.iothread.filter(|n| *n > 0));
                self.virtio.format(w);
                format_iothread_mapping(w, &self.iothreads);
            });
            w.leaf_opt("serial", self.serial.as_deref());
            if self.kind == ControllerKind::Pci {
                self.pci.format(w);
            }
            self.info.format(w, flags);
        });
    }
}
