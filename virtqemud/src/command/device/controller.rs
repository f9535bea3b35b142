//! Controllers.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel, PciModelName};
use conf::domain::device::disk::IothreadMapping;
use conf::domain::device::info::VirtioModel;
use error::Result;
use serde_json::{Value, json};

use super::{address, alias, unsupported, virtio};
use crate::address::machine;
use crate::command::plan::Builder;
use crate::command::props::Props;

/// Kinds in the order in which QEMU is told of them: buses before what sits on them.
const ORDER: &[ControllerKind] = &[
    ControllerKind::Pci,
    ControllerKind::Usb,
    ControllerKind::Scsi,
    ControllerKind::Ide,
    ControllerKind::Sata,
    ControllerKind::VirtioSerial,
];

/// Properties of chip set devices that cannot be given with `-device`.
pub fn globals(b: &mut Builder) {
    for root in b.def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Pci) {
        let device = match root.model {
            Some(ControllerModel::PciRoot) if machine::is_i440fx(b.def) => "i440FX-pcihost",
            Some(ControllerModel::PcieRoot) if machine::is_q35(b.def) => "q35-pcihost",
            _ => continue,
        };
        if let Some(kib) = root.pci.pcihole64_kib {
            b.option("-global", format!("{device}.pci-hole64-size={kib}K"));
        }
        if let Some(hotplug) = root.pci.hotplug
            && root.model == Some(ControllerModel::PciRoot)
        {
            b.option("-global", format!("PIIX4_PM.acpi-root-pci-hotplug={}", crate::command::escape::on_off(hotplug)));
        }
    }
}

/// Smart card readers, which are USB devices and may sit on a hub.
pub fn build_readers(b: &mut Builder) -> Result<()> {
    build_kinds(b, &[ControllerKind::Ccid])
}

/// Every other controller that the chip set does not bring.
pub fn build(b: &mut Builder) -> Result<()> {
    build_kinds(b, ORDER)
}

fn build_kinds(b: &mut Builder, kinds: &[ControllerKind]) -> Result<()> {
    let def = b.def;
    for kind in kinds {
        for controller in def.devices.controllers.iter().filter(|c| c.kind == *kind && !built_in(def, c)) {
            if let Some(props) = props(def, controller)? {
                b.device(props);
            }
        }
    }
    Ok(())
}

fn built_in(def: &DomainDef, c: &ControllerDef) -> bool {
    match c.kind {
        ControllerKind::Pci => match c.model {
            Some(ControllerModel::PcieRoot) => true,
            Some(ControllerModel::PciRoot) => !machine::is_pseries(def) || c.pci.target_index == Some(0),
            _ => false,
        },
        // Mainframes keep a USB controller that no QEMU has, from the days of `-usb`.
        ControllerKind::Usb => c.model == Some(ControllerModel::None) || (c.model.is_none() && machine::is_s390(def)),
        ControllerKind::Ide => c.number() == 0 && machine::has_builtin_ide(def),
        ControllerKind::Sata => c.number() == 0 && machine::is_q35(def),
        ControllerKind::Scsi => c.model == Some(ControllerModel::Ncr53c90),
        _ => false,
    }
}

/// Properties of a controller.
pub fn props(def: &DomainDef, c: &ControllerDef) -> Result<Option<Props>> {
    let props = match c.kind {
        ControllerKind::Pci => pci(c)?,
        ControllerKind::Usb => usb(def, c)?,
        ControllerKind::Scsi => scsi(c)?,
        ControllerKind::Ide => ide(c)?,
        ControllerKind::Sata => Props::driver("ahci").with("id", alias(&c.info)),
        ControllerKind::VirtioSerial => virtio::begin("virtio-serial", &c.info, flavour(c.model), &c.virtio)
            .with("id", alias(&c.info))
            .maybe("max_ports", c.ports)
            .maybe("vectors", c.vectors),
        ControllerKind::Ccid => Props::driver("usb-ccid").with("id", alias(&c.info)),
        ControllerKind::Nvme => Props::driver("nvme").with("id", alias(&c.info)).maybe("serial", c.serial.clone()),
        ControllerKind::Fdc | ControllerKind::Xenbus | ControllerKind::Isa => return Ok(None),
    };
    Ok(Some(address::place(props, def, &c.info)))
}

fn flavour(model: Option<ControllerModel>) -> Option<VirtioModel> {
    match model {
        Some(ControllerModel::VirtioTransitional) => Some(VirtioModel::Transitional),
        Some(ControllerModel::VirtioNonTransitional) => Some(VirtioModel::NonTransitional),
        _ => None,
    }
}

