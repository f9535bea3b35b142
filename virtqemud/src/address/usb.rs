//! USB buses and ports.

use conf::domain::DomainDef;
use conf::domain::device::chardev::SerialType;
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel};
use conf::domain::device::disk::DiskBus;
use conf::domain::device::filesystem::FilesystemDriver;
use conf::domain::device::hostdev::HostdevSource;
use conf::domain::device::hub::HubDef;
use conf::domain::device::info::{Address, DeviceInfo, UsbAddress};
use conf::domain::device::input::InputBus;
use conf::domain::device::sound::SoundModel;
use error::Result;

use super::pci::{internal, xml_error};

/// Ports of QEMU's hub.
const HUB_PORTS: usize = 8;
/// Levels of ports; USB itself has no more below the root.
const DEPTH_MAX: usize = 4;

/// A controller or hub: what is on each port.
#[derive(Clone, Debug, Default)]
struct Hub {
    taken: Vec<bool>,
    below: Vec<Option<Box<Hub>>>,
}

impl Hub {
    fn new(ports: usize) -> Hub {
        Hub { taken: vec![false; ports], below: vec![None; ports] }
    }

    fn free_port(&self, level: usize) -> Option<Vec<u32>> {
        if let Some(free) = self.taken.iter().position(|t| !t) {
            return Some(vec![free as u32 + 1]);
        }
        if level + 1 >= DEPTH_MAX {
            return None;
        }
        self.below.iter().enumerate().find_map(|(number, hub)| {
            let mut path = hub.as_ref()?.free_port(level + 1)?;
            path.insert(0, number as u32 + 1);
            Some(path)
        })
    }

    /// The hub that holds the last port of a path.
    fn holder(&mut self, address: &UsbAddress) -> Result<&mut Hub> {
        let mut hub = self;
        let Some((_, upper)) = address.port.split_last() else { return Ok(hub) };
        for port in upper {
            let at = hub.index(*port, address)?;
            hub = hub.below[at].as_deref_mut().ok_or_else(|| {
                xml_error(format!(
                    "there is no hub at port {port} in USB address bus: {} port: {}",
                    address.bus,
                    text(&address.port)
                ))
            })?;
        }
        Ok(hub)
    }

    fn index(&self, port: u32, address: &UsbAddress) -> Result<usize> {
        (port as usize).checked_sub(1).filter(|p| *p < self.taken.len()).ok_or_else(|| {
            xml_error(format!("requested USB port {} not present on USB bus {}", text(&address.port), address.bus))
        })
    }
}

fn text(port: &[u32]) -> String {
    port.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// USB root hubs by bus number.
#[derive(Debug, Default)]
struct Buses(Vec<Option<Hub>>);

impl Buses {
    fn bus(&mut self, address: &UsbAddress) -> Result<&mut Hub> {
        self.0
            .get_mut(address.bus as usize)
            .and_then(Option::as_mut)
            .ok_or_else(|| xml_error(format!("Missing USB bus {}", address.bus)))
    }

    fn reserve(&mut self, address: &UsbAddress) -> Result<()> {
        let Some(last) = address.port.last().copied() else { return Ok(()) };
        let hub = self.bus(address)?.holder(address)?;
        let at = hub.index(last, address)?;
        if hub.taken[at] {
            return Err(xml_error(format!("Duplicate USB address bus {} port {}", address.bus, text(&address.port))));
        }
        hub.taken[at] = true;
        Ok(())
    }

    fn add_hub(&mut self, address: &UsbAddress) -> Result<()> {
        let Some(last) = address.port.last().copied() else { return Ok(()) };
        let holder = self.bus(address)?.holder(address)?;
        let at = holder.index(last, address)?;
        if holder.taken[at] {
            return Err(xml_error(format!("Duplicate USB hub on bus {} port {}", address.bus, text(&address.port))));
        }
        holder.taken[at] = true;
        holder.below[at] = Some(Box::new(Hub::new(HUB_PORTS)));
        Ok(())
    }

    fn assign(&mut self, info: &mut DeviceInfo) -> Result<UsbAddress> {
        let on_bus = match &info.address {
            Some(Address::Usb(usb)) => Some(usb.bus),
            _ => None,
        };
        let mut candidates =
            self.0.iter().enumerate().filter(|(number, _)| on_bus.is_none_or(|b| b as usize == *number));
        let found = candidates.find_map(|(bus, hub)| Some((bus, hub.as_ref()?.free_port(0)?)));
        let (bus, port) = found.ok_or_else(|| match on_bus {
            Some(bus) if self.0.get(bus as usize).is_none_or(Option::is_none) => {
                internal(format!("USB bus {bus} requested but no USB controller with that index defined"))
            }
            _ => internal("No free USB ports"),
        })?;
        let address = UsbAddress { bus: bus as u32, port };
        self.reserve(&address)?;
        info.address = Some(Address::Usb(address.clone()));
        Ok(address)
    }
}

fn ports(controller: &ControllerDef) -> usize {
    use ControllerModel as M;
    match controller.model {
        // Companions show their ports on their master's bus.
        Some(M::Ich9Uhci1 | M::Ich9Uhci2 | M::Ich9Uhci3) => 0,
        Some(M::Piix4Uhci | M::Piix3Uhci | M::Vt82c686bUhci) | None => 2,
        Some(M::Ehci | M::Ich9Ehci1) => 6,
        Some(M::PciOhci) => 3,
        // QEMU's own default of xHCI is four ports.
        Some(M::NecXhci | M::QemuXhci) => controller.ports.unwrap_or(4) as usize,
        Some(M::Qusb1 | M::Qusb2) => controller.ports.unwrap_or(8) as usize,
        _ => 0,
    }
}

/// Gives ports to all USB devices; adds a hub when there are too few.
pub fn assign(def: &mut DomainDef) -> Result<()> {
    let controllers: Vec<&ControllerDef> =
        def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Usb).collect();
    let mut buses = Buses::default();
    for controller in &controllers {
        let count = ports(controller);
        let number = controller.number() as usize;
        if count == 0 {
            continue;
        }
        if buses.0.len() <= number {
            buses.0.resize(number + 1, None);
        }
        if buses.0[number].is_some() {
            return Err(internal(format!("Duplicate USB controllers with index {number}")));
        }
        buses.0[number] = Some(Hub::new(count));
    }
    let provided: usize = buses.0.iter().flatten().map(|h| h.taken.len()).sum();
    if provided == 0 {
        return Ok(());
    }
    add_hubs(def, provided);
    given_hubs(def, &mut buses)?;
    devices(def, |info| match &info.address {
        Some(Address::Usb(usb)) if !usb.port.is_empty() => buses.reserve(usb),
        _ => Ok(()),
    })?;
    for hub in &mut def.devices.hubs {
        if matches!(&hub.info.address, Some(Address::Usb(usb)) if !usb.port.is_empty()) {
            continue;
        }
        let address = buses.assign(&mut hub.info)?;
        let holder = buses.bus(&address)?.holder(&address)?;
        let at = holder.index(address.port[address.port.len() - 1], &address)?;
        holder.below[at] = Some(Box::new(Hub::new(HUB_PORTS)));
    }
    devices(def, |info| match &info.address {
        None => buses.assign(info).map(drop),
        Some(Address::Usb(usb)) if usb.port.is_empty() => buses.assign(info).map(drop),
        _ => Ok(()),
    })
}

