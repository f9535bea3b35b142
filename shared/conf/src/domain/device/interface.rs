//! Network interfaces.

use error::{Code, Domain, Error, Result};
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use crate::FormatFlags;
use crate::Mac;
use crate::domain::ParseContext;
use crate::domain::fault::{unsupported, xml_error};
use super::bandwidth::Bandwidth;
use super::chardev::ChardevSource;
use super::chardev::{Chardev, ChardevKind};
use super::hostdev::HostdevPciDriver;
use super::info::Allow;
use super::info::{DeviceInfo, PciAddress, UsbAddress, VirtioOptions};
use super::ip::{GuestIp, Route};
use super::port::{PortForward, VirtualPort, Vlan};
use super::source::Reconnect;

text_enum! {
    /// Kind of attachment.
    pub enum InterfaceKind {
        User = "user", Ethernet = "ethernet", VhostUser = "vhostuser", Server = "server", Client = "client", Mcast = "mcast", Network = "network",
        Bridge = "bridge", Internal = "internal", Direct = "direct", Hostdev = "hostdev", Udp = "udp", Vdpa = "vdpa", Null = "null", Vds = "vds",
    }
}
text_enum! {
    /// macvtap mode.
    pub enum MacvtapMode { Vepa = "vepa", Private = "private", Bridge = "bridge", Passthrough = "passthrough" }
}
text_enum! {
    /// How the MAC came about.
    pub enum MacType { Generated = "generated", Static = "static" }
}
text_enum! {
    /// virtio-net backend.
    pub enum NetDriver { Qemu = "qemu", Vhost = "vhost" }
}
text_enum! {
    /// How transmits are handled.
    pub enum TxMode { Iothread = "iothread", Timer = "timer" }
}
text_enum! {
    /// User networking backend.
    pub enum NetBackend { Default = "default", Passt = "passt" }
}
text_enum! {
    /// Link state.
    pub enum LinkState { Up = "up", Down = "down" }
}
text_enum! {
    /// Role in a failover pair.
    pub enum TeamingKind { Persistent = "persistent", Transient = "transient" }
}

/// Host side of an interface.
#[derive(Clone, Debug, PartialEq)]
pub enum InterfaceSource {
    User { dev: Option<String> },
    Ethernet,
    VhostUser { chardev: ChardevSource, dev: Option<String> },
    /// server, client, mcast, udp
    Socket { address: Option<String>, port: u32, local: Option<(Option<String>, u32)> },
    Network { name: String, portgroup: Option<String>, portid: Option<[u8; 16]>, bridge: Option<String> },
    Bridge { name: String },
    Internal { name: String },
    Direct { dev: String, mode: Option<MacvtapMode> },
    Hostdev { managed: Option<bool>, address: HostAddress, driver: HostdevPciDriver },
    Vdpa { dev: String },
    Null,
    Vds,
}

/// Host device of `<interface type='hostdev'>`.
#[derive(Clone, Debug, PartialEq)]
pub enum HostAddress {
    Pci(PciAddress),
    Usb(UsbAddress),
}

/// `<driver>` and its `<host>` and `<guest>` children.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetDriverOptions {
    pub name: Option<NetDriver>,
    pub txmode: Option<TxMode>,
    pub ioeventfd: Option<bool>,
    pub event_idx: Option<bool>,
    pub queues: Option<u32>,
    pub rx_queue_size: Option<u32>,
    pub tx_queue_size: Option<u32>,
    pub rss: Option<bool>,
    pub rss_hash_report: Option<bool>,
    pub virtio: VirtioOptions,
    /// csum, gso, tso4, tso6, ecn, ufo, mrg_rxbuf
    pub host: [Option<bool>; 7],
    /// csum, tso4, tso6, ecn, ufo
    pub guest: [Option<bool>; 5],
}

/// Names of [`NetDriverOptions::host`].
pub const HOST_OFFLOADS: [&str; 7] = ["csum", "gso", "tso4", "tso6", "ecn", "ufo", "mrg_rxbuf"];
/// Names of [`NetDriverOptions::guest`].
pub const GUEST_OFFLOADS: [&str; 5] = ["csum", "tso4", "tso6", "ecn", "ufo"];

/// `<backend>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendOptions {
    pub kind: Option<NetBackend>,
    pub hostname: Option<String>,
    pub fqdn: Option<String>,
    pub tap: Option<String>,
    pub vhost: Option<String>,
    pub log_file: Option<String>,
}

