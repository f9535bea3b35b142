//! What QEMU's controllers cannot be.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel, PciModelName};
use error::Result;
use xml::Vocabulary;

use super::{unsupported, xml_error};
use crate::address::machine;

/// Checks that libvirt makes before it gives out addresses.
pub(super) fn before_addresses(def: &DomainDef) -> Result<()> {
    let cells = def.numa.cells.len();
    for controller in def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Pci) {
        let (number, model) = (controller.number(), controller.model.map_or("", Vocabulary::word));
        let root = matches!(controller.model, Some(ControllerModel::PciRoot | ControllerModel::PcieRoot));
        if root && number != 0 && !machine::is_pseries(def) {
            return Err(xml_error("pci-root and pcie-root controllers should have index 0"));
        }
        if let Some(node) = controller.pci.numa_node.filter(|n| *n as usize >= cells) {
            return Err(xml_error(format!(
                "{model} with index {number} is configured for a NUMA node ({node}) not present in the domain's <cpu><numa> array ({cells})"
            )));
        }
    }
    Ok(())
}

/// Checks every controller.
pub(super) fn all(def: &DomainDef) -> Result<()> {
    for controller in &def.devices.controllers {
        match controller.kind {
            ControllerKind::Scsi => scsi(def, controller)?,
            ControllerKind::Pci => pci(def, controller)?,
            _ => {}
        }
    }
    Ok(())
}

fn scsi(def: &DomainDef, controller: &ControllerDef) -> Result<()> {
    let virtio = matches!(
        controller.model,
        Some(
            ControllerModel::VirtioScsi | ControllerModel::VirtioTransitional | ControllerModel::VirtioNonTransitional
        )
    );
    let options = [
        (controller.queues.is_some_and(|n| n > 0), "queues"),
        (controller.cmd_per_lun.is_some_and(|n| n > 0), "cmd_per_lun"),
        (controller.max_sectors.is_some_and(|n| n > 0), "max_sectors"),
        (controller.ioeventfd.is_some(), "ioeventfd"),
    ];
    if let Some((_, name)) = options.iter().find(|(said, _)| *said && !virtio) {
        return Err(unsupported(format!("'{name}' is only supported by virtio-scsi controller")));
    }
    let known = |id: u32| def.iothreads.iter().any(|t| t.id == id);
    if let Some(id) = controller.iothread.filter(|id| !known(*id)) {
        return Err(unsupported(format!("controller iothread '{id}' not defined in iothreadid")));
    }
    if let Some(thread) = controller.iothreads.iter().find(|t| !known(t.id)) {
        return Err(unsupported(format!("iothread '{}' not defined in iothreadid", thread.id)));
    }
    match controller.model {
        Some(ControllerModel::Ncr53c90) if controller.number() != 0 => {
            Err(unsupported("ncr53c90 can only be used as first SCSI controller"))
        }
        Some(ControllerModel::Ncr53c90) if machine::is_x86(def) => {
            Err(unsupported("ncr53c90 SCSI controller is not a built-in for this machine"))
        }
        Some(ControllerModel::Buslogic) => Err(unsupported("Unsupported controller model: buslogic")),
        _ => Ok(()),
    }
}

/// Options of PCI controllers, each of which belongs to some models only.
fn pci(def: &DomainDef, controller: &ControllerDef) -> Result<()> {
    use ControllerModel as M;
    use PciModelName as N;
    let Some(model) = controller.model else { return Ok(()) };
    let pci = &controller.pci;
    let pseries_root = model == M::PciRoot && machine::is_pseries(def);
    let names: &[N] = match model {
        M::PciBridge => &[N::PciBridge],
        M::DmiToPciBridge => &[N::I82801b11Bridge],
        M::PcieToPciBridge => &[N::PciePciBridge],
        M::PcieRootPort => &[N::PcieRootPort, N::Ioh3420],
        M::PcieSwitchUpstreamPort => &[N::X3130Upstream],
        M::PcieSwitchDownstreamPort => &[N::Xio3130Downstream],
        M::PciExpanderBus => &[N::Pxb],
        M::PcieExpanderBus => &[N::PxbPcie],
        M::PciRoot if pseries_root => &[N::SpaprPciHostBridge],
        _ => return Ok(()),
    };
    let says = |option: &str, fault: &str| {
        let name = pci.model_name.map_or("", Vocabulary::word);
        Err(unsupported(format!(
            "Option '{option}' {fault} for PCI controller with index '{}', model '{model}' and modelName '{name}'",
            controller.number()
        )))
    };
    if pci.model_name.is_some_and(|n| !names.contains(&n)) {
        return says("modelName", "has invalid value");
    }
    let port = matches!(model, M::PcieRootPort | M::PcieSwitchDownstreamPort);
    let expander = matches!(model, M::PciExpanderBus | M::PcieExpanderBus);
    let misplaced = [
        ("targetIndex", pci.target_index.is_some() && !pseries_root),
        ("busNr", pci.bus_nr.is_some() && !expander),
        ("numaNode", pci.numa_node.is_some() && !expander && !pseries_root),
        ("chassisNr", pci.chassis_nr.is_some() && model != M::PciBridge),
        ("chassis", pci.chassis.is_some() && !port),
        ("port", pci.port.is_some() && !port),
        ("hotplug", pci.hotplug.is_some() && !port),
    ];
    match misplaced.iter().find(|(_, wrong)| *wrong) {
        Some((option, _)) => says(option, "is not valid"),
        None => Ok(()),
    }
}
