//! Character devices: where their bytes go on the host, and serial, parallel, console and channel devices that the guest sees.

use xml::text_enum;

use super::info::DeviceInfo;
use super::source::Reconnect;
use crate::domain::security::DeviceLabel;

text_enum! {
    /// Kind of host side.
    pub enum ChardevKind {
        Null = "null", Vc = "vc", Pty = "pty", Dev = "dev", File = "file", Pipe = "pipe", Stdio = "stdio", Udp = "udp", Tcp = "tcp",
        Unix = "unix", Spicevmc = "spicevmc", Spiceport = "spiceport", Nmdm = "nmdm", QemuVdagent = "qemu-vdagent", Dbus = "dbus",
    }
}
text_enum! {
    /// Line protocol over TCP.
    pub enum TcpProtocol { Raw = "raw", Telnet = "telnet", Telnets = "telnets", Tls = "tls" }
}
text_enum! {
    /// Who draws the mouse.
    pub enum MouseMode { Client = "client", Server = "server" }
}

/// Host side of a character device.
#[derive(Clone, Debug, PartialEq)]
pub enum Chardev {
    Null,
    Vc,
    Stdio,
    /// Path of the slave, filled by a running guest.
    Pty { path: Option<String> },
    Dev { path: String },
    File { path: String, append: Option<bool> },
    Pipe { path: String },
    Nmdm { master: String, slave: String },
    Unix { path: Option<String>, listen: bool, reconnect: Reconnect },
    Tcp { host: String, service: String, listen: bool, protocol: TcpProtocol, tls: Option<bool>, tls_from_config: bool, reconnect: Reconnect },
    Udp { bind_host: Option<String>, bind_service: Option<String>, connect_host: Option<String>, connect_service: Option<String> },
    Spicevmc,
    Spiceport { channel: String },
    QemuVdagent { clipboard: Option<bool>, mouse: Option<MouseMode> },
    Dbus { channel: Option<String> },
}

/// `<log file= append=/>`
#[derive(Clone, Debug, PartialEq)]
pub struct ChardevLog {
    pub file: String,
    pub append: Option<bool>,
}

/// Host side with what every kind may have.
#[derive(Clone, Debug, PartialEq)]
pub struct ChardevSource {
    pub backend: Chardev,
    pub log: Option<ChardevLog>,
    pub labels: Vec<DeviceLabel>,
}

text_enum! {
    /// Type of a serial device's target.
    pub enum SerialType {
        Isa = "isa-serial", Usb = "usb-serial", Pci = "pci-serial", SpaprVio = "spapr-vio-serial", System = "system-serial", Sclp = "sclp-serial",
        IsaDebug = "isa-debug",
    }
}
text_enum! {
    /// Model of a serial device.
    pub enum SerialModel {
        Isa = "isa-serial", Usb = "usb-serial", Pci = "pci-serial", SpaprVty = "spapr-vty", Pl011 = "pl011", SclpConsole = "sclpconsole",
        SclpLmConsole = "sclplmconsole", Uart16550a = "16550a", IsaDebugcon = "isa-debugcon",
    }
}
text_enum! {
    /// Type of a console's target.
    pub enum ConsoleType {
        Serial = "serial", Xen = "xen", Uml = "uml", Virtio = "virtio", Lxc = "lxc", Openvz = "openvz", Sclp = "sclp", SclpLm = "sclplm",
    }
}

/// Guest side of a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelTarget {
    Guestfwd { address: String, port: u32 },
    Virtio { name: Option<String>, state: Option<ChannelState> },
    Xen { name: Option<String>, state: Option<ChannelState> },
}
text_enum! {
    /// Whether the guest's end is open.
    pub enum ChannelState { Connected = "connected", Disconnected = "disconnected" }
}

/// `<serial>`
#[derive(Clone, Debug, PartialEq)]
pub struct SerialDef {
    pub source: ChardevSource,
    pub target: Option<SerialType>,
    pub model: Option<SerialModel>,
    /// `None` until post-parse numbers it.
    pub port: Option<i32>,
    pub info: DeviceInfo,
}

/// `<parallel>`
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelDef {
    pub source: ChardevSource,
    pub port: Option<i32>,
    pub info: DeviceInfo,
}

/// `<console>`
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleDef {
    pub source: ChardevSource,
    pub target: Option<ConsoleType>,
    pub port: Option<i32>,
    pub info: DeviceInfo,
}

/// `<channel>`
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelDef {
    pub source: ChardevSource,
    pub target: ChannelTarget,
    pub info: DeviceInfo,
}