/// `<coalesce>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coalesce {
    pub rx_max_coalesced_frames: Option<u32>,
}

/// `<teaming>`
#[derive(Clone, Debug, PartialEq)]
pub struct Teaming {
    pub kind: TeamingKind,
    pub persistent: Option<String>,
}

/// `<filterref>`
#[derive(Clone, Debug, PartialEq)]
pub struct FilterRef {
    pub filter: String,
    pub parameters: Vec<(String, String)>,
}

/// `<interface>`
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceDef {
    pub kind: InterfaceKind,
    pub source: InterfaceSource,
    pub mac: Mac,
    /// The address was not in the document.
    pub mac_generated: bool,
    pub mac_type: Option<MacType>,
    pub mac_check: Option<bool>,
    /// `virtio`, `e1000`, ... as written; QEMU knows many.
    pub model: Option<String>,
    pub driver: NetDriverOptions,
    pub backend: BackendOptions,
    /// Host tap or macvtap name.
    pub target: Option<String>,
    pub managed_tap: Option<bool>,
    pub guest_dev: (Option<String>, Option<String>),
    pub script: Option<String>,
    pub downscript: Option<String>,
    pub backend_domain: Option<String>,
    pub virtual_port: Option<VirtualPort>,
    pub vlan: Option<Vlan>,
    pub bandwidth: Option<Bandwidth>,
    pub trust_guest_rx_filters: Option<bool>,
    pub filter: Option<FilterRef>,
    pub sndbuf: Option<u64>,
    pub link: Option<LinkState>,
    pub mtu: Option<u32>,
    pub coalesce: Option<Coalesce>,
    pub teaming: Option<Teaming>,
    pub port_isolated: Option<bool>,
    pub ips: Vec<GuestIp>,
    pub routes: Vec<Route>,
    /// `<ip>` and `<route>` of the host side (below `<source>`).
    pub host_ips: Vec<GuestIp>,
    pub host_routes: Vec<Route>,
    pub port_forwards: Vec<PortForward>,
    pub info: DeviceInfo,
    /// What a `network` interface of a running guest really is (`<actual>` in status documents).
    pub actual: Option<Box<ActualInterface>>,
}

/// The attachment that a running guest got from the network driver.
#[derive(Clone, Debug, PartialEq)]
pub struct ActualInterface {
    pub kind: InterfaceKind,
    /// Bridge name, or host interface and mode.
    pub bridge: Option<String>,
    pub direct: Option<(String, MacvtapMode)>,
    pub hostdev: Option<PciAddress>,
    pub mac_table_manager: Option<String>,
    pub virtual_port: Option<VirtualPort>,
    pub vlan: Option<Vlan>,
    pub bandwidth: Option<Bandwidth>,
    pub trust_guest_rx_filters: Option<bool>,
    pub class_id: Option<u32>,
    pub port_isolated: Option<bool>,
}

impl InterfaceDef {
    /// Whether the model is one of virtio's.
    pub fn is_virtio(&self) -> bool {
        matches!(self.model.as_deref(), Some("virtio" | "virtio-transitional" | "virtio-non-transitional"))
    }

    /// The kind in effect: what the network driver chose, else what the document says.
    pub fn actual_kind(&self) -> InterfaceKind {
        self.actual.as_ref().map_or(self.kind, |a| a.kind)
    }
}

/// Host names that libvirt makes up; a user's document may not fix them.
const GENERATED_PREFIXES: [&str; 3] = ["vnet", "macvtap", "macvlan"];

impl Teaming {
    /// Reads `<teaming>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let kind = node.required_word("type")?;
        let persistent = node.string("persistent");
        if kind == TeamingKind::Transient && persistent.is_none() {
            return Err(unsupported("teaming persistent attribute must be set if teaming type is 'transient'"));
        }
        if kind == TeamingKind::Persistent && persistent.is_some() {
            return Err(unsupported("teaming persistent attribute not allowed if teaming type is 'persistent'"));
        }
        Ok(Self { kind, persistent })
    }

    /// Writes `<teaming>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("teaming", |w| {
            w.attr("type", self.kind);
            w.attr_opt("persistent", self.persistent.as_deref());
        });
    }
}

