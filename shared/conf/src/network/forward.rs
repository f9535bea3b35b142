//! `<forward>`: how packets leave the network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use error::Result;
use xml::{Node, Vocabulary, Writer, text_enum};

use super::address::{parse_ip, range_size};
use super::{FormatFlags, unsupported, xml_error};

text_enum! {
    /// How packets leave.
    pub enum ForwardMode {
        Nat = "nat", Route = "route", Open = "open", Bridge = "bridge", Private = "private", Vepa = "vepa", Passthrough = "passthrough", Hostdev = "hostdev",
    }
}

text_enum! {
    /// Host driver that guests' PCI functions are bound to.
    pub enum DriverName { Kvm = "kvm", Vfio = "vfio", Xen = "xen" }
}

/// `<forward>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// How packets leave.
    pub mode: ForwardMode,
    /// Host devices are detached from their driver by us.
    pub managed: bool,
    /// Driver of host devices.
    pub driver: Option<DriverName>,
    /// Kernel module that is that driver.
    pub driver_model: Option<String>,
    /// Address translation settings.
    pub nat: Nat,
    /// Physical function whose virtual functions form the pool.
    pub pf: Option<String>,
    /// Pool of devices; the first one is also `forward dev`.
    pub devices: Vec<Device>,
}

/// A device of the pool.
#[derive(Clone, Debug, PartialEq)]
pub enum Device {
    /// By interface name.
    Interface(String),
    /// By PCI address.
    Pci(PciAddress),
}

/// A PCI function of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciAddress {
    /// PCI domain (segment).
    pub domain: u32,
    /// Bus.
    pub bus: u32,
    /// Slot.
    pub slot: u32,
    /// Function.
    pub function: u32,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

/// `<nat>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nat {
    /// IPv6 is translated too.
    pub ipv6: Option<bool>,
    /// Source addresses to take.
    pub addresses: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Source ports to take.
    pub ports: Option<(u16, u16)>,
}

impl Forward {
    /// `None` for `mode='none'`.
    pub(super) fn parse(node: Node<'_>, network: &str) -> Result<Option<Self>> {
        let mode = match node.attr("mode") {
            None | Some("") => ForwardMode::Nat,
            Some("none") => return Ok(None),
            Some(word) => {
                ForwardMode::from_word(word).ok_or_else(|| unsupported(format!("unknown forwarding type '{word}'")))?
            }
        };
        let managed = mode == ForwardMode::Hostdev && node.attr("managed") == Some("yes");
        let driver = match node.child("driver") {
            Some(n) => n.word("name")?,
            None => None,
        };
        let interfaces: Vec<_> = node.children("interface").collect();
        let addresses: Vec<_> = node.children("address").collect();
        let pfs: Vec<_> = node.children("pf").collect();
        let nats: Vec<_> = node.children("nat").collect();
        if pfs.len() > 1 {
            return Err(xml_error(format!("Only one <pf> element is allowed in <forward> of network {network}")));
        }
        if nats.len() > 1 {
            return Err(xml_error(format!("Only one <nat> element is allowed in <forward> of network {network}")));
        }
        let nat = nats.first().map(|n| Nat::parse(*n, mode, network)).transpose()?.unwrap_or_default();
        let dev = node.non_empty("dev");
        if dev.is_some() && (!addresses.is_empty() || !pfs.is_empty()) {
            let detail = format!(
                "the <forward> 'dev' attribute cannot be used when <address> or <pf> sub-elements are present in network {network}"
            );
            return Err(xml_error(detail));
        }
        let pf = match pfs.first() {
            None => None,
            Some(n) => {
                let missing =
                    || xml_error(format!("Missing required dev attribute in <pf> element of network '{network}'"));
                Some(n.non_empty("dev").ok_or_else(missing)?)
            }
        };
        // of several kinds of device the first one counts, as in libvirt
        let (devices, pf) = if dev.is_some() || !interfaces.is_empty() {
            (named(dev, &interfaces, network)?, None)
        } else if !addresses.is_empty() {
            (by_address(&addresses, network)?, None)
        } else {
            (Vec::new(), pf)
        };
        let driver_model = node.child("driver").and_then(|n| n.string("model"));
        Ok(Some(Self { mode, managed, driver, driver_model, nat, pf, devices }))
    }

