//! Counters and addresses of network interfaces.

use std::fs;

use conf::domain::DomainDef;
use conf::domain::device::interface::{InterfaceDef, InterfaceSource};
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::{Api, check_flags, not_running};
use crate::peer;

pub(super) async fn interface_stats(
    api: &Api,
    _: &Call,
    args: remote::DomainInterfaceStatsArgs,
) -> error::Result<remote::DomainInterfaceStatsRet> {
    let view = api.find(&args.dom)?.view();
    let Some(def) = view.live.as_ref().filter(|_| view.is_active()) else { return Err(not_running()) };
    let missing = || Error::new(From::Domain, Code::InvalidArg, format!("'{}' is not a known interface", args.device));
    let name = find(def, &args.device).and_then(|interface| interface.target.as_deref()).ok_or_else(missing)?;
    counters(name).map_err(|e| Error::system(From::Qemu, &e, format!("cannot read counters of interface '{name}'")))
}

/// Counters of a tap: what the host received, the guest sent.
pub(super) fn counters(name: &str) -> std::io::Result<remote::DomainInterfaceStatsRet> {
    let read = |counter: &str| -> std::io::Result<i64> {
        let text = fs::read_to_string(format!("/sys/class/net/{name}/statistics/{counter}"))?;
        text.trim().parse().map_err(|_| std::io::ErrorKind::InvalidData.into())
    };
    Ok(remote::DomainInterfaceStatsRet {
        rx_bytes: read("tx_bytes")?,
        rx_packets: read("tx_packets")?,
        rx_errs: read("tx_errors")?,
        rx_drop: read("tx_dropped")?,
        tx_bytes: read("rx_bytes")?,
        tx_packets: read("rx_packets")?,
        tx_errs: read("rx_errors")?,
        tx_drop: read("rx_dropped")?,
    })
}

pub(super) fn find<'a>(def: &'a DomainDef, device: &str) -> Option<&'a InterfaceDef> {
    let mac = device.to_ascii_lowercase();
    def.devices.interfaces.iter().find(|i| i.target.as_deref() == Some(device) || i.mac.to_string() == mac)
}

pub(super) async fn interface_addresses(
    api: &Api,
    _: &Call,
    args: remote::DomainInterfaceAddressesArgs,
) -> error::Result<remote::DomainInterfaceAddressesRet> {
    check_flags("qemuDomainInterfaceAddresses", args.flags, 0)?;
    let view = api.find(&args.dom)?.view();
    let Some(def) = view.live.clone().filter(|_| view.is_active()) else { return Err(not_running()) };
    let ifaces = match i32::try_from(args.source).unwrap_or(-1) {
        c::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE => from_leases(api, &def).await?,
        c::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP => from_neighbours(&def)?,
        c::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT => {
            return Err(super::no_agent(&def));
        }
        other => {
            return Err(Error::new(
                From::Qemu,
                Code::ArgumentUnsupported,
                format!("Unknown IP address data source {other}"),
            ));
        }
    };
    Ok(remote::DomainInterfaceAddressesRet { ifaces })
}

async fn from_leases(api: &Api, def: &DomainDef) -> error::Result<Vec<remote::DomainInterface>> {
    let mut found = Vec::new();
    for interface in &def.devices.interfaces {
        let InterfaceSource::Network { name, .. } = &interface.source else { continue };
        let mac = interface.mac.to_string();
        let leases = peer::network::leases(&api.driver, name, &mac).await?;
        if leases.is_empty() {
            continue;
        }
        let addrs = leases.into_iter().map(|lease| remote::DomainIpAddr {
            type_: lease.type_,
            addr: lease.ipaddr,
            prefix: lease.prefix,
        });
        found.push(remote::DomainInterface {
            name: interface.target.clone().unwrap_or_default(),
            hwaddr: Some(mac),
            addrs: addrs.collect(),
        });
    }
    Ok(found)
}

/// What the host's own neighbour table knows of the guests' addresses.
fn from_neighbours(def: &DomainDef) -> error::Result<Vec<remote::DomainInterface>> {
    let table = fs::read_to_string("/proc/net/arp")
        .map_err(|e| Error::system(From::Qemu, &e, "cannot read the neighbour table"))?;
    let mut found = Vec::new();
    for interface in &def.devices.interfaces {
        let mac = interface.mac.to_string();
        let rows = table.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.get(3) == Some(&mac.as_str())).then(|| fields[0].to_owned())
        });
        let addrs: Vec<_> =
            rows.map(|addr| remote::DomainIpAddr { type_: c::VIR_IP_ADDR_TYPE_IPV4, addr, prefix: 0 }).collect();
        if !addrs.is_empty() {
            found.push(remote::DomainInterface {
                name: interface.target.clone().unwrap_or_default(),
                hwaddr: Some(mac),
                addrs,
            });
        }
    }
    Ok(found)
}