impl FilterRef {
    fn parse(node: Node<'_>) -> Result<Self> {
        let parameters = node.children("parameter").filter_map(|p| p.string("name").zip(p.string("value"))).collect();
        Ok(Self { filter: node.attr("filter").unwrap_or("").to_owned(), parameters })
    }

    fn format(&self, w: &mut Writer) {
        w.element("filterref", |w| {
            w.attr("filter", &self.filter);
            for (name, value) in &self.parameters {
                w.element("parameter", |w| {
                    w.attr("name", name);
                    w.attr("value", value);
                });
            }
        });
    }
}

impl NetDriverOptions {
    fn parse(node: Node<'_>) -> Result<Self> {
        let offloads = |child: &str, names: &[&str]| -> Result<Vec<Option<bool>>> {
            let child = node.child(child);
            names.iter().map(|name| child.map(|c| c.on_off(name)).transpose().map(Option::flatten)).collect()
        };
        let mut options = Self {
            name: node.word("name")?,
            txmode: node.word("txmode")?,
            ioeventfd: node.on_off("ioeventfd")?,
            event_idx: node.on_off("event_idx")?,
            queues: node.u32("queues")?.filter(|q| *q > 1),
            rx_queue_size: node.u32("rx_queue_size")?,
            tx_queue_size: node.u32("tx_queue_size")?,
            rss: node.on_off("rss")?,
            rss_hash_report: node.on_off("rss_hash_report")?,
            virtio: VirtioOptions::parse(Some(node))?,
            ..Self::default()
        };
        options.host.copy_from_slice(&offloads("host", &HOST_OFFLOADS)?);
        options.guest.copy_from_slice(&offloads("guest", &GUEST_OFFLOADS)?);
        Ok(options)
    }

    fn format(&self, w: &mut Writer) {
        w.element_if_any("driver", |w| {
            w.attr_opt("name", self.name);
            w.attr_opt("txmode", self.txmode);
            w.on_off("ioeventfd", self.ioeventfd);
            w.on_off("event_idx", self.event_idx);
            w.attr_opt("queues", self.queues.filter(|n| *n > 0));
            w.attr_opt("rx_queue_size", self.rx_queue_size.filter(|n| *n > 0));
            w.attr_opt("tx_queue_size", self.tx_queue_size.filter(|n| *n > 0));
            w.on_off("rss", self.rss);
            w.on_off("rss_hash_report", self.rss_hash_report);
            self.virtio.format(w);
            w.element_if_any("host", |w| HOST_OFFLOADS.iter().zip(self.host).for_each(|(name, v)| w.on_off(name, v)));
            w.element_if_any("guest", |w| GUEST_OFFLOADS.iter().zip(self.guest).for_each(|(name, v)| w.on_off(name, v)));
        });
    }
}

impl InterfaceSource {
    fn parse(node: Node<'_>, kind: InterfaceKind) -> Result<Self> {
        let source = node.child("source");
        let attr = |name: &str| source.and_then(|s| s.non_empty(name));
        let wants_source = matches!(kind, InterfaceKind::Network | InterfaceKind::Bridge | InterfaceKind::Direct
            | InterfaceKind::Internal | InterfaceKind::Vdpa);
        if wants_source && source.is_none() {
            return Err(xml_error(format!("interface type='{kind}' requires a 'source' element")));
        }
        let need = |name: &str, what: &str| attr(name).ok_or_else(|| xml_error(what.to_owned()));
        Ok(match kind {
            InterfaceKind::User => Self::User { dev: attr("dev") },
            InterfaceKind::Ethernet => Self::Ethernet,
            InterfaceKind::Null => Self::Null,
            InterfaceKind::Vds => Self::Vds,
            InterfaceKind::VhostUser => Self::parse_vhost_user(node)?,
            InterfaceKind::Vdpa => Self::Vdpa { dev: need("dev", "No <source> 'dev' attribute specified with <interface type='vdpa'/>")? },
            InterfaceKind::Bridge => {
                Self::Bridge { name: need("bridge", "No <source> 'bridge' attribute specified with <interface type='bridge'/>")? }
            }
            InterfaceKind::Internal => {
                Self::Internal { name: need("name", "No <source> 'name' attribute specified with <interface type='internal'/>")? }
            }
            InterfaceKind::Network => Self::Network {
                name: need("network", "No <source> 'network' attribute specified with <interface type='network'/>")?,
                portgroup: attr("portgroup"),
                portid: source.map(|s| s.uuid("portid")).transpose()?.flatten(),
                bridge: attr("bridge"),
            },
            InterfaceKind::Direct => Self::Direct {
                dev: need("dev", "No <source> 'dev' attribute specified with <interface type='direct'/>")?,
                mode: source.map(|s| s.word("mode")).transpose()?.flatten(),
            },
            InterfaceKind::Server | InterfaceKind::Client | InterfaceKind::Mcast | InterfaceKind::Udp => {
                let missing = |name: &str| xml_error(format!("No <source> '{name}' attribute specified with socket interface"));
                let Some(source) = source else { return Err(missing("port")) };
                let port = source.i32("port")?.ok_or_else(|| xml::missing_attribute(source, "port"))?.cast_unsigned();
                let source = Some(source);
                let address = attr("address");
                if address.is_none() && kind != InterfaceKind::Server {
                    return Err(missing("address"));
                }
                let local = match source.and_then(|s| s.child("local")) {
                    Some(local) if kind == InterfaceKind::Udp => {
                        Some((local.non_empty("address"), local.u32("port")?.ok_or_else(|| missing("local port"))?))
                    }
                    _ if kind == InterfaceKind::Udp => return Err(xml_error("No <local> element specified with socket interface")),
                    _ => None,
                };
                Self::Socket { address, port, local }
            }
            InterfaceKind::Hostdev => Self::parse_hostdev(node)?,
        })
    }

