//! Network interfaces.

use xml::text_enum;

use super::bandwidth::Bandwidth;
use super::chardev::ChardevSource;
use super::hostdev::HostdevPciDriver;
use super::info::{DeviceInfo, PciAddress, UsbAddress, VirtioOptions};
use super::ip::{GuestIp, Route};
use super::port::{PortForward, VirtualPort, Vlan};
use crate::Mac;

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
