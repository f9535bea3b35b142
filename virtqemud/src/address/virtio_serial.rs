//! Ports of virtio-serial controllers.

use std::collections::BTreeMap;

use conf::domain::DomainDef;
use conf::domain::device::chardev::{ChannelTarget, ConsoleType};
use conf::domain::device::controller::{ControllerDef, ControllerKind};
use conf::domain::device::info::{Address, DeviceInfo, VirtioSerialAddress};
use error::Result;

use super::pci::{internal, xml_error};

/// Ports of a controller that names no number.
const PORTS: u32 = 31;

/// Controller → taken ports.
type Ports = BTreeMap<u32, Vec<bool>>;

/// Gives ports to consoles, then to channels.
pub fn assign(def: &mut DomainDef) -> Result<()> {
    let mut ports = Ports::new();
    for controller in def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::VirtioSerial) {
        ports.insert(controller.number(), vec![false; controller.ports.unwrap_or(PORTS) as usize]);
    }
    let consoles = def.devices.consoles.iter().filter(|c| c.target == Some(ConsoleType::Virtio)).map(|c| &c.info);
    let channels =
        def.devices.channels.iter().filter(|c| matches!(c.target, ChannelTarget::Virtio { .. })).map(|c| &c.info);
    for info in consoles.chain(channels) {
        if let Some(Address::VirtioSerial(given)) = &info.address
            && given.port != 0
        {
            take(&mut ports, given)?;
        }
    }
    let mut added = Vec::new();
    // a console without an address keeps none: QEMU finds it a port
    let placed = |info: &DeviceInfo| matches!(info.address, Some(Address::VirtioSerial(_)));
    for console in def.devices.consoles.iter_mut().filter(|c| c.target == Some(ConsoleType::Virtio) && placed(&c.info))
    {
        complete(&mut console.info, &mut ports, true, &mut added)?;
    }
    for channel in def.devices.channels.iter_mut().filter(|c| matches!(c.target, ChannelTarget::Virtio { .. })) {
        complete(&mut channel.info, &mut ports, false, &mut added)?;
    }
    for number in added {
        def.devices.controllers.push(ControllerDef::new(ControllerKind::VirtioSerial, Some(number), None));
    }
    Ok(())
}

fn take(ports: &mut Ports, given: &VirtioSerialAddress) -> Result<()> {
    if given.bus != 0 {
        return Err(xml_error(format!("virtio serial device with bus '{}' is not supported", given.bus)));
    }
    let (controller, port) = (given.controller, given.port);
    let taken = ports
        .get_mut(&controller)
        .ok_or_else(|| xml_error(format!("virtio serial controller {controller} is missing")))?;
    let slot = taken
        .get_mut(port as usize)
        .ok_or_else(|| xml_error(format!("virtio serial controller {controller} does not have port {port}")))?;
    if *slot {
        return Err(xml_error(format!("virtio serial port {port} on controller {controller} is already occupied")));
    }
    *slot = true;
    Ok(())
}

/// Port 0 is for the first console: older guests look for it there.
fn complete(info: &mut DeviceInfo, ports: &mut Ports, zero: bool, added: &mut Vec<u32>) -> Result<()> {
    let given = match &info.address {
        Some(Address::VirtioSerial(given)) if given.port != 0 => return Ok(()),
        Some(Address::VirtioSerial(given)) => Some(given.controller),
        None => None,
        Some(_) => return Ok(()),
    };
    let first = if zero { 0 } else { 1 };
    let free = |taken: &Vec<bool>| (first..taken.len()).find(|p| !taken[*p]);
    let (controller, port) = match given {
        Some(controller) => {
            let taken = ports
                .get(&controller)
                .ok_or_else(|| xml_error(format!("virtio serial controller {controller} is missing")))?;
            (
                controller,
                free(taken).ok_or_else(|| {
                    xml_error(format!("Unable to find a free port on virtio-serial controller {controller}"))
                })?,
            )
        }
        None => match ports.iter().find_map(|(c, taken)| Some((*c, free(taken)?))) {
            Some(found) => found,
            None => {
                let number = (0..u32::MAX)
                    .find(|n| !ports.contains_key(n))
                    .ok_or_else(|| internal("Unable to find a free virtio-serial port"))?;
                ports.insert(number, vec![false; PORTS as usize]);
                added.push(number);
                (number, first)
            }
        },
    };
    if let Some(taken) = ports.get_mut(&controller) {
        taken[port] = true;
    }
    info.address = Some(Address::VirtioSerial(VirtioSerialAddress { controller, bus: 0, port: port as u32 }));
    Ok(())
}