    fn parse_vhost_user(node: Node<'_>) -> Result<Self> {
        let source = node.child("source");
        let passt = node.child("backend").and_then(|b| b.attr("type")) == Some("passt");
        if passt {
            let chardev = ChardevSource::new(Chardev::Unix { path: None, listen: false, reconnect: Reconnect::default() });
            return Ok(Self::VhostUser { chardev, dev: source.and_then(|s| s.non_empty("dev")) });
        }
        let need = |name: &str| {
            let value = source.and_then(|s| s.non_empty(name));
            value.ok_or_else(|| xml_error(format!("Missing required attribute '{name}' in element 'source'")))
        };
        if need("type")? != "unix" {
            return Err(unsupported(format!("Type='{}' unsupported for <interface type='vhostuser'>", need("type")?)));
        }
        let (path, mode) = (need("path")?, source.and_then(|s| s.non_empty("mode")).unwrap_or_else(|| "client".to_owned()));
        let listen = match mode.as_str() {
            "server" => true,
            "client" => false,
            _ => return Err(xml_error("Wrong <source> 'mode' attribute specified with <interface type='vhostuser'/>")),
        };
        let reconnect = source.and_then(|s| s.child("reconnect"));
        if listen && reconnect.is_some() {
            return Err(unsupported("'reconnect' attribute  unsupported 'server' mode for <interface type='vhostuser'>"));
        }
        let backend = Chardev::Unix { path: Some(path), listen, reconnect: Reconnect::parse(reconnect)? };
        debug_assert_eq!(backend.kind(), ChardevKind::Unix);
        Ok(Self::VhostUser { chardev: ChardevSource::new(backend), dev: None })
    }

    fn parse_hostdev(node: Node<'_>) -> Result<Self> {
        let missing = || unsupported("unknown host device source address type '(null)'");
        let address = node.path(&["source", "address"]).ok_or_else(missing)?;
        let host = match address.attr("type") {
            Some("usb") => HostAddress::Usb(UsbAddress::parse(address)?),
            Some("pci") => HostAddress::Pci(PciAddress::parse(address)?),
            _ => return Err(xml_error("No <source> address type for hostdev interface")),
        };
        let driver = match node.child("driver") {
            None => HostdevPciDriver::default(),
            Some(d) => HostdevPciDriver { name: d.word("name")?, model: d.string("model") },
        };
        Ok(Self::Hostdev { managed: node.yes_no("managed")?, address: host, driver })
    }

