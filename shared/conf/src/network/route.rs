//! `<route>`: a network behind one of the guests.

use std::net::{IpAddr, Ipv4Addr};

use error::Result;
use xml::{Node, Writer};

use super::address::{network_of, parse_ip, prefix_of_netmask};
use super::xml_error;

/// `<route>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The `family` attribute as written.
    pub family: Option<String>,
    /// Network behind the gateway.
    pub address: IpAddr,
    /// Its netmask, when given so.
    pub netmask: Option<Ipv4Addr>,
    /// Its prefix length, when given so.
    pub prefix: Option<u32>,
    /// Guest that knows the way.
    pub gateway: IpAddr,
    /// Priority among routes, at least 1.
    pub metric: Option<u32>,
}

impl Route {
    pub(super) fn parse(node: Node<'_>, network: &str) -> Result<Self> {
        let family = node.string("family");
        let prefix = node.u32("prefix")?;
        let metric = node.u32_nonzero("metric")?;
        let Some(text) = node.attr("address") else {
            return Err(xml_error(format!("{network}: Missing required address attribute in route definition")));
        };
        let address = parse_ip(text)
            .ok_or_else(|| xml_error(format!("{network}: Bad network address '{text}' in route definition")))?;
        let Some(gateway_text) = node.attr("gateway") else {
            return Err(xml_error(format!("{network}: Missing required gateway attribute in route definition")));
        };
        let gateway = parse_ip(gateway_text)
            .ok_or_else(|| xml_error(format!("{network}: Bad gateway address '{gateway_text}' in route definition")))?;
        let netmask = match node.attr("netmask") {
            None => None,
            Some(t) => match parse_ip(t) {
                Some(IpAddr::V4(v4)) => Some(v4),
                _ => return Err(xml_error(format!("{network}: Bad netmask address '{t}' in route definition"))),
            },
        };
        match family.as_deref() {
            None | Some("ipv4") => {
                let shown = if family.is_none() { "No" } else { "ipv4" };
                if address.is_ipv6() {
                    let detail = format!(
                        "{network}: {shown} family specified for non-IPv4 address '{text}' in route definition"
                    );
                    return Err(xml_error(detail));
                }
                if gateway.is_ipv6() {
                    let detail = format!(
                        "{network}: {shown} family specified for non-IPv4 gateway '{text}' in route definition"
                    );
                    return Err(xml_error(detail));
                }
                if netmask.is_some() && prefix.is_some() {
                    return Err(xml_error(format!(
                        "{network}: Route definition cannot have both a prefix and a netmask"
                    )));
                }
                if let Some(p) = prefix.filter(|p| *p > 32) {
                    return Err(xml_error(format!(
                        "{network}: Invalid prefix {p} specified in route definition, must be 0 - 32"
                    )));
                }
            }
            Some("ipv6") => {
                if address.is_ipv4() {
                    let detail =
                        format!("{network}: ipv6 family specified for non-IPv6 address '{text}' in route definition");
                    return Err(xml_error(detail));
                }
                if netmask.is_some() {
                    let detail =
                        format!("{network}: Specifying netmask invalid for IPv6 address '{text}' in route definition");
                    return Err(xml_error(detail));
                }
                if gateway.is_ipv4() {
                    let detail = format!(
                        "{network}: ipv6 specified for non-IPv6 gateway address '{gateway_text}' in route definition"
                    );
                    return Err(xml_error(detail));
                }
                if let Some(p) = prefix.filter(|p| *p > 128) {
                    return Err(xml_error(format!(
                        "{network}: Invalid prefix {p} specified in route definition, must be 0 - 128"
                    )));
                }
            }
            Some(other) => {
                return Err(xml_error(format!("{network}: Unrecognized family '{other}' in route definition")));
            }
        }
        let route = Self { family, address, netmask, prefix, gateway, metric };
        let size = route.effective_prefix();
        if network_of(address, size) != address {
            return Err(xml_error(format!("{network}: Address '{text}' in route definition is not a network address")));
        }
        Ok(route)
    }

    /// Prefix length however it was given; without one, or with a netmask that has holes, it is the default route.
    pub fn effective_prefix(&self) -> u32 {
        self.prefix.or_else(|| self.netmask.and_then(prefix_of_netmask)).unwrap_or(0)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.element("route", |w| {
            w.attr_opt("family", self.family.as_deref());
            w.attr("address", self.address);
            w.attr_opt("netmask", self.netmask);
            w.attr_opt("prefix", self.prefix);
            w.attr("gateway", self.gateway);
            w.attr_opt("metric", self.metric);
        });
    }
}
