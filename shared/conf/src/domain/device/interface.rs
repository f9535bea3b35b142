//! Network interfaces.

use error::{Code, Domain, Error, Result};
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::bandwidth::Bandwidth;
use super::chardev::ChardevSource;
use super::hostdev::HostdevPciDriver;
use super::info::Allow;
use super::info::{DeviceInfo, PciAddress, UsbAddress, VirtioOptions};
use super::ip::{GuestIp, Route};
use super::port::{PortForward, VirtualPort, Vlan};
use crate::FormatFlags;
use crate::Mac;
use crate::domain::ParseContext;
use crate::domain::fault::{unsupported, xml_error};

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
    User {
        dev: Option<String>,
    },
    Ethernet,
    VhostUser {
        chardev: ChardevSource,
        dev: Option<String>,
    },
    /// server, client, mcast, udp
    Socket {
        address: Option<String>,
        port: u32,
        local: Option<(Option<String>, u32)>,
    },
    Network {
        name: String,
        portgroup: Option<String>,
        portid: Option<[u8; 16]>,
        bridge: Option<String>,
    },
    Bridge {
        name: String,
    },
    Internal {
        name: String,
    },
    Direct {
        dev: String,
        mode: Option<MacvtapMode>,
    },
    Hostdev {
        managed: Option<bool>,
        address: HostAddress,
        driver: HostdevPciDriver,
    },
    Vdpa {
        dev: String,
    },
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
            Some(word) => Some(
                LinkState::from_word(word)
                    .ok_or_else(|| unsupported(format!("unknown interface link state '{word}'")))?,
            ),
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
            sndbuf: node
                .path(&["tune", "sndbuf"])
                .map(|s| xml::parse_u64(&s.text(), 10).ok_or_else(|| xml_error("sndbuf must be a positive integer")))
                .transpose()?,
            link,
            mtu: node
                .child("mtu")
                .map(|m| m.u32("size"))
                .transpose()
                .map_err(|_| xml_error("malformed mtu size"))?
                .flatten(),
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
            actual: if ctx.live {
                node.child("actual").map(ActualInterface::parse).transpose()?.map(Box::new)
            } else {
                None
            },
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
    if plain {
        Ok(Some(model))
    } else {
        Err(Error::new(Domain::Domain, Code::InvalidArg, "Model name contains invalid characters"))
    }
}
