//! Which device of the host a guest's interface is given.

use std::collections::BTreeMap;
use std::path::Path;

use conf::network::forward::{Device, Forward, PciAddress};
use conf::network::port::DirectMode;
use conf::network::{ForwardMode, NetworkDef, NetworkPortDef, Plug};
use error::{Code, Domain, Error, Result};
use uuid::Uuid;

fn internal(detail: String) -> Error {
    Error::new(Domain::Network, Code::InternalError, detail)
}

/// Whether a PCI function of this host is a virtual one.
pub fn is_virtual_function(pci: PciAddress) -> bool {
    Path::new(&format!("/sys/bus/pci/devices/{pci}/physfn")).exists()
}

/// Fills in what the network decides for a new port: settings of its portgroup and the device it is plugged into.
///
/// # Errors
/// libvirt's texts when there is no device to give.
pub fn allocate(def: &NetworkDef, ports: &BTreeMap<Uuid, NetworkPortDef>, port: &mut NetworkPortDef) -> Result<()> {
    inherit(def, port)?;
    port.plug = match &def.forward {
        None => on_own_bridge(def)?,
        Some(f) if def.has_own_bridge() => {
            let _ = f;
            on_own_bridge(def)?
        }
        Some(f) => match (f.mode, &def.bridge.name) {
            (ForwardMode::Bridge, Some(bridge)) => {
                Plug::Bridge { bridge: bridge.clone(), mac_table_manager: def.bridge.mac_table_manager }
            }
            (ForwardMode::Hostdev, _) => pci_function(def, f, ports)?,
            (mode, _) => macvtap(def, f, mode, ports)?,
        },
    };
    Ok(())
}

/// Settings that the port leaves open come from its portgroup, then from the network.
fn inherit(def: &NetworkDef, port: &mut NetworkPortDef) -> Result<()> {
    if let Some(bandwidth) = &port.bandwidth
        && bandwidth.inbound.is_some_and(|r| r.floor > 0)
    {
        let unsupported = |detail: String| Error::new(Domain::Network, Code::OperationUnsupported, detail);
        if !def.has_own_bridge() {
            return Err(unsupported(format!(
                "Invalid use of 'floor' on interface with MAC address {} - 'floor' is only supported for interface type 'network' with forward type 'nat', 'route', 'open' or none",
                port.mac
            )));
        }
        if def.bandwidth.as_ref().is_none_or(|b| b.inbound.is_none()) {
            return Err(unsupported(format!(
                "Invalid use of 'floor' on interface with MAC address {} - network '{}' has no inbound QoS set",
                port.mac, def.name
            )));
        }
    }
    let group = def.portgroup(port.group.as_deref());
    if port.bandwidth.is_none() {
        port.bandwidth = group.and_then(|g| g.bandwidth.clone());
    }
    if port.vlan.is_none() {
        port.vlan = group.and_then(|g| g.vlan.clone()).or_else(|| def.vlan.clone());
    }
    if port.trust_guest_rx_filters.is_none() {
        port.trust_guest_rx_filters = group.and_then(|g| g.trust_guest_rx_filters).or(def.trust_guest_rx_filters);
    }
    if port.isolated.is_none() {
        port.isolated = def.isolated_ports;
    }
    let outer = group.and_then(|g| g.virtualport.as_ref());
    let merged = port.virtualport.clone().unwrap_or_default().merged(outer).merged(def.virtualport.as_ref());
    port.virtualport = (merged != conf::network::VirtualPort::default()).then_some(merged);
    Ok(())
}

fn on_own_bridge(def: &NetworkDef) -> Result<Plug> {
    let bridge = def
        .bridge
        .name
        .clone()
        .ok_or_else(|| internal("Unexpectedly got a network port without a network bridge".to_owned()))?;
    Ok(Plug::Network { bridge, mac_table_manager: def.bridge.mac_table_manager })
}

/// The device of the pool with the fewest ports; some modes give each device to one port only.
fn macvtap(
    def: &NetworkDef,
    forward: &Forward,
    mode: ForwardMode,
    ports: &BTreeMap<Uuid, NetworkPortDef>,
) -> Result<Plug> {
    let names: Vec<&String> = forward
        .devices
        .iter()
        .filter_map(|d| match d {
            Device::Interface(name) => Some(name),
            Device::Pci(_) => None,
        })
        .collect();
    if names.is_empty() {
        return Err(internal(format!(
            "network '{}' uses a direct mode, but has no forward dev and no interface pool",
            def.name
        )));
    }
    let used =
        |name: &str| ports.values().filter(|p| matches!(&p.plug, Plug::Direct { dev, .. } if dev == name)).count();
    let qbh =
        def.virtualport.as_ref().is_some_and(|v| v.kind == Some(conf::network::virtualport::VirtualPortKind::Qbh));
    let exclusive = mode == ForwardMode::Passthrough || mode == ForwardMode::Private && qbh;
    let dev = if exclusive {
        names.into_iter().find(|n| used(n) == 0).ok_or_else(|| {
            internal(format!("network '{}' requires exclusive access to interfaces, but none are available", def.name))
        })?
    } else {
        names.into_iter().min_by_key(|n| used(n)).expect("the list was checked not to be empty")
    };
    let mode = match mode {
        ForwardMode::Private => DirectMode::Private,
        ForwardMode::Passthrough => DirectMode::Passthrough,
        ForwardMode::Bridge => DirectMode::Bridge,
        _ => DirectMode::Vepa,
    };
    Ok(Plug::Direct { dev: dev.clone(), mode })
}

fn pci_function(def: &NetworkDef, forward: &Forward, ports: &BTreeMap<Uuid, NetworkPortDef>) -> Result<Plug> {
    let free = forward.devices.iter().find_map(|d| match d {
        Device::Pci(pci) => {
            let used = ports.values().any(|p| matches!(&p.plug, Plug::HostdevPci { address, .. } if address == pci));
            (!used).then_some(*pci)
        }
        Device::Interface(_) => None,
    });
    let none =
        || internal(format!("network '{}' requires exclusive access to interfaces, but none are available", def.name));
    Ok(Plug::HostdevPci { managed: forward.managed, driver: forward.driver, address: free.ok_or_else(none)? })
}