    /// First device when it has a name: `forward dev`.
    pub fn dev(&self) -> Option<&str> {
        match self.devices.first() {
            Some(Device::Interface(name)) if self.pf.is_none() => Some(name),
            _ => None,
        }
    }

    pub(super) fn write(&self, w: &mut Writer, flags: FormatFlags, connections: &dyn Fn(&Device) -> u32) {
        w.element("forward", |w| {
            w.attr_opt("dev", self.dev());
            w.attr("mode", self.mode);
            if self.mode == ForwardMode::Hostdev {
                w.yes_no("managed", Some(self.managed));
            }
            w.element_if_any("driver", |w| {
                w.attr_opt("name", self.driver);
                w.attr_opt("model", self.driver_model.as_deref());
            });
            self.nat.write(w);
            if let Some(pf) = &self.pf {
                w.element("pf", |w| w.attr("dev", pf));
            }
            if self.pf.is_none() || !flags.inactive {
                for device in &self.devices {
                    let count = if flags.inactive { 0 } else { connections(device) };
                    device.write(w, count);
                }
            }
        });
    }
}

impl Device {
    fn write(&self, w: &mut Writer, connections: u32) {
        let connections = (connections > 0).then_some(connections);
        match self {
            Self::Interface(name) => w.element("interface", |w| {
                w.attr("dev", name);
                w.attr_opt("connections", connections);
            }),
            Self::Pci(pci) => w.element("address", |w| {
                w.attr("type", "pci");
                w.attr("domain", format_args!("{:#06x}", pci.domain));
                w.attr("bus", format_args!("{:#04x}", pci.bus));
                w.attr("slot", format_args!("{:#04x}", pci.slot));
                w.attr("function", format_args!("{:#x}", pci.function));
                w.attr_opt("connections", connections);
            }),
        }
    }
}

