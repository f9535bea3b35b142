//! `<network>`: what a virtual network is, from its document and back.
//!
//! Reading order: [`NetworkDef`] here (the root element and the small elements), then one file an element family ([`forward`], [`bridge`], [`dns`],
//! [`ip`], [`dhcp`], [`route`], [`portgroup`], and the families that guests' interfaces share: [`virtualport`], [`vlan`], [`bandwidth`]), then what sees the
//! whole definition: [`validate`], [`update`], and the two other documents, [`port`] (`<networkport>`) and [`status`] (`<networkstatus>`).
//!
//! Way of data: text → tree → `NetworkDef` → text. Pure: no file, no clock, no randomness (the caller passes fresh identities in).
//! Texts and codes of errors are libvirt's (11.3.0).

pub mod address;
pub mod bandwidth;
pub mod bridge;
pub mod dhcp;
pub mod dns;
pub mod forward;
pub mod ip;
mod line;
pub mod port;
pub mod portgroup;
pub mod route;
pub mod status;
pub mod update;
mod update_dns;
pub mod validate;
pub mod virtualport;
pub mod vlan;

pub use bandwidth::Bandwidth;
pub use bridge::Bridge;
pub use dns::Dns;
pub use forward::{Forward, ForwardMode};
pub use ip::Ip;
pub use port::{NetworkPortDef, Plug};
pub use portgroup::PortGroup;
pub use route::Route;
pub use status::NetworkStatus;
pub use update::{Command, Section};
pub use virtualport::VirtualPort;
pub use vlan::Vlan;

use error::{Code, Domain, Error, Result};
use xml::{Element, Node, Writer};

/// Namespace of `<dnsmasq:options>`.
const DNSMASQ_NAMESPACE: &str = "http://libvirt.org/schemas/network/dnsmasq/1.0";

/// A network as its document defines it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkDef {
    /// Unique name; also the stem of its files.
    pub name: String,
    /// Identity; `None` until the caller gives it one.
    pub uuid: Option<[u8; 16]>,
    /// One line for people.
    pub title: Option<String>,
    /// Text for people.
    pub description: Option<String>,
    /// `<metadata>` with the foreign elements in it.
    pub metadata: Option<Element>,
    /// Guests may talk IPv6 among each other though the host has no IPv6 address here.
    pub ipv6: bool,
    /// Whether the host trusts receive filters that guests ask for.
    pub trust_guest_rx_filters: Option<bool>,
    /// How packets leave; `None` for an isolated network.
    pub forward: Option<Forward>,
    /// The host's bridge.
    pub bridge: Bridge,
    /// Bytes a frame may carry.
    pub mtu: Option<u32>,
    /// Address of the bridge.
    pub mac: Option<address::Mac>,
    /// DNS domain of the guests.
    pub domain: Option<DnsDomain>,
    /// DNS server.
    pub dns: Dns,
    /// Tags of every port.
    pub vlan: Option<Vlan>,
    /// Limits of the whole network.
    pub bandwidth: Option<Bandwidth>,
    /// Ports cannot talk to each other.
    pub isolated_ports: Option<bool>,
    /// Addresses of the bridge, each with its DHCP service.
    pub ips: Vec<Ip>,
    /// Static routes towards guests.
    pub routes: Vec<Route>,
    /// Parameters of the switch that ports attach to.
    pub virtualport: Option<VirtualPort>,
    /// Named sets of port settings.
    pub portgroups: Vec<PortGroup>,
    /// Lines added to dnsmasq's configuration as they are.
    pub dnsmasq_options: Vec<String>,
}

/// `<domain>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DnsDomain {
    /// DNS name.
    pub name: String,
    /// Names of the domain are never asked upstream.
    pub local_only: Option<bool>,
    /// The host's resolver is told of the domain.
    pub register: Option<bool>,
}

/// What a formatted document shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FormatFlags {
    /// Only what was defined: no pool expansion, no connection counts.
    pub inactive: bool,
    /// Ports attached to the network.
    pub connections: u32,
}

/// Parses a document; syntax errors are the network driver's.
pub(crate) fn document(text: &str) -> Result<xml::Document<'_>> {
    xml::parse(text).map_err(|e| Error { domain: Domain::Network as i32, ..e })
}

/// The root element, which has to be `name`.
pub(crate) fn root<'a>(document: &'a xml::Document<'a>, name: &str) -> Result<Node<'a>> {
    let root = document.root();
    if root.is(name) {
        return Ok(root);
    }
    let detail = format!("expecting root element of '{name}', not '{}'", root.name());
    Err(Error::new(Domain::Xml, Code::XmlError, detail))
}

