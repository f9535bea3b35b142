//! `<dns>`: what the network's DNS server answers by itself and whom it asks.

use std::net::IpAddr;

use error::Result;
use xml::{Node, Writer};

use super::address::parse_ip;
use super::{detail, xml_error};

/// Longest name of a SRV record: 512 bytes of a DNS message less the overhead that RFC 2782 mentions.
const SRV_NAME_MAX: usize = 512 - 30;

/// `<dns>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dns {
    /// Whether there is a DNS server at all.
    pub enable: Option<bool>,
    /// Whether names without a dot are asked upstream.
    pub forward_plain_names: Option<bool>,
    /// Upstream servers.
    pub forwarders: Vec<Forwarder>,
    /// Text records.
    pub txts: Vec<Txt>,
    /// Service records.
    pub srvs: Vec<Srv>,
    /// Address records.
    pub hosts: Vec<DnsHost>,
}

/// `<forwarder>`: at least one of the two is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Forwarder {
    /// Only names of this domain.
    pub domain: Option<String>,
    /// The server; without one the domain is never asked upstream.
    pub address: Option<IpAddr>,
}

/// `<txt>`. The value may be absent only in an update that deletes.
#[derive(Clone, Debug, PartialEq)]
pub struct Txt {
    /// Record name.
    pub name: String,
    /// Record value.
    pub value: Option<String>,
}

/// `<srv>`. What is absent is empty or 0; service and protocol only in an update that deletes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Srv {
    /// Service without underscore.
    pub service: Option<String>,
    /// Protocol without underscore.
    pub protocol: Option<String>,
    /// DNS domain.
    pub domain: Option<String>,
    /// Host that serves it.
    pub target: Option<String>,
    /// Port there.
    pub port: u16,
    /// Priority.
    pub priority: u16,
    /// Weight.
    pub weight: u16,
}

/// `<host>`. Either part may be absent only in an update that deletes.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsHost {
    /// Address.
    pub ip: Option<IpAddr>,
    /// Its names.
    pub names: Vec<String>,
}

impl Dns {
    pub(super) fn parse(node: Node<'_>, network: &str) -> Result<Self> {
        let mut dns = Self {
            enable: node.yes_no("enable")?,
            forward_plain_names: node.yes_no("forwardPlainNames")?,
            ..Self::default()
        };
        for n in node.children("forwarder") {
            dns.forwarders.push(Forwarder::parse(n, network)?);
        }
        for n in node.children("host") {
            dns.hosts.push(DnsHost::parse(n, network, false)?);
        }
        for n in node.children("srv") {
            dns.srvs.push(Srv::parse(n, network, false)?);
        }
        for n in node.children("txt") {
            dns.txts.push(Txt::parse(n, network, false)?);
        }
        if dns.enable == Some(false) && dns.has_content() {
            return Err(xml_error(format!("Extra data in disabled network '{network}'")));
        }
        Ok(dns)
    }

    fn has_content(&self) -> bool {
        !(self.forwarders.is_empty() && self.hosts.is_empty() && self.srvs.is_empty() && self.txts.is_empty())
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.element_if_any("dns", |w| {
            w.yes_no("enable", self.enable);
            w.yes_no("forwardPlainNames", self.forward_plain_names);
            for forwarder in &self.forwarders {
                w.element("forwarder", |w| {
                    w.attr_opt("domain", forwarder.domain.as_deref());
                    w.attr_opt("addr", forwarder.address);
                });
            }
            for txt in &self.txts {
                w.element("txt", |w| {
                    w.attr("name", &txt.name);
                    w.attr_opt("value", txt.value.as_deref());
                });
            }
            for srv in &self.srvs {
                srv.write(w);
            }
            for host in &self.hosts {
                w.element("host", |w| {
                    w.attr_opt("ip", host.ip);
                    for name in &host.names {
                        w.leaf("hostname", name);
                    }
                });
            }
        });
    }
}

impl Forwarder {
    fn parse(node: Node<'_>, network: &str) -> Result<Self> {
        let address =
            match node.attr("addr") {
                None => None,
                Some(text) => Some(parse_ip(text).ok_or_else(|| {
                    xml_error(format!("Invalid forwarder IP address '{text}' in network '{network}'"))
                })?),
            };
        let domain = node.string("domain");
        if address.is_none() && domain.is_none() {
            return Err(xml_error("Invalid forwarder element, must contain at least one of addr or domain"));
        }
        Ok(Self { domain, address })
    }
}