fn named(dev: Option<String>, interfaces: &[Node<'_>], network: &str) -> Result<Vec<Device>> {
    let mut names: Vec<String> = dev.iter().cloned().collect();
    for (at, node) in interfaces.iter().enumerate() {
        let missing = || {
            xml_error(format!("Missing required dev attribute in <forward> <interface> element of network {network}"))
        };
        let name = node.non_empty("dev").ok_or_else(missing)?;
        if at == 0
            && let Some(dev) = &dev
        {
            // `forward dev` repeats the first interface
            if *dev != name {
                return Err(xml_error(format!(
                    "<forward dev='{dev}'> must match first <interface dev='{name}'/> in network {network}"
                )));
            }
            continue;
        }
        if names.contains(&name) {
            return Err(xml_error(format!("interface '{name}' can only be listed once in network {network}")));
        }
        names.push(name);
    }
    Ok(names.into_iter().map(Device::Interface).collect())
}

fn by_address(nodes: &[Node<'_>], network: &str) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for node in nodes {
        match node.attr("type") {
            None => return Err(xml_error(format!("missing address type in network {network}"))),
            Some("pci") => {}
            Some("netdev") => return Err(xml_error(format!("unsupported address type 'netdev' in network {network}"))),
            Some(other) => {
                let detail = format!("unknown address type '{other}' in network {network}");
                return Err(error::Error::new(error::Domain::Network, error::Code::ConfigUnsupported, detail));
            }
        }
        let pci = parse_pci(*node)?;
        if devices.contains(&Device::Pci(pci)) {
            return Err(xml_error(format!("PCI device '{pci}' can only be listed once in network {network}")));
        }
        devices.push(Device::Pci(pci));
    }
    Ok(devices)
}

/// Reads the attributes of a host PCI address.
///
/// # Errors
/// libvirt's texts for values out of range.
pub fn parse_pci(node: Node<'_>) -> Result<PciAddress> {
    let number = |name| node.u32_base(name, 0).map(Option::unwrap_or_default);
    let pci = PciAddress {
        domain: number("domain")?,
        bus: number("bus")?,
        slot: number("slot")?,
        function: number("function")?,
    };
    let over = |name: &str, value: u32, max: u32| {
        let shown = format!("Invalid PCI address {name}='0x{value:x}', must be <= 0x{max:X}");
        error::Error::new(error::Domain::None, error::Code::XmlError, shown)
    };
    for (name, value, max) in [
        ("domain", pci.domain, 0xffff),
        ("bus", pci.bus, 0xff),
        ("slot", pci.slot, 0x1f),
        ("function", pci.function, 7),
    ] {
        if value > max {
            return Err(over(name, value, max));
        }
    }
    Ok(pci)
}

impl Nat {
    fn parse(node: Node<'_>, mode: ForwardMode, network: &str) -> Result<Self> {
        if mode != ForwardMode::Nat {
            let detail =
                format!("The <nat> element can only be used when <forward> 'mode' is 'nat' in network {network}");
            return Err(xml_error(detail));
        }
        let ipv6 = node.yes_no("ipv6")?;
        let addresses: Vec<_> = node.children("address").collect();
        let ports: Vec<_> = node.children("port").collect();
        if addresses.len() > 1 {
            return Err(xml_error(format!(
                "Only one <address> element is allowed in <nat> in <forward> in network {network}"
            )));
        }
        if ports.len() > 1 {
            return Err(xml_error(format!(
                "Only one <port> element is allowed in <nat> in <forward> in network {network}"
            )));
        }
        Ok(Self {
            ipv6,
            addresses: addresses.first().map(|n| address_range(*n, network)).transpose()?,
            ports: ports.first().map(|n| port_range(*n, network)).transpose()?.filter(|p| *p != (0, 0)),
        })
    }

    fn write(&self, w: &mut Writer) {
        w.element_if_any("nat", |w| {
            w.yes_no("ipv6", self.ipv6);
            if let Some((start, end)) = self.addresses {
                w.element("address", |w| {
                    w.attr("start", start);
                    w.attr("end", end);
                });
            }
            if let Some((start, end)) = self.ports {
                w.element("port", |w| {
                    w.attr("start", start);
                    w.attr("end", end);
                });
            }
        });
    }
}

fn address_range(node: Node<'_>, network: &str) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let mut ends = [Ipv4Addr::UNSPECIFIED; 2];
    for (end, name) in ends.iter_mut().zip(["start", "end"]) {
        let missing = || {
            xml_error(format!(
                "missing '{name}' attribute in <address> element in <nat> in <forward> in network {network}"
            ))
        };
        let text = node.non_empty(name).ok_or_else(missing)?;
        *end = match parse_ip(&text) {
            Some(IpAddr::V4(v4)) => v4,
            _ => {
                return Err(xml_error(format!(
                    "Bad ipv4 {name} address '{text}' in <nat> in <forward> in network '{network}'"
                )));
            }
        };
    }
    let [start, end] = ends;
    range_size(start.into(), end.into(), None)?;
    Ok((start, end))
}

fn port_range(node: Node<'_>, network: &str) -> Result<(u16, u16)> {
    let mut ends = [0u16; 2];
    for (end, name) in ends.iter_mut().zip(["start", "end"]) {
        let port = node.attr(name).and_then(|t| xml::parse_u64(t, 10)).and_then(|n| u16::try_from(n).ok());
        *end = port.ok_or_else(|| bad_port(name, network))?;
    }
    if ends[1] < ends[0] {
        return Err(bad_port("end", network));
    }
    Ok((ends[0], ends[1]))
}

fn bad_port(name: &str, network: &str) -> error::Error {
    let detail = format!("Missing or invalid '{name}' attribute in <port> in <nat> in <forward> in network {network}");
    error::Error::new(error::Domain::Network, error::Code::XmlDetail, detail)
}