/// A fault of the document in libvirt's other form: the text without a template before it.
pub(crate) fn detail(text: impl Into<String>) -> Error {
    Error::new(Domain::Network, Code::XmlDetail, text)
}

/// A document that is well formed but asks for what is not possible.
pub(crate) fn unsupported(text: impl Into<String>) -> Error {
    Error::new(Domain::Network, Code::ConfigUnsupported, text)
}

pub(crate) fn xml_error(detail: impl Into<String>) -> Error {
    Error::new(Domain::Network, Code::XmlError, detail)
}

impl NetworkDef {
    /// Reads a document.
    ///
    /// # Errors
    /// Syntax errors of [`xml::parse`]; otherwise libvirt's code and text for the first fault.
    pub fn parse(text: &str) -> Result<Self> {
        let document = document(text)?;
        Self::from_node(root(&document, "network")?)
    }

    /// Reads element `<network>`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_node(root: Node<'_>) -> Result<Self> {
        let name = root.child_text("name").ok_or_else(|| Error::plain(Domain::Network, Code::NoName))?;
        let mut def = Self { name, ..Self::default() };
        def.uuid = match root.child_text("uuid") {
            None => None,
            Some(text) => Some(
                xml::parse_uuid(&text)
                    .ok_or_else(|| Error::new(Domain::Network, Code::InternalError, "malformed uuid element"))?,
            ),
        };
        def.title = root.child_text("title");
        def.description = root.child_text("description");
        def.ipv6 = match root.attr("ipv6") {
            None | Some("" | "no") => false,
            Some("yes") => true,
            Some(other) => return Err(xml_error(format!("Invalid ipv6 setting '{other}' in network '{}'", def.name))),
        };
        def.trust_guest_rx_filters = root.yes_no("trustGuestRxFilters")?;
        def.domain = root.child("domain").map(|n| DnsDomain::parse(n)).transpose()?.flatten();
        def.bandwidth = root.child("bandwidth").map(|n| Bandwidth::parse(n, false)).transpose()?.flatten();
        def.vlan = root.child("vlan").map(Vlan::parse).transpose()?;
        def.isolated_ports = root.child("port").map(|n| n.yes_no("isolated")).transpose()?.flatten();
        let mut bridge_node = None;
        for node in root.children("bridge").take(1) {
            bridge_node = Some(node);
        }
        def.bridge = Bridge::parse(bridge_node, &def.name)?;
        def.mac =
            root.child("mac").and_then(|n| n.attr("address")).map(|a| bridge::parse_mac(a, &def.name)).transpose()?;
        def.mtu = match root.child("mtu").and_then(|n| n.attr("size")) {
            None => None,
            Some(text) => {
                let size = xml::parse_u64(text, 10).and_then(|n| u32::try_from(n).ok());
                Some(size.ok_or_else(|| xml_error(format!("Invalid mtu size '{text}' in network '{}'", def.name)))?)
                    .filter(|n| *n > 0)
            }
        };
        def.dns = root.child("dns").map(|n| Dns::parse(n, &def.name)).transpose()?.unwrap_or_default();
        def.virtualport = root.child("virtualport").map(|n| VirtualPort::parse(n, true)).transpose()?;
        for node in root.children("portgroup") {
            def.portgroups.push(PortGroup::parse(node)?);
        }
        for node in root.children("ip") {
            def.ips.push(Ip::parse(node, &def.name)?);
        }
        for node in root.children("route") {
            def.routes.push(Route::parse(node, &def.name)?);
        }
        def.forward = root.child("forward").map(|n| Forward::parse(n, &def.name)).transpose()?.flatten();
        def.check_forward_mode()?;
        if def.has_own_bridge() {
            def.bridge.stp.get_or_insert(true);
        }
        def.check_gateways()?;
        if let Some(options) = root.child_ns(DNSMASQ_NAMESPACE, "options") {
            for option in
                options.elements().filter(|n| n.name() == "option" && n.namespace() == Some(DNSMASQ_NAMESPACE))
            {
                let value = option.string("value").ok_or_else(|| {
                    Error::new(Domain::Network, Code::InternalError, "No dnsmasq options value specified")
                })?;
                def.dnsmasq_options.push(value);
            }
        }
        def.metadata = root.child("metadata").map(Element::from_node).and_then(sanitize);
        def.check_lines()?;
        Ok(def)
    }

    /// The document, as `dumpxml` prints it.
    pub fn format(&self, flags: FormatFlags) -> String {
        self.format_with(flags, |_| 0)
    }

    /// The document with the number of ports that use each device of the pool.
    pub fn format_with(&self, flags: FormatFlags, connections: impl Fn(&forward::Device) -> u32) -> String {
        let mut w = Writer::new();
        self.write(&mut w, flags, &connections);
        w.finish()
    }

    /// Writes element `<network>`.
    pub fn write(&self, w: &mut Writer, flags: FormatFlags, connections: &dyn Fn(&forward::Device) -> u32) {
        w.element("network", |w| {
            if !self.dnsmasq_options.is_empty() {
                w.attr("xmlns:dnsmasq", DNSMASQ_NAMESPACE);
            }
            if !flags.inactive && flags.connections > 0 {
                w.attr("connections", flags.connections);
            }
            if self.ipv6 {
                w.attr("ipv6", "yes");
            }
            w.yes_no("trustGuestRxFilters", self.trust_guest_rx_filters);
            w.leaf("name", &self.name);
            w.leaf_opt("uuid", self.uuid.as_ref().map(xml::format_uuid));
            w.leaf_opt("title", self.title.as_deref());
            w.leaf_opt("description", self.description.as_deref());
            if let Some(metadata) = &self.metadata {
                let text = metadata.format(w.depth());
                w.raw_line(&text);
            }
            if let Some(forward) = &self.forward {
                forward.write(w, flags, connections);
            }
            if self.has_own_bridge() || self.bridge.name.is_some() || self.bridge.mac_table_manager.is_some() {
                self.bridge.write(w, self.has_own_bridge());
            }
            if let Some(size) = self.mtu {
                w.element("mtu", |w| w.attr("size", size));
            }
            if let Some(mac) = self.mac {
                w.element("mac", |w| w.attr("address", mac));
            }
            if let Some(domain) = &self.domain {
                domain.write(w);
            }
            self.dns.write(w);
            if let Some(vlan) = &self.vlan {
                vlan.write(w);
            }
            if let Some(bandwidth) = &self.bandwidth {
                bandwidth.write(w);
            }
            if self.isolated_ports.is_some() {
                w.element("port", |w| w.yes_no("isolated", self.isolated_ports));
            }
            for ip in &self.ips {
                ip.write(w);
            }
            for route in &self.routes {
                route.write(w);
            }
            if let Some(virtualport) = &self.virtualport {
                virtualport.write(w);
            }
            for group in &self.portgroups {
                group.write(w);
            }
            if !self.dnsmasq_options.is_empty() {
                w.element("dnsmasq:options", |w| {
                    for value in &self.dnsmasq_options {
                        w.element("dnsmasq:option", |w| w.attr("value", value));
                    }
                });
            }
        });
    }

    /// How packets leave, `None` when isolated.
    pub fn mode(&self) -> Option<ForwardMode> {
        self.forward.as_ref().map(|f| f.mode)
    }

    /// The mode's word as errors and hooks show it.
    pub fn mode_word(&self) -> &'static str {
        self.mode().map_or("none", xml::Vocabulary::word)
    }

    /// Whether the driver makes the bridge itself: isolated, NAT, routed and open networks.
    pub fn has_own_bridge(&self) -> bool {
        matches!(self.mode(), None | Some(ForwardMode::Nat | ForwardMode::Route | ForwardMode::Open))
    }

    /// First address of a family.
    pub fn first_ip(&self, v6: bool) -> Option<&Ip> {
        self.ips.iter().find(|ip| ip.is_v6() == v6)
    }

    /// The portgroup `name`, or the default one when no name is given.
    pub fn portgroup(&self, name: Option<&str>) -> Option<&PortGroup> {
        self.portgroups.iter().find(|g| name.map_or(g.default, |n| g.name == n))
    }
}

/// Keeps what belongs into metadata: elements of a namespace, one of each.
fn sanitize(mut metadata: Element) -> Option<Element> {
    let mut seen: Vec<String> = Vec::new();
    let had_elements = metadata.children.iter().any(|c| matches!(c, xml::Content::Element(_)));
    metadata.children.retain(|c| match c {
        xml::Content::Element(Element { namespace: Some(uri), .. }) if !uri.is_empty() && !seen.contains(uri) => {
            seen.push(uri.clone());
            true
        }
        _ => false,
    });
    // one that held only elements without a namespace stays as an empty element, as in libvirt
    had_elements.then_some(metadata)
}

impl DnsDomain {
    fn parse(node: Node<'_>) -> Result<Option<Self>> {
        let local_only = node.yes_no("localOnly")?;
        let register = node.yes_no("register")?;
        Ok(node.string("name").map(|name| Self { name, local_only, register }))
    }

    fn write(&self, w: &mut Writer) {
        w.element("domain", |w| {
            w.attr("name", &self.name);
            w.yes_no("localOnly", self.local_only);
            w.yes_no("register", self.register);
        });
    }
}

#[cfg(test)]
mod tests;