    fn format(&self, w: &mut Writer, def: &InterfaceDef, flags: FormatFlags) {
        let ips = |w: &mut Writer| {
            def.host_ips.iter().for_each(|ip| ip.format(w));
            def.host_routes.iter().for_each(|r| r.format(w));
        };
        w.element_if_any("source", |w| match self {
            Self::User { dev } => {
                w.attr_opt("dev", dev.as_deref());
                ips(w);
            }
            Self::Ethernet => ips(w),
            Self::Null | Self::Vds => {}
            Self::VhostUser { chardev, dev } => {
                if let Chardev::Unix { path: Some(path), listen, reconnect } = &chardev.backend {
                    w.attr("type", "unix");
                    w.attr("path", path);
                    w.attr("mode", if *listen { "server" } else { "client" });
                    reconnect.format(w);
                }
                w.attr_opt("dev", dev.as_deref());
            }
            Self::Socket { address, port, local } => {
                w.attr_opt("address", address.as_deref());
                w.attr("port", port);
                if let Some((address, port)) = local {
                    w.element("local", |w| {
                        w.attr_opt("address", address.as_deref());
                        w.attr("port", port);
                    });
                }
            }
            Self::Network { name, portgroup, portid, bridge } => {
                w.attr("network", name);
                w.attr_opt("portgroup", portgroup.as_deref());
                if !flags.inactive {
                    w.attr_opt("portid", portid.map(|u| xml::format_uuid(&u)));
                    let live = def.actual.as_ref().and_then(|a| a.bridge.as_deref());
                    w.attr_opt("bridge", live.or(bridge.as_deref()).filter(|_| !flags.status));
                }
                ips(w);
            }
            Self::Bridge { name } => {
                w.attr("bridge", name);
                ips(w);
            }
            Self::Internal { name } => w.attr("name", name),
            Self::Direct { dev, mode } => {
                w.attr("dev", dev);
                w.attr("mode", mode.unwrap_or(MacvtapMode::Vepa));
            }
            Self::Vdpa { dev } => w.attr("dev", dev),
            Self::Hostdev { address, .. } => w.element("address", |w| match address {
                HostAddress::Pci(pci) => {
                    w.attr("type", "pci");
                    pci.format_attributes(w);
                }
                HostAddress::Usb(usb) => {
                    w.attr("type", "usb");
                    w.attr("bus", usb.bus);
                    w.attr("port", usb.port_text());
                }
            }),
        });
    }
}

impl BackendOptions {
    fn parse(node: Node<'_>) -> Result<Self> {
        Ok(Self {
            kind: node.word("type")?,
            hostname: node.string("hostname"),
            fqdn: node.string("fqdn"),
            tap: node.non_empty("tap"),
            vhost: node.non_empty("vhost"),
            log_file: node.non_empty("logFile"),
        })
    }

    fn format(&self, w: &mut Writer) {
        w.element_if_any("backend", |w| {
            w.attr_opt("type", self.kind.filter(|k| *k != NetBackend::Default));
            w.attr_opt("tap", self.tap.as_deref());
            w.attr_opt("vhost", self.vhost.as_deref());
            w.attr_opt("logFile", self.log_file.as_deref());
            w.attr_opt("hostname", self.hostname.as_deref());
            w.attr_opt("fqdn", self.fqdn.as_deref());
        });
    }
}

