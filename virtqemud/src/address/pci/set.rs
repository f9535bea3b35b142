//! All PCI buses of a guest while addresses are given out.

use conf::domain::device::controller::ControllerModel;
use conf::domain::device::info::{Address, DeviceInfo, PciAddress};
use error::Result;

use super::bus::{Bus, Connect};
use super::{internal, xml_error};

/// More buses cannot be addressed.
const BUSES_MAX: usize = 256;

/// The buses.
#[derive(Debug)]
pub struct AddressSet {
    pub buses: Vec<Bus>,
    /// First pass: buses may be added.
    pub dry_run: bool,
    /// Whether more roots may be added (pseries).
    pub many_roots: bool,
    /// Whether QEMU has `pcie-pci-bridge`.
    pub pcie_to_pci_bridge: bool,
}

fn place(bus: usize, slot: u32, function: u32) -> PciAddress {
    PciAddress { bus: bus as u32, slot, function, ..PciAddress::default() }
}

impl AddressSet {
    /// Whether something is at exactly this function.
    pub fn in_use(&self, at: &PciAddress) -> bool {
        self.buses
            .get(at.bus as usize)
            .is_some_and(|b| b.functions[at.slot as usize & 31] & (1 << (at.function & 7)) != 0)
    }

    /// Takes an address. `from_config`: a user wrote it, so a device may sit in a slot of the other kind.
    pub fn reserve(&mut self, at: &PciAddress, wanted: Connect, from_config: bool) -> Result<()> {
        let mut at = *at;
        if self.dry_run && at.bus as usize >= self.buses.len() {
            self.grow(&mut at, wanted)?;
        }
        self.validate(&at, wanted, from_config)?;
        let bus = &mut self.buses[at.bus as usize];
        let slot = at.slot as usize;
        if bus.functions[slot] & (1 << at.function) != 0 {
            return Err(xml_error(format!("Attempted double use of PCI Address {}", at.text())));
        }
        if bus.functions[slot] == 0 && wanted.any(Connect::AGGREGATE_SLOT) {
            bus.aggregate |= 1 << slot;
        }
        bus.functions[slot] |= 1 << at.function;
        Ok(())
    }

    /// Gives a device the next free address.
    pub fn reserve_next(&mut self, info: &mut DeviceInfo, wanted: Connect, function: Option<u32>) -> Result<()> {
        let at = self.next(wanted, function)?;
        self.reserve(&at, wanted, false)?;
        // What the user said beside the address stays.
        let kept = info.pci().copied().unwrap_or_default();
        info.address = Some(Address::Pci(PciAddress { multifunction: kept.multifunction, zpci: kept.zpci, ..at }));
        Ok(())
    }

    fn next(&mut self, wanted: Connect, function: Option<u32>) -> Result<PciAddress> {
        if self.buses.is_empty() {
            return Err(xml_error("No PCI buses available"));
        }
        for (number, bus) in self.buses.iter().enumerate() {
            if fits(bus.offers, wanted, false).is_ok()
                && let Some((slot, function)) = bus.free_place(wanted, function)
            {
                return Ok(place(number, slot, function));
            }
        }
        if !self.dry_run {
            return Err(internal("No more available PCI slots"));
        }
        let mut at = place(self.buses.len(), 0, function.unwrap_or(0));
        self.grow(&mut at, wanted)?;
        at.slot = self.buses[at.bus as usize].first_slot;
        Ok(at)
    }