impl Txt {
    pub(super) fn parse(node: Node<'_>, network: &str, partial: bool) -> Result<Self> {
        let name = node
            .string("name")
            .ok_or_else(|| detail(format!("missing required name attribute in DNS TXT record of network {network}")))?;
        if name.contains(' ') {
            return Err(detail(format!("prohibited character in DNS TXT record name '{name}' of network {network}")));
        }
        let value = node.string("value");
        if value.is_none() && !partial {
            let text =
                format!("missing required value attribute in DNS TXT record named '{name}' of network {network}");
            return Err(detail(text));
        }
        Ok(Self { name, value })
    }
}

impl Srv {
    pub(super) fn parse(node: Node<'_>, network: &str, partial: bool) -> Result<Self> {
        let service = node.string("service");
        let shown = service.clone().unwrap_or_default();
        if service.is_none() && !partial {
            return Err(detail(format!("missing required service attribute in DNS SRV record of network '{network}'")));
        }
        if shown.len() > SRV_NAME_MAX {
            return Err(detail(format!(
                "service attribute '{shown}' in network '{network}' is too long, limit is {SRV_NAME_MAX} bytes"
            )));
        }
        if !shown.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            let text =
                format!("invalid character in service attribute '{shown}' in DNS SRV record of network '{network}'");
            return Err(detail(text));
        }
        let protocol = node.string("protocol");
        if protocol.is_none() && !partial {
            let text =
                format!("missing required protocol attribute in DNS SRV record '{shown}' of network '{network}'");
            return Err(detail(text));
        }
        if let Some(p) = &protocol
            && !p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        {
            let text =
                format!("invalid character in protocol attribute '{p}' in DNS SRV record of network '{network}'");
            return Err(detail(text));
        }
        let target = node.string("target");
        let number = |name: &str, invalid: &str, least: u64| -> Result<u16> {
            let Some(text) = node.attr(name) else { return Ok(0) };
            let value = xml::parse_u64(text, 10).filter(|n| *n >= least).and_then(|n| u16::try_from(n).ok());
            let wrong =
                || detail(format!("{invalid} DNS SRV {name} attribute for service '{shown}' in network '{network}'"));
            let value = value.ok_or_else(wrong)?;
            if target.is_none() && !partial {
                let text = format!(
                    "DNS SRV {name} attribute not permitted without target for service '{shown}' in network '{network}'"
                );
                return Err(detail(text));
            }
            Ok(value)
        };
        let port = number("port", "invalid", 1)?;
        let priority = number("priority", "Invalid", 0)?;
        let weight = number("weight", "invalid", 0)?;
        Ok(Self { service, protocol, domain: node.string("domain"), target, port, priority, weight })
    }

    fn write(&self, w: &mut Writer) {
        w.element("srv", |w| {
            w.attr_opt("service", self.service.as_deref());
            w.attr_opt("protocol", self.protocol.as_deref());
            w.attr_opt("domain", self.domain.as_deref());
            w.attr_opt("target", self.target.as_deref());
            for (name, value) in [("port", self.port), ("priority", self.priority), ("weight", self.weight)] {
                if value > 0 {
                    w.attr(name, value);
                }
            }
        });
    }
}

impl DnsHost {
    pub(super) fn parse(node: Node<'_>, network: &str, partial: bool) -> Result<Self> {
        let invalid = || detail(format!("Invalid IP address in network '{network}' DNS HOST record"));
        let ip = match node.attr("ip") {
            Some(text) => Some(parse_ip(text).ok_or_else(invalid)?),
            None => None,
        };
        let mut names = Vec::new();
        for n in node.children("hostname") {
            let name = n.text();
            if name.is_empty() {
                return Err(detail(format!("Missing hostname in network '{network}' DNS HOST record")));
            }
            names.push(name);
        }
        if names.is_empty() && !partial {
            return Err(detail(format!("Missing hostname in network '{network}' DNS HOST record")));
        }
        if ip.is_none() && !partial {
            return Err(detail(format!("Missing IP address in network '{network}' DNS HOST record")));
        }
        if names.is_empty() && ip.is_none() {
            return Err(detail(format!("Missing ip and hostname in network '{network}' DNS HOST record")));
        }
        Ok(Self { ip, names })
    }
}