impl InterfaceDef {
    /// Reads `<interface>`. A missing MAC address is left zero with `mac_generated` set, for the driver to choose.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let kind = node.word("type")?.unwrap_or(InterfaceKind::User);
        let mac_node = node.child("mac");
        let mac = match mac_node.and_then(|m| m.attr("address")) {
            None => None,
            Some(text) => {
                let mac = Mac::parse(text).ok_or_else(|| xml_error(format!("unable to parse mac address '{text}'")))?;
                if mac.is_multicast() {
                    return Err(xml_error(format!("expected unicast mac address, found multicast '{text}'")));
                }
                Some(mac)
            }
        };
        let target = node.child("target");
        let generated = |name: &String| !ctx.live && GENERATED_PREFIXES.iter().any(|p| name.starts_with(p));
        let script = node.child("script");
        let source_node = node.child("source");
        let child_text = |parent: &str, attr: &str| node.child(parent).and_then(|n| n.string(attr));
        let link = match node.child("link").and_then(|l| l.attr("state")) {
            None => None,
            Some(word) => Some(LinkState::from_word(word).ok_or_else(|| unsupported(format!("unknown interface link state '{word}'")))?),
        };
        let ips = |node: Node<'_>| node.children("ip").map(GuestIp::parse).collect::<Result<Vec<_>>>();
        let routes = |node: Node<'_>| node.children("route").map(Route::parse).collect::<Result<Vec<_>>>();
        let model = parse_model(node)?;
        let virtio = model.as_deref().is_some_and(|m| m.starts_with("virtio"));
        let backend = node.child("backend").map(BackendOptions::parse).transpose()?.unwrap_or_default();
        Ok(Self {
            kind,
            source: InterfaceSource::parse(node, kind)?,
            mac: mac.unwrap_or_default(),
            mac_generated: mac.is_none(),
            mac_type: mac_node.map(|m| m.word("type")).transpose()?.flatten(),
            mac_check: mac_node.map(|m| m.yes_no("check")).transpose()?.flatten(),
            model,
            driver: match node.child("driver") {
                Some(driver) if kind != InterfaceKind::Hostdev && virtio => NetDriverOptions::parse(driver)?,
                _ => NetDriverOptions::default(),
            },
            backend: BackendOptions { vhost: backend.vhost.filter(|_| virtio), ..backend },
            target: target.and_then(|t| t.non_empty("dev")).filter(|name| !generated(name)),
            managed_tap: target.map(|t| t.yes_no("managed")).transpose()?.flatten(),
            guest_dev: (child_text("guest", "dev"), child_text("guest", "actual").filter(|_| ctx.live)),
            script: script.and_then(|s| s.non_empty("path")),
            downscript: node.child("downscript").and_then(|s| s.non_empty("path")),
            backend_domain: child_text("backenddomain", "name"),
            virtual_port: node.child("virtualport").map(VirtualPort::parse).transpose()?,
            vlan: node.child("vlan").map(Vlan::parse).transpose()?.flatten(),
            bandwidth: node.child("bandwidth").map(Bandwidth::parse).transpose()?.flatten(),
            trust_guest_rx_filters: node.yes_no("trustGuestRxFilters")?,
            filter: node.child("filterref").map(FilterRef::parse).transpose()?,
            sndbuf: node.path(&["tune", "sndbuf"]).map(|s| {
                xml::parse_u64(&s.text(), 10).ok_or_else(|| xml_error("sndbuf must be a positive integer"))
            }).transpose()?,
            link,
            mtu: node.child("mtu").map(|m| m.u32("size")).transpose().map_err(|_| xml_error("malformed mtu size"))?.flatten(),
            coalesce: match node.path(&["coalesce", "rx", "frames"]) {
                None => None,
                Some(frames) => Some(Coalesce { rx_max_coalesced_frames: frames.u32("max")?.filter(|m| *m > 0) }),
            },
            teaming: node.child("teaming").map(Teaming::parse).transpose()?,
            port_isolated: node.child("port").map(|p| p.yes_no("isolated")).transpose()?.flatten(),
            ips: ips(node)?,
            routes: routes(node)?,
            host_ips: source_node.map(ips).transpose()?.unwrap_or_default(),
            host_routes: source_node.map(routes).transpose()?.unwrap_or_default(),
            port_forwards: node.children("portForward").map(PortForward::parse).collect::<Result<_>>()?,
            info: DeviceInfo::parse(node, ctx, Allow { boot: true, rom: true })?,
            actual: if ctx.live { node.child("actual").map(ActualInterface::parse).transpose()?.map(Box::new) } else { None },
        })
    }

    /// Writes `<interface>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("interface", |w| {
            w.attr("type", self.kind);
            if let InterfaceSource::Hostdev { managed, .. } = &self.source {
                w.yes_no("managed", managed.filter(|m| *m));
            }
            w.yes_no("trustGuestRxFilters", self.trust_guest_rx_filters);
            w.element("mac", |w| {
                w.attr("address", self.mac);
                w.attr_opt("type", self.mac_type);
                w.yes_no("check", self.mac_check);
            });
            if let InterfaceSource::Hostdev { driver, .. } = &self.source {
                driver.format(w);
            }
            self.source.format(w, self, flags);
            if let Some(actual) = self.actual.as_ref().filter(|_| flags.status) {
                actual.format(w);
            }
            if let Some(vlan) = &self.vlan {
                vlan.format(w);
            }
            if let Some(port) = &self.virtual_port {
                port.format(w);
            }
            if let Some(bandwidth) = &self.bandwidth {
                bandwidth.format(w);
            }
            w.element_if_any("port", |w| w.yes_no("isolated", self.port_isolated));
            self.ips.iter().for_each(|ip| ip.format(w));
            self.routes.iter().for_each(|r| r.format(w));
            self.port_forwards.iter().for_each(|p| p.format(w));
            w.element_if_any("script", |w| w.attr_opt("path", self.script.as_deref()));
            w.element_if_any("downscript", |w| w.attr_opt("path", self.downscript.as_deref()));
            w.element_if_any("backenddomain", |w| w.attr_opt("name", self.backend_domain.as_deref()));
            let generated = |name: &&String| flags.inactive && GENERATED_PREFIXES.iter().any(|p| name.starts_with(p));
            w.element_if_any("target", |w| {
                w.attr_opt("dev", self.target.as_ref().filter(|t| !generated(t)));
                w.yes_no("managed", self.managed_tap);
            });
            w.element_if_any("guest", |w| {
                w.attr_opt("dev", self.guest_dev.0.as_deref());
                w.attr_opt("actual", self.guest_dev.1.as_deref().filter(|_| !flags.inactive));
            });
            w.element_if_any("model", |w| w.attr_opt("type", self.model.as_deref()));
            self.driver.format(w);
            self.backend.format(w);
            if let Some(filter) = &self.filter {
                filter.format(w);
            }
            if let Some(sndbuf) = self.sndbuf {
                w.element("tune", |w| w.leaf("sndbuf", sndbuf));
            }
            w.element_if_any("link", |w| w.attr_opt("state", self.link));
            w.element_if_any("mtu", |w| w.attr_opt("size", self.mtu.filter(|m| *m > 0)));
            if let Some(teaming) = &self.teaming {
                teaming.format(w);
            }
            if let Some(max) = self.coalesce.and_then(|c| c.rx_max_coalesced_frames) {
                w.element("coalesce", |w| w.element("rx", |w| w.element("frames", |w| w.attr("max", max))));
            }
            self.info.format(w, flags);
        });
    }
}

