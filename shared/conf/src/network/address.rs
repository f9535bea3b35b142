//! IP addresses with prefix arithmetic and DHCP ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use error::{Code, Domain, Error, Result};

pub use crate::mac::Mac;

/// Most addresses of one DHCP range (libvirt's limit).
const RANGE_MAX: u32 = 65535;

/// Reads an IP address of either family. Scoped IPv6 addresses are not taken: they would not mean the same to dnsmasq and nft.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| short_ipv4(text).map(IpAddr::V4))
}

/// The forms of inet_aton(3) with fewer than four numbers: the last one fills the rest.
fn short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 3 || !parts.iter().all(|p| p.starts_with(|c: char| c.is_ascii_digit())) {
        return None;
    }
    let mut value = 0u32;
    for (at, part) in parts.iter().enumerate() {
        let digits = part.strip_prefix("0x").or(part.strip_prefix("0X"));
        let base = if digits.is_some() {
            16
        } else if part.len() > 1 && part.starts_with('0') {
            8
        } else {
            10
        };
        let number = u32::from_str_radix(digits.unwrap_or(part), base).ok()?;
        let last = at + 1 == parts.len();
        let limit = if last { u32::MAX >> (8 * at) } else { 255 };
        if number > limit {
            return None;
        }
        value |= if last { number } else { number << (24 - 8 * at) };
    }
    Some(Ipv4Addr::from(value))
}

fn bits(ip: IpAddr) -> (u128, u32) {
    match ip {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

fn from_bits(value: u128, width: u32) -> IpAddr {
    match width {
        32 => IpAddr::V4(Ipv4Addr::from(u32::try_from(value).expect("masked to 32 bits"))),
        _ => IpAddr::V6(Ipv6Addr::from(value)),
    }
}

fn host_mask(width: u32, prefix: u32) -> u128 {
    let host = width.saturating_sub(prefix);
    if host == 128 { u128::MAX } else { (1u128 << host) - 1 }
}

/// The address with the host part cleared.
pub fn network_of(ip: IpAddr, prefix: u32) -> IpAddr {
    let (value, width) = bits(ip);
    from_bits(value & !host_mask(width, prefix), width)
}

/// The address with the host part set.
pub fn broadcast_of(ip: IpAddr, prefix: u32) -> IpAddr {
    let (value, width) = bits(ip);
    from_bits(value | host_mask(width, prefix), width)
}

/// Prefix length of a netmask without holes.
pub fn prefix_of_netmask(mask: Ipv4Addr) -> Option<u32> {
    let value = u32::from(mask);
    (value.leading_ones() + value.trailing_zeros() == 32 || value == 0).then(|| value.leading_ones())
}

/// Netmask of a prefix length.
pub fn netmask(prefix: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0))
}

/// Whether `ip` lies in `network`/`prefix`.
pub fn contains(network: IpAddr, prefix: u32, ip: IpAddr) -> bool {
    network.is_ipv4() == ip.is_ipv4() && network_of(network, prefix) == network_of(ip, prefix)
}

fn internal(detail: String) -> Error {
    Error::new(Domain::None, Code::InternalError, detail)
}

/// Number of addresses from `start` to `end`, both included; with `network` (an address and its prefix) the range must lie inside it and clear of its ends.
///
/// # Errors
/// libvirt's texts, code INTERNAL_ERROR.
pub fn range_size(start: IpAddr, end: IpAddr, network: Option<(IpAddr, u32)>) -> Result<u32> {
    if start.is_ipv4() != end.is_ipv4() {
        return Err(internal(format!("mismatch of address family in range {start} - {end}")));
    }
    let ((low, width), (high, _)) = (bits(start), bits(end));
    if let Some((address, prefix)) = network {
        if address.is_ipv4() != start.is_ipv4() {
            return Err(internal(format!("mismatch of address family in range {start} - {end} for network {address}")));
        }
        if !contains(address, prefix, start) || !contains(address, prefix, end) {
            return Err(internal(format!("range {start} - {end} is not entirely within network {address}/{prefix}")));
        }
        if start.is_ipv4() && prefix < 31 {
            if start == network_of(address, prefix) {
                return Err(internal(format!(
                    "start of range {start} - {end} in network {address}/{prefix} is the network address"
                )));
            }
            if end == broadcast_of(address, prefix) {
                return Err(internal(format!(
                    "end of range {start} - {end} in network {address}/{prefix} is the broadcast address"
                )));
            }
        }
    }
    if low > high {
        return Err(internal(format!("range {start} - {end} is reversed ")));
    }
    let size = high - low;
    if size > u128::from(RANGE_MAX) || (width == 128 && low >> 16 != high >> 16) {
        return Err(internal(format!("range {start} - {end} is too large (> 65535)")));
    }
    Ok(u32::try_from(size).expect("at most 65535") + 1)
}

/// Domain name under which reverse lookups of the network fall, without the final dot; `None` for prefixes that no name expresses.
pub fn reverse_domain(ip: IpAddr, prefix: u32) -> Option<String> {
    match ip {
        IpAddr::V4(v4) => {
            if prefix == 0 || prefix >= 32 || !prefix.is_multiple_of(8) {
                return None;
            }
            let octets = v4.octets();
            let names: Vec<_> = octets[..usize::try_from(prefix / 8).ok()?].iter().rev().map(u8::to_string).collect();
            Some(format!("{}.in-addr.arpa", names.join(".")))
        }
        IpAddr::V6(v6) => {
            if prefix == 0 || prefix >= 128 || !prefix.is_multiple_of(4) {
                return None;
            }
            let value = u128::from(v6);
            let names: Vec<_> =
                (0..prefix / 4).rev().map(|at| format!("{:x}", value >> (124 - 4 * at) & 0xf)).collect();
            Some(format!("{}.ip6.arpa", names.join(".")))
        }
    }
}