    /// Adds buses until `at.bus` exists; a bridge that is needed in between moves it up.
    fn grow(&mut self, at: &mut PciAddress, wanted: Connect) -> Result<()> {
        use ControllerModel as M;
        if at.bus as usize >= BUSES_MAX {
            return Err(xml_error(format!("PCI bus '{}' is too large", at.bus)));
        }
        let bridge_has_room = self.buses.iter().any(|b| b.offers.any(Connect::PCI_BRIDGE));
        let mut first = Vec::new();
        let model = if wanted.any(Connect::PCI_DEVICE) {
            if self.many_roots {
                M::PciRoot
            } else if bridge_has_room {
                M::PciBridge
            } else if self.pcie_to_pci_bridge {
                // Its port must not be given to anything else.
                let mut port = Bus::of(M::PcieRootPort).expect("a root port is a PCI controller");
                port.offers = Connect::PCIE_TO_PCI_BRIDGE.or(Connect::AUTOASSIGN);
                first.push(port);
                M::PcieToPciBridge
            } else {
                first.extend(Bus::of(M::DmiToPciBridge));
                M::PciBridge
            }
        } else if wanted.any(Connect::PCI_BRIDGE) {
            if self.many_roots { M::PciRoot } else { M::DmiToPciBridge }
        } else if wanted
            .any(Connect::PCIE_DEVICE.or(Connect::PCIE_SWITCH_UPSTREAM_PORT).or(Connect::PCIE_TO_PCI_BRIDGE))
        {
            M::PcieRootPort
        } else if wanted.any(Connect::PCIE_SWITCH_DOWNSTREAM_PORT) {
            M::PcieSwitchUpstreamPort
        } else {
            return Err(internal(format!(
                "Cannot automatically add a new PCI bus for a device with connect flags {:02x}",
                wanted.0
            )));
        };
        at.bus += first.len() as u32;
        self.buses.append(&mut first);
        while self.buses.len() <= at.bus as usize {
            self.buses.extend(Bus::of(model));
        }
        Ok(())
    }

    /// Whether an address exists and its bus takes this kind of device.
    pub fn validate(&self, at: &PciAddress, wanted: Connect, from_config: bool) -> Result<()> {
        let bad = |detail: String| if from_config { xml_error(detail) } else { internal(detail) };
        let text = at.text();
        if self.buses.is_empty() {
            return Err(bad("No PCI buses available".into()));
        }
        if at.domain != 0 {
            return Err(bad(format!("Invalid PCI address {text}. Only PCI domain 0 is available")));
        }
        let Some(bus) = self.buses.get(at.bus as usize) else {
            return Err(bad(format!(
                "Invalid PCI address {text}. Only PCI buses up to {} are available",
                self.buses.len() - 1
            )));
        };
        if let Err(reason) = fits(bus.offers, wanted, from_config) {
            return Err(bad(reason.replace("{address}", &text).replace("{bus}", &at.bus.to_string())));
        }
        if at.slot < bus.first_slot {
            return Err(bad(format!("Invalid PCI address {text}. slot must be >= {}", bus.first_slot)));
        }
        if at.slot > bus.last_slot {
            return Err(bad(format!("Invalid PCI address {text}. slot must be <= {}", bus.last_slot)));
        }
        if at.function > 7 {
            return Err(bad(format!("Invalid PCI address {text}. function must be <= 7")));
        }
        Ok(())
    }
}