fn pci(c: &ControllerDef) -> Result<Props> {
    let id = alias(&c.info);
    let name = c.pci.model_name.ok_or_else(|| unsupported("PCI controller has no device"))?;
    let begin = Props::driver(name.to_string());
    let hotplug = c.pci.hotplug;
    Ok(match name {
        PciModelName::PciBridge => begin.maybe("chassis_nr", c.pci.chassis_nr).with("id", id),
        PciModelName::Pxb | PciModelName::PxbPcie => {
            begin.maybe("bus_nr", c.pci.bus_nr).with("id", id).maybe("numa_node", c.pci.numa_node)
        }
        PciModelName::Ioh3420 | PciModelName::PcieRootPort | PciModelName::Xio3130Downstream => {
            let begin = begin
                .maybe("port", c.pci.port)
                .maybe("chassis", c.pci.chassis)
                .with("id", id)
                .maybe("hotplug", hotplug);
            begin.maybe("mem-reserve", c.pci.mem_reserve_kib.map(|k| k * 1024))
        }
        PciModelName::SpaprPciHostBridge => {
            begin.maybe("index", c.pci.target_index).with("id", id).maybe("numa_node", c.pci.numa_node)
        }
        _ => begin.with("id", id),
    })
}

fn usb(def: &DomainDef, c: &ControllerDef) -> Result<Props> {
    use ControllerModel as M;
    let driver = match c.model {
        None | Some(M::Piix3Uhci) => "piix3-usb-uhci",
        Some(M::Piix4Uhci) => "piix4-usb-uhci",
        Some(M::Ehci) => "usb-ehci",
        Some(M::Ich9Ehci1) => "ich9-usb-ehci1",
        Some(M::Ich9Uhci1) => "ich9-usb-uhci1",
        Some(M::Ich9Uhci2) => "ich9-usb-uhci2",
        Some(M::Ich9Uhci3) => "ich9-usb-uhci3",
        Some(M::Vt82c686bUhci) => "vt82c686b-usb-uhci",
        Some(M::PciOhci) => "pci-ohci",
        Some(M::NecXhci) => "nec-usb-xhci",
        Some(M::QemuXhci) => "qemu-xhci",
        Some(other) => return Err(unsupported(format!("{other} not supported"))),
    };
    let xhci = matches!(c.model, Some(M::NecXhci | M::QemuXhci));
    let ports = c.ports.filter(|_| xhci);
    let begin = Props::driver(driver).maybe("p2", ports).maybe("p3", ports);
    Ok(match c.info.master_start_port {
        // A companion has no name of its own: its ports belong to its master.
        Some(first) => {
            let master = address::controller_alias(def, ControllerKind::Usb, c.number());
            begin.with("masterbus", format!("{master}.0")).with("firstport", first)
        }
        None => begin.with("id", alias(&c.info)),
    })
}

fn scsi(c: &ControllerDef) -> Result<Props> {
    use ControllerModel as M;
    let id = alias(&c.info);
    let plain = match c.model {
        Some(M::VirtioScsi | M::VirtioTransitional | M::VirtioNonTransitional) => {
            return Ok(virtio::begin("virtio-scsi", &c.info, flavour(c.model), &c.virtio)
                .maybe("iothread", c.iothread.map(|n| format!("iothread{n}")))
                .with("id", id)
                .nonzero("num_queues", c.queues.unwrap_or(0))
                .nonzero("cmd_per_lun", c.cmd_per_lun.unwrap_or(0))
                .nonzero("max_sectors", c.max_sectors.unwrap_or(0))
                .maybe("ioeventfd", c.ioeventfd)
                .maybe("iothread-vq-mapping", mapping(&c.iothreads)));
        }
        Some(M::LsiLogic) => "lsi",
        Some(M::IbmVscsi) => "spapr-vscsi",
        Some(M::LsiSas1068) => "mptsas1068",
        Some(M::LsiSas1078) => "megasas",
        Some(M::Vmpvscsi) => "pvscsi",
        Some(M::Am53c974) => "am53c974",
        Some(M::Dc390) => "dc-390",
        Some(other) => return Err(unsupported(format!("Unsupported controller model: {other}"))),
        None => "lsi",
    };
    Ok(Props::driver(plain).with("id", id))
}

fn ide(c: &ControllerDef) -> Result<Props> {
    let driver = match c.model {
        Some(ControllerModel::Piix3) => "piix3-ide",
        Some(ControllerModel::Piix4) => "piix4-ide",
        Some(ControllerModel::Ich6) => "ich6-ide",
        _ => return Err(unsupported("Only a single IDE controller is supported for this machine type")),
    };
    Ok(Props::driver(driver).with("id", alias(&c.info)))
}

/// Which I/O thread serves which queue.
pub fn mapping(threads: &[IothreadMapping]) -> Option<Value> {
    let one = |t: &IothreadMapping| {
        let thread = format!("iothread{}", t.id);
        if t.queues.is_empty() { json!({"iothread": thread}) } else { json!({"iothread": thread, "vqs": t.queues}) }
    };
    (!threads.is_empty()).then(|| threads.iter().map(one).collect())
}
