//! Addresses and routes given to interfaces.

use error::Result;
use std::net::IpAddr;
use xml::{Node, Writer};

use crate::domain::fault::{unsupported, xml_error};

/// `<ip address= family= prefix= peer=/>`
#[derive(Clone, Debug, PartialEq)]
pub struct GuestIp {
    pub address: IpAddr,
    pub prefix: Option<u32>,
    pub peer: Option<IpAddr>,
}

/// `<route>`
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub family: String,
    pub address: IpAddr,
    pub netmask: Option<IpAddr>,
    pub prefix: Option<u32>,
    pub gateway: IpAddr,
    pub metric: Option<u32>,
}

fn address(node: Node<'_>, name: &str) -> Result<Option<IpAddr>> {
    let Some(text) = node.attr(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| xml_error(format!("Invalid address '{text}' in <{}>", node.name())))
}

fn family(address: &IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

impl GuestIp {
    /// Reads `<ip>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let text = node.attr("address").ok_or_else(|| xml_error("Missing network address"))?;
        let address: IpAddr = text.parse().map_err(|_| xml_error(format!("Failed to parse IP address: '{text}'")))?;
        let prefix = node.u32("prefix")?;
        if prefix.is_some_and(|p| p > if address.is_ipv4() { 32 } else { 128 }) {
            return Err(xml_error(format!(
                "Invalid prefix value '{}' for {}",
                prefix.unwrap_or_default(),
                family(&address)
            )));
        }
        Ok(Self { address, prefix, peer: self::address(node, "peer")? })
    }

    /// Writes `<ip>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("ip", |w| {
            w.attr("address", self.address);
            w.attr("family", family(&self.address));
            w.attr_opt("prefix", self.prefix.filter(|p| *p > 0));
            w.attr_opt("peer", self.peer);
        });
    }
}

impl Route {
    /// Reads `<route>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let address = self::address(node, "address")?
            .ok_or_else(|| xml_error("Missing required address attribute in route definition"))?;
        let gateway = self::address(node, "gateway")?
            .ok_or_else(|| xml_error("Missing required gateway attribute in route definition"))?;
        if address.is_ipv4() != gateway.is_ipv4() {
            return Err(unsupported("Route address and gateway are of different families"));
        }
        let family = node.attr("family").unwrap_or(family(&address)).to_owned();
        Ok(Self {
            family,
            address,
            netmask: self::address(node, "netmask")?,
            prefix: node.u32("prefix")?,
            gateway,
            metric: node.u32("metric")?,
        })
    }

    /// Writes `<route>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("route", |w| {
            w.attr("family", &self.family);
            w.attr("address", self.address);
            w.attr_opt("netmask", self.netmask);
            w.attr_opt("prefix", self.prefix);
            w.attr("gateway", self.gateway);
            w.attr_opt("metric", self.metric);
        });
    }
}
