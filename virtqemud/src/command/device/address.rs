//! A device's place: the properties that say on which bus it is.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::info::{Address, DeviceInfo, PciAddress};

use crate::address::machine;
use crate::command::props::Props;

/// Alias of a controller by kind and number.
pub fn controller_alias(def: &DomainDef, kind: ControllerKind, number: u32) -> String {
    // What the chip set brings has the names that QEMU gives, whatever the user calls it.
    match kind {
        ControllerKind::Pci if number == 0 && machine::has_pcie_root(def) => return "pcie.0".into(),
        ControllerKind::Pci if number == 0 => return "pci.0".into(),
        ControllerKind::Ide if number == 0 && machine::has_builtin_ide(def) => return "ide".into(),
        ControllerKind::Sata if number == 0 && machine::is_q35(def) => return "ide".into(),
        _ => {}
    }
    let found = def.devices.controllers.iter().find(|c| c.kind == kind && c.number() == number);
    found.and_then(|c| c.info.alias.clone()).unwrap_or_else(|| match kind {
        ControllerKind::Pci => format!("pci.{number}"),
        ControllerKind::Usb if number == 0 => "usb".into(),
        _ => format!("{kind}{number}"),
    })
}

/// QEMU's name of a PCI bus.
fn pci_bus(def: &DomainDef, at: &PciAddress) -> String {
    let alias = controller_alias(def, ControllerKind::Pci, at.bus);
    // Each further root of pseries has its bus below it.
    let controller = def.devices.controllers.iter().find(|c| c.kind == ControllerKind::Pci && c.number() == at.bus);
    let further = machine::is_pseries(def)
        && controller.is_some_and(|c| c.model == Some(ControllerModel::PciRoot) && c.pci.target_index.unwrap_or(0) > 0);
    if further { format!("{alias}.0") } else { alias }
}

/// Appends a device's place.
pub fn place(props: Props, def: &DomainDef, info: &DeviceInfo) -> Props {
    match &info.address {
        Some(Address::Pci(at)) => {
            let slot =
                if at.function != 0 { format!("{:#x}.{:#x}", at.slot, at.function) } else { format!("{:#x}", at.slot) };
            props
                .with("bus", pci_bus(def, at))
                .maybe("multifunction", at.multifunction)
                .with("addr", slot)
                .nonzero("acpi-index", info.acpi_index.unwrap_or(0))
        }
        Some(Address::Usb(usb)) => {
            let port = usb.port.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            let bus = format!("{}.0", controller_alias(def, ControllerKind::Usb, usb.bus));
            props.with("bus", bus).maybe("port", (!port.is_empty()).then_some(port))
        }
        Some(Address::Ccw(ccw)) => match ccw.at {
            Some((cssid, ssid, devno)) => props
                .with("devno", format!("{cssid:x}.{ssid:x}.{devno:04x}"))
                .maybe("loadparm", info.loadparm.clone().filter(|_| false)),
            None => props,
        },
        Some(Address::SpaprVio(Some(register))) => props.with("reg", *register),
        Some(Address::Isa(isa)) => {
            props.nonzero("iobase", isa.iobase.unwrap_or(0)).nonzero("irq", isa.irq.unwrap_or(0))
        }
        Some(Address::Dimm(dimm)) => props.with("slot", dimm.slot).nonzero("addr", dimm.base),
        _ => props,
    }
}

/// Appends what `<rom>` says.
pub fn rom(props: Props, info: &DeviceInfo) -> Props {
    let Some(rom) = &info.rom else { return props };
    if rom.enabled == Some(false) {
        return props.with("romfile", "");
    }
    props.maybe("rombar", rom.bar.map(u32::from)).maybe("romfile", rom.file.clone())
}
