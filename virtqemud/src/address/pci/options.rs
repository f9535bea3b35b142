//! What a PCI controller needs beside its address: QEMU's device, chassis, port, bus number.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel, PciModelName};
use conf::domain::device::info::PciAddress;
use error::Result;

use super::assign::bus_below_index;
use super::internal;
use crate::address::machine;

/// Fills in what the definition leaves open.
pub fn fill(def: &mut DomainDef) -> Result<()> {
    use ControllerModel as M;
    let pseries = machine::is_pseries(def);
    for number in 0..def.devices.controllers.len() {
        if def.devices.controllers[number].kind != ControllerKind::Pci {
            continue;
        }
        let lowest_bus_nr = def.devices.controllers.iter().filter_map(|c| c.pci.bus_nr).min();
        let free_target = (0..=30).find(|t| {
            let taken = |c: &&conf::domain::device::controller::ControllerDef| {
                c.kind == ControllerKind::Pci && c.pci.target_index == Some(*t)
            };
            !def.devices.controllers.iter().any(|c| taken(&c))
        });
        let controller = &mut def.devices.controllers[number];
        let index = controller.number();
        let at = controller.info.pci().copied().unwrap_or_default();
        let pci = &mut controller.pci;
        if pci.model_name.is_none() {
            pci.model_name = match controller.model {
                Some(M::PciBridge) => Some(PciModelName::PciBridge),
                Some(M::DmiToPciBridge) => Some(PciModelName::I82801b11Bridge),
                Some(M::PcieToPciBridge) => Some(PciModelName::PciePciBridge),
                Some(M::PcieRootPort) => Some(PciModelName::PcieRootPort),
                Some(M::PcieSwitchUpstreamPort) => Some(PciModelName::X3130Upstream),
                Some(M::PcieSwitchDownstreamPort) => Some(PciModelName::Xio3130Downstream),
                Some(M::PciExpanderBus) => Some(PciModelName::Pxb),
                Some(M::PcieExpanderBus) => Some(PciModelName::PxbPcie),
                Some(M::PciRoot) if pseries => Some(PciModelName::SpaprPciHostBridge),
                _ => None,
            };
        }
        match controller.model {
            Some(M::PciBridge) => pci.chassis_nr = pci.chassis_nr.or(Some(index)),
            Some(M::PcieRootPort) => {
                pci.chassis = pci.chassis.or(Some(index));
                pci.port = pci.port.or(Some(port(&at)));
            }
            Some(M::PcieSwitchDownstreamPort) => {
                pci.chassis = pci.chassis.or(Some(index));
                pci.port = pci.port.or(Some(at.slot));
            }
            Some(M::PciExpanderBus | M::PcieExpanderBus) if pci.bus_nr.is_none() => {
                pci.bus_nr = Some(new_bus_nr(lowest_bus_nr, index)?)
            }
            Some(M::PciRoot) if pseries && pci.target_index.is_none() => {
                let wanted = if index == 0 { Some(0) } else { free_target };
                pci.target_index = Some(wanted.ok_or_else(|| internal("Too many PCI host bridges"))?);
            }
            _ => {}
        }
        if matches!(controller.model, Some(model) if !matches!(model, M::PciRoot | M::PcieRoot)) {
            bus_below_index(controller)?;
        }
    }
    Ok(())
}

/// QEMU shows this number to the guest as the port's.
fn port(at: &PciAddress) -> u32 {
    (at.slot << 3) + at.function
}

/// Expander buses are numbered from the top down, with room for the buses behind each.
fn new_bus_nr(lowest: Option<u32>, index: u32) -> Result<u32> {
    let lowest = lowest.unwrap_or(256);
    if lowest <= 2 {
        return Err(internal(format!(
            "No free busNr lower than current lowest busNr {lowest} is available to auto-assign to bus {index}. Must be manually assigned"
        )));
    }
    Ok(lowest - 2)
}
