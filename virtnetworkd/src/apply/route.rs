//! Which IPv4 networks the host reaches already.

use std::net::Ipv4Addr;

use conf::network::NetworkDef;
use conf::network::address::{netmask, network_of};
use error::{Code, Domain, Error, Result};

/// A row of the kernel's routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Interface.
    pub dev: String,
    /// Destination.
    pub to: Ipv4Addr,
    /// Its mask.
    pub mask: Ipv4Addr,
}

/// Reads the table in the form of `/proc/net/route`.
pub fn parse(text: &str) -> Vec<Row> {
    let address = |hex: &str| u32::from_str_radix(hex, 16).ok().map(|n| Ipv4Addr::from(n.swap_bytes()));
    let rows = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [dev, to, _, _, _, _, _, mask, ..] = fields.as_slice() else { return None };
        Some(Row { dev: (*dev).to_owned(), to: address(to)?, mask: address(mask)? })
    });
    rows.collect()
}

/// Refuses a network that the host reaches over another interface.
///
/// # Errors
/// INTERNAL_ERROR with libvirt's text, which names the interface.
pub fn check(def: &NetworkDef, bridge: &str) -> Result<()> {
    // without the table nothing can be said against the network
    let Ok(text) = std::fs::read_to_string("/proc/net/route") else { return Ok(()) };
    collision(def, bridge, &parse(&text))
}

fn collision(def: &NetworkDef, bridge: &str, rows: &[Row]) -> Result<()> {
    let internal = |detail: String| Err(Error::new(Domain::None, Code::InternalError, detail));
    for row in rows.iter().filter(|row| row.dev != bridge && !row.mask.is_unspecified()) {
        let same = |address: std::net::IpAddr, prefix: u32| {
            address.is_ipv4()
                && network_of(address, prefix) == std::net::IpAddr::V4(row.to)
                && netmask(prefix) == row.mask
        };
        if def.ips.iter().any(|ip| ip.effective_prefix().is_some_and(|p| same(ip.address, p))) {
            return internal(format!("Network is already in use by interface {}", row.dev));
        }
        for route in &def.routes {
            if same(route.address, route.effective_prefix()) {
                return internal(format!(
                    "Route address '{}' conflicts with IP address for '{}'",
                    route.address, row.dev
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0100630A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t0000630A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn the_same_network_elsewhere_is_a_conflict() {
        let rows = parse(TABLE);
        assert_eq!(
            rows[1],
            Row { dev: "eth0".into(), to: Ipv4Addr::new(10, 99, 0, 0), mask: Ipv4Addr::new(255, 255, 255, 0) }
        );
        let network = |ip: &str| {
            NetworkDef::parse(&format!("<network><name>n</name><ip address='{ip}' netmask='255.255.255.0'/></network>"))
                .unwrap()
        };
        let clash = collision(&network("10.99.0.1"), "br0", &rows).unwrap_err();
        assert_eq!(clash.message, "internal error: Network is already in use by interface eth0");
        assert!(collision(&network("10.98.0.1"), "br0", &rows).is_ok());
        assert!(collision(&network("10.99.0.1"), "eth0", &rows).is_ok(), "its own bridge");
    }
}