fn parse_model(node: Node<'_>) -> Result<Option<String>> {
    let Some(model) = node.child("model").and_then(|m| m.non_empty("type")) else { return Ok(None) };
    let plain = model.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if plain { Ok(Some(model)) } else { Err(Error::new(Domain::Domain, Code::InvalidArg, "Model name contains invalid characters")) }
}

impl ActualInterface {
    fn parse(node: Node<'_>) -> Result<Self> {
        let source = node.child("source");
        let attr = |name: &str| source.and_then(|s| s.string(name));
        let mode = source.map(|s| s.word("mode")).transpose()?.flatten().unwrap_or(MacvtapMode::Vepa);
        Ok(Self {
            kind: node.required_word("type")?,
            bridge: attr("bridge"),
            direct: attr("dev").map(|dev| (dev, mode)),
            hostdev: node.path(&["hostdev", "source", "address"]).map(PciAddress::parse).transpose()?,
            mac_table_manager: attr("macTableManager"),
            virtual_port: node.child("virtualport").map(VirtualPort::parse).transpose()?,
            vlan: node.child("vlan").map(Vlan::parse).transpose()?.flatten(),
            bandwidth: node.child("bandwidth").map(Bandwidth::parse).transpose()?.flatten(),
            trust_guest_rx_filters: node.yes_no("trustGuestRxFilters")?,
            class_id: node.child("class").map(|c| c.u32("id")).transpose()?.flatten(),
            port_isolated: node.child("port").map(|p| p.yes_no("isolated")).transpose()?.flatten(),
        })
    }

    fn format(&self, w: &mut Writer) {
        w.element("actual", |w| {
            w.attr("type", self.kind);
            w.yes_no("trustGuestRxFilters", self.trust_guest_rx_filters);
            if let Some(address) = &self.hostdev {
                w.element("hostdev", |w| {
                    w.attr("mode", "subsystem");
                    w.attr("type", "pci");
                    w.attr("managed", "yes");
                    w.element("source", |w| w.element("address", |w| address.format_attributes(w)));
                });
            }
            w.element_if_any("class", |w| w.attr_opt("id", self.class_id));
            w.element_if_any("source", |w| {
                w.attr_opt("bridge", self.bridge.as_deref());
                w.attr_opt("macTableManager", self.mac_table_manager.as_deref());
                if let Some((dev, mode)) = &self.direct {
                    w.attr("dev", dev);
                    w.attr("mode", mode);
                }
            });
            if let Some(vlan) = &self.vlan {
                vlan.format(w);
            }
            if let Some(port) = &self.virtual_port {
                port.format(w);
            }
            if let Some(bandwidth) = &self.bandwidth {
                bandwidth.format(w);
            }
            w.element_if_any("port", |w| w.yes_no("isolated", self.port_isolated));
        });
    }
}