/// Hubs with an address, the ones nearest to the root first.
fn given_hubs(def: &DomainDef, buses: &mut Buses) -> Result<()> {
    let mut given: Vec<&UsbAddress> = def
        .devices
        .hubs
        .iter()
        .filter_map(|h| match &h.info.address {
            Some(Address::Usb(usb)) if !usb.port.is_empty() => Some(usb),
            _ => None,
        })
        .collect();
    given.sort_by_key(|usb| usb.port.len());
    given.into_iter().try_for_each(|usb| buses.add_hub(usb))
}

/// Adds as many hubs as there are devices without a port.
fn add_hubs(def: &mut DomainDef, provided: usize) {
    let available = provided + def.devices.hubs.len() * (HUB_PORTS - 1);
    let mut needed = 0;
    let _ = devices(def, |_| {
        needed += 1;
        Ok(())
    });
    if needed > available {
        // One more, for the port that a hub itself takes.
        let hubs = (needed - available + 1).div_ceil(HUB_PORTS - 1);
        def.devices.hubs.extend(std::iter::repeat_with(HubDef::default).take(hubs));
    }
}

/// Every USB device but hubs, in libvirt's order.
fn devices(def: &mut DomainDef, mut visit: impl FnMut(&mut DeviceInfo) -> Result<()>) -> Result<()> {
    let d = &mut def.devices;
    for hostdev in d.hostdevs.iter_mut().filter(|h| matches!(h.source, HostdevSource::Usb(_))) {
        visit(&mut hostdev.info)?;
    }
    for disk in d.disks.iter_mut().filter(|d| d.bus == Some(DiskBus::Usb)) {
        visit(&mut disk.info)?;
    }
    for controller in d.controllers.iter_mut().filter(|c| c.kind == ControllerKind::Ccid) {
        visit(&mut controller.info)?;
    }
    for input in d.inputs.iter_mut().filter(|i| i.bus == Some(InputBus::Usb)) {
        visit(&mut input.info)?;
    }
    for serial in d.serials.iter_mut().filter(|s| s.target == Some(SerialType::Usb)) {
        visit(&mut serial.info)?;
    }
    for sound in d.sounds.iter_mut().filter(|s| s.model == SoundModel::Usb) {
        visit(&mut sound.info)?;
    }
    for redirdev in &mut d.redirdevs {
        visit(&mut redirdev.info)?;
    }
    for filesystem in d.filesystems.iter_mut().filter(|f| f.driver == Some(FilesystemDriver::Mtp)) {
        visit(&mut filesystem.info)?;
    }
    Ok(())
}
