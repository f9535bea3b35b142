//! `<dhcp>`: which addresses guests are given.

use std::fmt;
use std::net::IpAddr;

use error::Result;
use xml::{Node, Writer, text_enum};

use super::address::{Mac, parse_ip, range_size};
use super::{unsupported, xml_error};

text_enum! {
    /// Unit of a lease time.
    pub enum LeaseUnit { Seconds = "seconds", Minutes = "minutes", Hours = "hours" }
}

/// `<dhcp>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dhcp {
    /// Dynamic addresses.
    pub ranges: Vec<DhcpRange>,
    /// Static addresses.
    pub hosts: Vec<DhcpHost>,
    /// Boot file.
    pub bootp: Option<Bootp>,
}

/// `<range>`.
#[derive(Clone, Debug, PartialEq)]
pub struct DhcpRange {
    /// First address.
    pub start: IpAddr,
    /// Last address.
    pub end: IpAddr,
    /// How long an address is given for.
    pub lease: Option<Lease>,
}

/// `<host>`: who gets which address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DhcpHost {
    /// Hardware address, as written.
    pub mac: Option<String>,
    /// DHCPv6 client id (DUID).
    pub id: Option<String>,
    /// Host name that is asked with or given.
    pub name: Option<String>,
    /// The address.
    pub ip: Option<IpAddr>,
    /// How long it is given for.
    pub lease: Option<Lease>,
}

/// `<lease>`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease {
    /// Time in `unit`; 0 is forever.
    pub expiry: u64,
    /// Unit of `expiry`.
    pub unit: LeaseUnit,
}

/// `<bootp>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootp {
    /// Boot file name.
    pub file: String,
    /// Server that has it, when it is not this one.
    pub server: Option<IpAddr>,
}

impl Dhcp {
    /// Reads `<dhcp>` of the address `ip`/`prefix`.
    pub(super) fn parse(node: Node<'_>, ip: IpAddr, prefix: Option<u32>, network: &str) -> Result<Self> {
        let mut dhcp = Self::default();
        for n in node.elements() {
            match n.name() {
                "range" if n.is("range") => dhcp.ranges.push(DhcpRange::parse(n, ip, prefix, network)?),
                "host" if n.is("host") => dhcp.hosts.push(DhcpHost::parse(n, ip, network, false)?),
                "bootp" if n.is("bootp") && ip.is_ipv4() => {
                    let file = n.required("file")?.to_owned();
                    let server = match n.attr("server") {
                        None => None,
                        Some(text) => Some(parse_ip(text).ok_or_else(|| address_error(text))?),
                    };
                    dhcp.bootp = Some(Bootp { file, server });
                }
                _ => {}
            }
        }
        Ok(dhcp)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        if self.ranges.is_empty() && self.hosts.is_empty() {
            return;
        }
        w.element("dhcp", |w| {
            for range in &self.ranges {
                w.element("range", |w| {
                    w.attr("start", range.start);
                    w.attr("end", range.end);
                    Lease::write(range.lease, w);
                });
            }
            for host in &self.hosts {
                host.write(w);
            }
            if let Some(bootp) = &self.bootp {
                w.element("bootp", |w| {
                    w.attr("file", &bootp.file);
                    w.attr_opt("server", bootp.server);
                });
            }
        });
    }
}

fn address_error(text: &str) -> error::Error {
    let detail = format!("Cannot parse socket address '{text}': Name or service not known");
    error::Error::new(error::Domain::None, error::Code::SystemError, detail)
}

impl DhcpRange {
    pub(super) fn parse(node: Node<'_>, ip: IpAddr, prefix: Option<u32>, network: &str) -> Result<Self> {
        let end = |name: &str| -> Result<IpAddr> {
            let missing = || xml_error(format!("Missing '{name}' attribute in dhcp range for network '{network}'"));
            let text = node.attr(name).ok_or_else(missing)?;
            parse_ip(text).ok_or_else(|| address_error(text))
        };
        let (start, end) = (end("start")?, end("end")?);
        range_size(start, end, prefix.map(|p| (ip, p)))?;
        Ok(Self { start, end, lease: Lease::parse(node)? })
    }
}

