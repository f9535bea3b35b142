//! `<ip>`: an address of the bridge with the services bound to it.

use std::net::{IpAddr, Ipv4Addr};

use error::Result;
use xml::{Node, Writer};

use super::address::{parse_ip, prefix_of_netmask};
use super::dhcp::Dhcp;
use super::{unsupported, xml_error};

/// `<ip>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ip {
    /// The `family` attribute as written: it is optional for IPv4.
    pub family: Option<String>,
    /// The bridge's address.
    pub address: IpAddr,
    /// Netmask, when that is how the size was given.
    pub netmask: Option<Ipv4Addr>,
    /// Prefix length, when that is how the size was given; 0 is "not given".
    pub prefix: u32,
    /// Reverse lookups of this network are never asked upstream.
    pub local_ptr: Option<bool>,
    /// Folder that TFTP serves.
    pub tftp_root: Option<String>,
    /// Addresses for guests.
    pub dhcp: Dhcp,
}

impl Ip {
    pub(super) fn parse(node: Node<'_>, network: &str) -> Result<Self> {
        let Some(text) = node.attr("address") else {
            return Err(xml_error(format!("Missing required address attribute in network '{network}'")));
        };
        let family = node.string("family");
        let netmask_text = node.string("netmask");
        let prefix = node.u32("prefix")?;
        let local_ptr = node.yes_no("localPtr")?;
        let address =
            parse_ip(text).ok_or_else(|| xml_error(format!("Invalid address '{text}' in network '{network}'")))?;
        let mask = match &netmask_text {
            None => None,
            Some(m) => {
                Some(parse_ip(m).ok_or_else(|| xml_error(format!("Invalid netmask '{m}' in network '{network}'")))?)
            }
        };
        match family.as_deref() {
            None if address.is_ipv6() => {
                return Err(unsupported(format!(
                    "no family specified for non-IPv4 address '{text}' in network '{network}'"
                )));
            }
            Some("ipv4") if address.is_ipv6() => {
                return Err(unsupported(format!(
                    "ipv4 family specified for non-IPv4 address '{text}' in network '{network}'"
                )));
            }
            Some("ipv6") if address.is_ipv4() => {
                return Err(unsupported(format!(
                    "Family 'ipv6' specified for non-IPv6 address '{text}' in network '{network}'"
                )));
            }
            None | Some("ipv4" | "ipv6") => {}
            Some(other) => return Err(xml_error(format!("Unrecognized family '{other}' in network '{network}'"))),
        }
        let netmask = mask.map(|m| check_netmask(m, address, text, prefix, network)).transpose()?;
        if let Some(p) = prefix {
            let (name, max) = if address.is_ipv4() { ("IPv4", 32) } else { ("IPv6", 128) };
            if p > max {
                return Err(unsupported(format!("Invalid {name} prefix '{p}' in network '{network}'")));
            }
        }
        let mut ip = Self {
            family,
            address,
            netmask,
            prefix: prefix.unwrap_or(0),
            local_ptr,
            tftp_root: None,
            dhcp: Dhcp::default(),
        };
        if let Some(n) = node.child("dhcp") {
            ip.dhcp = Dhcp::parse(n, address, ip.effective_prefix(), network)?;
        }
        if let Some(n) = node.child("tftp") {
            if address.is_ipv6() {
                return Err(unsupported(format!(
                    "Unsupported <tftp> element in an IPv6 element in network '{network}'"
                )));
            }
            ip.tftp_root = n.non_empty("root");
        }
        Ok(ip)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.element("ip", |w| {
            w.attr_opt("family", self.family.as_deref());
            w.attr("address", self.address);
            w.attr_opt("netmask", self.netmask);
            if self.prefix > 0 {
                w.attr("prefix", self.prefix);
            }
            w.yes_no("localPtr", self.local_ptr);
            // libvirt closes this element with a tag of its own even when it is empty
            w.content();
            if let Some(root) = &self.tftp_root {
                w.element("tftp", |w| w.attr("root", root));
            }
            self.dhcp.write(w);
        });
    }

    /// Whether the address is IPv6.
    pub fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Prefix length however it was given: by prefix, by netmask, else IPv4's natural class or IPv6's 64. `None` for a netmask with holes.
    pub fn effective_prefix(&self) -> Option<u32> {
        if self.prefix > 0 {
            return Some(self.prefix);
        }
        match (self.netmask, self.address) {
            (Some(mask), _) => prefix_of_netmask(mask),
            (None, IpAddr::V4(v4)) => Some(match v4.octets()[0] {
                0..=127 => 8,
                128..=191 => 16,
                192..=223 => 24,
                // reserved and multicast space has no natural size
                _ => 24,
            }),
            (None, IpAddr::V6(_)) => Some(64),
        }
    }
}

fn check_netmask(mask: IpAddr, address: IpAddr, text: &str, prefix: Option<u32>, network: &str) -> Result<Ipv4Addr> {
    if address.is_ipv6() {
        return Err(unsupported(format!("netmask not allowed for IPv6 address '{text}' in network '{network}'")));
    }
    if prefix.is_some() {
        return Err(unsupported(format!("Network '{network}' IP address cannot have both a prefix and a netmask")));
    }
    match mask {
        IpAddr::V6(_) => Err(unsupported(format!(
            "Invalid netmask '{mask}' for address '{text}' in network '{network}' (both must be IPv4)"
        ))),
        IpAddr::V4(v4) => Ok(v4),
    }
}
