//! What QEMU's network interfaces cannot be.

use conf::domain::DomainDef;
use conf::domain::device::interface::{InterfaceDef, InterfaceKind, NetBackend, TeamingKind};
use error::Result;

use super::{unsupported, xml_error};

/// Prefixes of the guest's network behind QEMU's own router.
const USER_PREFIXES: std::ops::RangeInclusive<u32> = 4..=27;
const USER_PREFIX_V6: u32 = 64;

/// Checks every interface.
pub(super) fn all(def: &DomainDef) -> Result<()> {
    def.devices.interfaces.iter().try_for_each(check)
}

fn check(interface: &InterfaceDef) -> Result<()> {
    let kind = interface.kind;
    let model = interface.model.as_deref().unwrap_or("");
    let virtio = model.starts_with("virtio");
    if kind == InterfaceKind::User {
        guest_addresses(interface)?;
    }
    if kind == InterfaceKind::Vdpa && !virtio {
        return Err(unsupported(format!("invalid model for interface of type '{kind}': '{model}' - must be 'virtio'")));
    }
    if virtio {
        for (name, size) in
            [("rx_queue_size", interface.driver.rx_queue_size), ("tx_queue_size", interface.driver.tx_queue_size)]
        {
            if size.is_some_and(|s| s > 0 && !s.is_power_of_two()) {
                return Err(unsupported(format!("{name} has to be a power of two")));
            }
        }
    }
    let made_by_qemu = matches!(
        kind,
        InterfaceKind::User
            | InterfaceKind::Server
            | InterfaceKind::Client
            | InterfaceKind::Mcast
            | InterfaceKind::Udp
            | InterfaceKind::Internal
            | InterfaceKind::Hostdev
            | InterfaceKind::Vdpa
    );
    let passt = interface.backend.kind == Some(NetBackend::Passt);
    if interface.mtu.is_some() && made_by_qemu && !passt {
        return Err(unsupported(format!("setting MTU on interface type {kind} is not supported yet")));
    }
    match interface.teaming.as_ref().map(|t| t.kind) {
        Some(TeamingKind::Persistent) if !virtio => {
            return Err(unsupported(format!(
                "virtio-net teaming persistent interface must be <model type='virtio'/>, not '{model}'"
            )));
        }
        Some(TeamingKind::Transient) if !matches!(kind, InterfaceKind::Hostdev | InterfaceKind::Network) => {
            return Err(unsupported(format!(
                "virtio-net teaming transient interface must be type='hostdev', not '{kind}'"
            )));
        }
        _ => {}
    }
    if interface.coalesce.is_some() && made_by_qemu {
        return Err(unsupported(format!("coalesce settings on interface type {kind} are not supported")));
    }
    Ok(())
}

/// The one address of each family that QEMU's own router takes.
fn guest_addresses(interface: &InterfaceDef) -> Result<()> {
    if !interface.routes.is_empty() {
        return Err(unsupported("Invalid attempt to set network interface guest-side IP route, not supported by QEMU"));
    }
    let (mut v4, mut v6) = (false, false);
    for ip in &interface.ips {
        if ip.peer.is_some() {
            return Err(unsupported("Invalid attempt to set peer IP for guest"));
        }
        let prefix = ip.prefix.filter(|p| *p > 0);
        if ip.address.is_ipv4() {
            if std::mem::replace(&mut v4, true) {
                return Err(unsupported("Only one IPv4 address per interface is allowed"));
            }
            if prefix.is_some_and(|p| !USER_PREFIXES.contains(&p)) {
                return Err(xml_error("invalid prefix, must be in range of 4-27"));
            }
        } else {
            if std::mem::replace(&mut v6, true) {
                return Err(unsupported("Only one IPv6 address per interface is allowed"));
            }
            if let Some(prefix) = prefix.filter(|p| *p != USER_PREFIX_V6) {
                return Err(unsupported(format!("unsupported IPv6 address prefix='{prefix}' - must be 64")));
            }
        }
    }
    Ok(())
}