impl DhcpHost {
    /// Reads `<host>`; a `partial` one, as updates that delete carry, needs only something to find it by.
    pub(super) fn parse(node: Node<'_>, parent: IpAddr, network: &str, partial: bool) -> Result<Self> {
        let v6 = parent.is_ipv6();
        let mac = node.string("mac");
        if let Some(text) = &mac {
            if v6 {
                let detail = format!(
                    "Invalid to specify MAC address '{text}' in network '{network}' IPv6 static host definition"
                );
                return Err(xml_error(detail));
            }
            let mac = Mac::parse(text)
                .ok_or_else(|| xml_error(format!("Cannot parse MAC address '{text}' in network '{network}'")))?;
            if mac.is_multicast() {
                return Err(xml_error(format!(
                    "expected unicast mac address, found multicast '{text}' in network '{network}'"
                )));
            }
        }
        let id = node.string("id");
        if let Some(text) = &id
            && let Some(c) = text.chars().find(|c| !c.is_ascii_hexdigit() && *c != ':')
        {
            return Err(xml_error(format!("Invalid character '{c}' in id '{text}' of network '{network}'")));
        }
        let name = node.string("name");
        if let Some(text) = &name
            && !text.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Err(xml_error(format!("Cannot use host name '{text}' in network '{network}'")));
        }
        let ip = match node.attr("ip") {
            None => None,
            Some(text) => {
                let invalid =
                    || xml_error(format!("Invalid IP address in static host definition for network '{network}'"));
                Some(parse_ip(text).ok_or_else(invalid)?)
            }
        };
        if partial {
            if mac.is_none() && name.is_none() && ip.is_none() && id.is_none() {
                let detail = format!(
                    "At least one of name, mac, or ip attribute must be specified for static host definition in network '{network}'"
                );
                return Err(xml_error(detail));
            }
        } else {
            if v6 && id.is_none() && name.is_none() {
                return Err(xml_error(format!(
                    "Static host definition in IPv6 network '{network}' must have id or name attribute"
                )));
            }
            if !v6 && mac.is_none() && name.is_none() {
                return Err(xml_error(format!(
                    "Static host definition in IPv4 network '{network}' must have mac or name attribute"
                )));
            }
            if ip.is_none() {
                return Err(xml_error(format!("Missing IP address in static host definition for network '{network}'")));
            }
        }
        Ok(Self { mac, id, name, ip, lease: Lease::parse(node)? })
    }

    fn write(&self, w: &mut Writer) {
        w.element("host", |w| {
            w.attr_opt("mac", self.mac.as_deref());
            w.attr_opt("id", self.id.as_deref());
            w.attr_opt("name", self.name.as_deref());
            w.attr_opt("ip", self.ip);
            Lease::write(self.lease, w);
        });
    }
}

impl Lease {
    fn parse(parent: Node<'_>) -> Result<Option<Self>> {
        let Some(node) = parent.child("lease") else { return Ok(None) };
        let Some(expiry) = node.u64("expiry")? else { return Ok(None) };
        let unit = node.word("unit")?.unwrap_or(LeaseUnit::Minutes);
        // dnsmasq takes no less
        let short = match unit {
            LeaseUnit::Seconds => expiry < 120,
            LeaseUnit::Minutes => expiry < 2,
            LeaseUnit::Hours => false,
        };
        if expiry > 0 && short {
            return Err(unsupported("The minimum lease time should be greater than 2 minutes"));
        }
        Ok(Some(Self { expiry, unit }))
    }

    fn write(lease: Option<Self>, w: &mut Writer) {
        let Some(lease) = lease else { return };
        w.element("lease", |w| {
            w.attr("expiry", lease.expiry);
            if lease.expiry > 0 {
                w.attr("unit", lease.unit);
            }
        });
    }
}

/// The time as dnsmasq reads it.
impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.expiry, self.unit) {
            (0, _) => f.write_str("infinite"),
            (n, LeaseUnit::Seconds) => write!(f, "{n}s"),
            (n, LeaseUnit::Minutes) => write!(f, "{n}m"),
            (n, LeaseUnit::Hours) => write!(f, "{n}h"),
        }
    }
}
