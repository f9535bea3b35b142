//! Serial, parallel, console and channel devices: the guest side of character devices.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::chardev::ChardevSource;
use super::chardev::{Chardev, ChardevKind};
use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{unsupported, xml_error};

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

fn parse_source(node: Node<'_>) -> Result<ChardevSource> {
    let kind = match node.attr("type") {
        None => ChardevKind::Pty,
        Some(word) => ChardevKind::from_word(word)
            .ok_or_else(|| unsupported(format!("unknown type presented to host for character device: {word}")))?,
    };
    let mut source = ChardevSource::parse(node, kind)?;
    // old documents have the slave as an attribute of the device
    if let Chardev::Pty { path: path @ None } = &mut source.backend {
        *path = node.string("tty");
    }
    Ok(source)
}

fn target_type<T: Vocabulary>(node: Node<'_>) -> Result<Option<T>> {
    let Some(word) = node.child("target").and_then(|t| t.attr("type")) else { return Ok(None) };
    T::from_word(word)
        .map(Some)
        .ok_or_else(|| unsupported(format!("unknown target type '{word}' specified for character device")))
}

fn port(node: Node<'_>) -> Result<Option<i32>> {
    let Some(text) = node.child("target").and_then(|t| t.attr("port")) else { return Ok(None) };
    let port = xml::parse_u64(text, 10).and_then(|n| i32::try_from(n).ok());
    port.map(Some).ok_or_else(|| xml_error(format!("Invalid port number: {text}")))
}

fn open(w: &mut Writer, source: &ChardevSource, flags: FormatFlags, console: bool) {
    w.attr("type", source.backend.kind());
    if let Chardev::Pty { path: Some(path) } = &source.backend
        && console
        && !flags.inactive
    {
        w.attr("tty", path);
    }
    source.format(w, flags);
}

impl SerialDef {
    /// Reads `<serial>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let model =
            match node.path(&["target", "model"]).and_then(|m| m.attr("name")) {
                None => None,
                Some(word) => Some(SerialModel::from_word(word).ok_or_else(|| {
                    unsupported(format!("unknown target model '{word}' specified for character device"))
                })?),
            };
        Ok(Self {
            source: parse_source(node)?,
            target: target_type(node)?,
            model,
            port: port(node)?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<serial>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("serial", |w| {
            open(w, &self.source, flags, false);
            w.element("target", |w| {
                w.attr_opt("type", self.target);
                w.attr_opt("port", self.port);
                w.element_if_any("model", |w| w.attr_opt("name", self.model));
            });
            self.info.format(w, flags);
        });
    }
}

impl ParallelDef {
    /// Reads `<parallel>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        Ok(Self {
            source: parse_source(node)?,
            port: port(node)?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<parallel>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("parallel", |w| {
            open(w, &self.source, flags, false);
            w.element("target", |w| w.attr_opt("port", self.port));
            self.info.format(w, flags);
        });
    }
}

impl ConsoleDef {
    /// Reads `<console>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        Ok(Self {
            source: parse_source(node)?,
            target: target_type(node)?,
            port: port(node)?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
        })
    }

    /// Writes `<console>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("console", |w| {
            open(w, &self.source, flags, true);
            w.element("target", |w| {
                w.attr_opt("type", self.target);
                w.attr_opt("port", self.port);
            });
            self.info.format(w, flags);
        });
    }
}

impl ChannelDef {
    /// Reads `<channel>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let source = parse_source(node)?;
        let target = node.child("target");
        let attr = |name: &str| target.and_then(|t| t.non_empty(name));
        let state = || match target.map(|t| t.word("state")).transpose() {
            Ok(state) => Ok(state.flatten().filter(|_| ctx.live)),
            Err(e) => Err(e),
        };
        let target = match attr("type").as_deref() {
            Some("guestfwd") => {
                let address =
                    attr("address").ok_or_else(|| xml_error("guestfwd channel does not define a target address"))?;
                if address.parse::<std::net::Ipv4Addr>().is_err() {
                    return Err(unsupported("guestfwd channel only supports IPv4 addresses"));
                }
                let port = attr("port").ok_or_else(|| xml_error("guestfwd channel does not define a target port"))?;
                let number = xml::parse_u64(&port, 10).and_then(|n| n.try_into().ok());
                ChannelTarget::Guestfwd {
                    address,
                    port: number.ok_or_else(|| xml_error(format!("Invalid port number: {port}")))?,
                }
            }
            Some("virtio") => ChannelTarget::Virtio { name: attr("name"), state: state()? },
            Some("xen") => ChannelTarget::Xen { name: attr("name"), state: state()? },
            Some(word) => {
                return Err(unsupported(format!("unknown target type '{word}' specified for character device")));
            }
            None => return Err(xml_error("target type must be specified for channel device")),
        };
        Ok(Self { source, target, info: DeviceInfo::parse(node, ctx, Allow::default())? })
    }

    /// Writes `<channel>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("channel", |w| {
            open(w, &self.source, flags, false);
            w.element("target", |w| match &self.target {
                ChannelTarget::Guestfwd { address, port } => {
                    w.attr("type", "guestfwd");
                    w.attr("address", address);
                    w.attr("port", port);
                }
                ChannelTarget::Virtio { name, state } | ChannelTarget::Xen { name, state } => {
                    w.attr("type", if matches!(self.target, ChannelTarget::Xen { .. }) { "xen" } else { "virtio" });
                    w.attr_opt("name", name.as_deref());
                    w.attr_opt("state", state.filter(|_| !flags.inactive));
                }
            });
            self.info.format(w, flags);
        });
    }
}