/// Whether a bus takes a device; the reason has `{address}` and `{bus}` in it.
fn fits(offers: Connect, wanted: Connect, from_config: bool) -> std::result::Result<(), String> {
    let mut offers = offers;
    if from_config {
        // A user may put any end point into any slot for end points, hot-pluggable or not.
        if offers.any(Connect::END_POINTS) {
            offers = offers.or(Connect::END_POINTS);
        }
        offers = offers.or(wanted.and(Connect::HOTPLUGGABLE)).or(wanted.and(Connect::AUTOASSIGN));
    }
    if !wanted.and(offers).any(Connect::TYPES) {
        let kinds = [
            (Connect::PCI_DEVICE, "standard PCI device"),
            (Connect::PCIE_DEVICE, "PCI Express device"),
            (Connect::PCIE_ROOT_PORT, "pcie-root-port"),
            (Connect::PCIE_SWITCH_UPSTREAM_PORT, "pcie-switch-upstream-port"),
            (Connect::PCIE_SWITCH_DOWNSTREAM_PORT, "pcie-switch-downstream-port"),
            (Connect::DMI_TO_PCI_BRIDGE, "dmi-to-pci-bridge"),
            (Connect::PCIE_TO_PCI_BRIDGE, "pcie-to-pci-bridge"),
            (Connect::PCI_EXPANDER_BUS, "pci-expander-bus"),
            (Connect::PCIE_EXPANDER_BUS, "pcie-expander-bus"),
            (Connect::PCI_BRIDGE, "pci-bridge"),
        ];
        let kind = kinds.iter().find(|(bit, _)| wanted.any(*bit)).map_or("unknown device", |(_, name)| name);
        return Err(format!(
            "The device at PCI address {{address}} cannot be plugged into the PCI controller with index='{{bus}}'. It requires a controller that accepts a {kind}."
        ));
    }
    if wanted.any(Connect::HOTPLUGGABLE) && !offers.any(Connect::HOTPLUGGABLE) {
        return Err("The device at PCI address {address} requires hotplug capability, but the PCI controller with index='{bus}' doesn't support hotplug".into());
    }
    if wanted.any(Connect::INTEGRATED) && !offers.any(Connect::INTEGRATED) {
        return Err("The device at PCI address {address} needs to be an integrated device, but the PCI controller with index='{bus}' doesn't support that".into());
    }
    if wanted.any(Connect::AUTOASSIGN) && !offers.any(Connect::AUTOASSIGN) {
        return Err("The device at PCI address {address} was auto-assigned to a controller that takes none".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ControllerModel as M;

    fn q35() -> AddressSet {
        AddressSet {
            buses: vec![Bus::of(M::PcieRoot).unwrap()],
            dry_run: true,
            many_roots: false,
            pcie_to_pci_bridge: true,
        }
    }

    const PCIE: Connect = Connect::PCIE_DEVICE.or(Connect::HOTPLUGGABLE).or(Connect::AUTOASSIGN);
    const PCI: Connect = Connect::PCI_DEVICE.or(Connect::HOTPLUGGABLE).or(Connect::AUTOASSIGN);

    #[test]
    fn express_devices_get_root_ports() {
        let mut set = q35();
        for number in 1..=3 {
            let mut info = DeviceInfo::default();
            set.reserve_next(&mut info, PCIE, None).unwrap();
            assert_eq!(info.pci().unwrap().text(), format!("0000:{number:02x}:00.0"));
        }
        assert_eq!(set.buses.len(), 4);
    }

    #[test]
    fn plain_devices_get_a_bridge_with_a_port_of_its_own() {
        let mut set = q35();
        let mut info = DeviceInfo::default();
        set.reserve_next(&mut info, PCI, None).unwrap();
        assert_eq!(info.pci().unwrap().text(), "0000:02:01.0");
        let models: Vec<_> = set.buses.iter().map(|b| b.model.unwrap()).collect();
        assert_eq!(models, [M::PcieRoot, M::PcieRootPort, M::PcieToPciBridge]);
        // The port is not for others.
        set.reserve_next(&mut info, PCIE, None).unwrap();
        assert_eq!(info.pci().unwrap().bus, 3);
    }

    #[test]
    fn double_use_and_bad_places() {
        let mut set = q35();
        set.dry_run = false;
        let at = place(0, 3, 0);
        set.reserve(&at, PCIE, true).unwrap();
        assert_eq!(
            set.reserve(&at, PCIE, true).unwrap_err().message,
            "XML error: Attempted double use of PCI Address 0000:00:03.0"
        );
        assert!(set.reserve(&place(0, 0, 0), PCIE, true).unwrap_err().message.contains("slot must be >= 1"));
        assert!(set.reserve(&place(1, 1, 0), PCIE, true).unwrap_err().message.contains("buses up to 0"));
        assert!(set.reserve(&place(0, 4, 0), PCI, true).is_ok());
    }
}
