//! The host side of character devices: where their bytes go. The guest side is in `console`.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer, invalid_value};

pub use super::console::{
    ChannelDef, ChannelState, ChannelTarget, ConsoleDef, ConsoleType, ParallelDef, SerialDef, SerialModel, SerialType,
};
use super::source::Reconnect;
use crate::FormatFlags;
use crate::domain::fault::{internal, xml_error};
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
    Pty {
        path: Option<String>,
    },
    Dev {
        path: String,
    },
    File {
        path: String,
        append: Option<bool>,
    },
    Pipe {
        path: String,
    },
    Nmdm {
        master: String,
        slave: String,
    },
    Unix {
        path: Option<String>,
        listen: bool,
        reconnect: Reconnect,
    },
    Tcp {
        host: String,
        service: String,
        listen: bool,
        protocol: TcpProtocol,
        tls: Option<bool>,
        tls_from_config: bool,
        reconnect: Reconnect,
    },
    Udp {
        bind_host: Option<String>,
        bind_service: Option<String>,
        connect_host: Option<String>,
        connect_service: Option<String>,
    },
    Spicevmc,
    Spiceport {
        channel: String,
    },
    QemuVdagent {
        clipboard: Option<bool>,
        mouse: Option<MouseMode>,
    },
    Dbus {
        channel: Option<String>,
    },
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

/// `mode='bind'`; absent means connect.
fn is_bind(source: Node<'_>) -> Result<bool> {
    match source.attr("mode") {
        None | Some("connect") => Ok(false),
        Some("bind") => Ok(true),
        Some(other) => Err(invalid_value(source, "mode", other, "")),
    }
}

fn parse_reconnect(source: Node<'_>, listen: bool) -> Result<Reconnect> {
    let reconnect = Reconnect::parse(source.child("reconnect"))?;
    if let Some(node) = source.child("reconnect")
        && reconnect.enabled == Some(true)
    {
        if listen {
            return Err(internal("chardev reconnect is possible only for connect mode"));
        }
        if reconnect.timeout.is_none() {
            return Err(xml::missing_attribute(node, "timeout"));
        }
    }
    Ok(reconnect)
}

impl Chardev {
    /// Its kind.
    pub fn kind(&self) -> ChardevKind {
        match self {
            Self::Null => ChardevKind::Null,
            Self::Vc => ChardevKind::Vc,
            Self::Stdio => ChardevKind::Stdio,
            Self::Pty { .. } => ChardevKind::Pty,
            Self::Dev { .. } => ChardevKind::Dev,
            Self::File { .. } => ChardevKind::File,
            Self::Pipe { .. } => ChardevKind::Pipe,
            Self::Nmdm { .. } => ChardevKind::Nmdm,
            Self::Unix { .. } => ChardevKind::Unix,
            Self::Tcp { .. } => ChardevKind::Tcp,
            Self::Udp { .. } => ChardevKind::Udp,
            Self::Spicevmc => ChardevKind::Spicevmc,
            Self::Spiceport { .. } => ChardevKind::Spiceport,
            Self::QemuVdagent { .. } => ChardevKind::QemuVdagent,
            Self::Dbus { .. } => ChardevKind::Dbus,
        }
    }

    /// The path that the bytes go to, for kinds that have one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Pty { path } | Self::Unix { path, .. } => path.as_deref(),
            Self::Dev { path } | Self::File { path, .. } | Self::Pipe { path } => Some(path),
            _ => None,
        }
    }
}

impl ChardevSource {
    /// A plain source.
    pub fn new(backend: Chardev) -> Self {
        Self { backend, log: None, labels: Vec::new() }
    }

    /// Reads `<source>`, `<protocol>` and `<log>` below `node` for a device of `kind`.
    ///
    /// # Errors
    /// `XML_ERROR` and `INTERNAL_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, kind: ChardevKind) -> Result<Self> {
        let sources: Vec<Node<'_>> = node.children("source").collect();
        if kind == ChardevKind::Udp && sources.len() > 2 {
            return Err(xml_error("only two source elements are allowed for character device"));
        }
        if kind != ChardevKind::Udp && sources.len() > 1 {
            return Err(xml_error("only one source element is allowed for character device"));
        }
        let source = sources.first().copied();
        let attr = |name: &str| source.and_then(|s| s.non_empty(name));
        let text = |name: &str| attr(name).unwrap_or_default();
        let backend = match kind {
            ChardevKind::Null => Chardev::Null,
            ChardevKind::Vc => Chardev::Vc,
            ChardevKind::Stdio => Chardev::Stdio,
            ChardevKind::Spicevmc => Chardev::Spicevmc,
            ChardevKind::Pty => Chardev::Pty { path: attr("path") },
            ChardevKind::Dev => Chardev::Dev { path: text("path") },
            ChardevKind::Pipe => Chardev::Pipe { path: text("path") },
            ChardevKind::File => {
                Chardev::File { path: text("path"), append: source.map(|s| s.on_off("append")).transpose()?.flatten() }
            }
            ChardevKind::Nmdm => Chardev::Nmdm { master: text("master"), slave: text("slave") },
            ChardevKind::Spiceport => Chardev::Spiceport { channel: text("channel") },
            ChardevKind::Dbus => Chardev::Dbus { channel: attr("channel") },
            ChardevKind::Unix => {
                let listen = source.map(is_bind).transpose()?.unwrap_or(false);
                let reconnect = source.map(|s| parse_reconnect(s, listen)).transpose()?.unwrap_or_default();
                Chardev::Unix { path: attr("path"), listen, reconnect }
            }
            ChardevKind::Tcp => Self::parse_tcp(node, source)?,
            ChardevKind::Udp => Self::parse_udp(&sources)?,
            ChardevKind::QemuVdagent => Chardev::QemuVdagent {
                clipboard: source
                    .and_then(|s| s.child("clipboard"))
                    .map(|c| c.yes_no("copypaste"))
                    .transpose()?
                    .flatten(),
                mouse: source.and_then(|s| s.child("mouse")).map(|m| m.word("mode")).transpose()?.flatten(),
            },
        };
        let log = match node.child("log") {
            Some(log) => log
                .string("file")
                .map(|file| Ok::<_, error::Error>(ChardevLog { file, append: log.on_off("append")? }))
                .transpose()?,
            None => None,
        };
        let labels = source.map(DeviceLabel::parse_all).transpose()?.unwrap_or_default();
        Ok(Self { backend, log, labels })
    }

    fn parse_tcp(node: Node<'_>, source: Option<Node<'_>>) -> Result<Chardev> {
        let listen = source.map(is_bind).transpose()?.unwrap_or(false);
        let protocol = match node.child("protocol").and_then(|p| p.attr("type")) {
            None => TcpProtocol::Raw,
            Some(word) => {
                TcpProtocol::from_word(word).ok_or_else(|| xml_error(format!("Unknown protocol '{word}'")))?
            }
        };
        Ok(Chardev::Tcp {
            host: source.and_then(|s| s.string("host")).unwrap_or_default(),
            service: source.and_then(|s| s.string("service")).unwrap_or_default(),
            listen,
            protocol,
            tls: source.map(|s| s.yes_no("tls")).transpose()?.flatten(),
            tls_from_config: source.and_then(|s| s.attr("tlsFromConfig")) == Some("1"),
            reconnect: source.map(|s| parse_reconnect(s, listen)).transpose()?.unwrap_or_default(),
        })
    }

    fn parse_udp(sources: &[Node<'_>]) -> Result<Chardev> {
        let (mut bind, mut connect) = ((None, None), (None, None));
        for source in sources {
            let place = (source.string("host"), source.string("service"));
            if is_bind(*source)? { bind = place } else { connect = place }
        }
        Ok(Chardev::Udp {
            bind_host: bind.0,
            bind_service: bind.1,
            connect_host: connect.0,
            connect_service: connect.1,
        })
    }

    /// Checks what parsing leaves open; `path_optional`: the socket path of this device can be made up.
    ///
    /// # Errors
    /// `INTERNAL_ERROR`, as libvirt answers for a missing attribute here.
    pub fn check(&self, path_optional: bool) -> Result<()> {
        let missing = |what: &str| Err(internal(format!("Missing source {what} attribute for char device")));
        match &self.backend {
            Chardev::Unix { listen: true, reconnect, .. } | Chardev::Tcp { listen: true, reconnect, .. }
                if reconnect.enabled == Some(true) =>
            {
                Err(internal("chardev reconnect is possible only for connect mode"))
            }
            Chardev::Dev { path } | Chardev::File { path, .. } | Chardev::Pipe { path } if path.is_empty() => {
                missing("path")
            }
            Chardev::Unix { path: None, .. } if !path_optional => missing("path"),
            Chardev::Tcp { host, .. } if host.is_empty() => missing("host"),
            Chardev::Tcp { service, .. } if service.is_empty() => missing("service"),
            Chardev::Udp { connect_service: None, .. } => missing("service"),
            Chardev::Spiceport { channel } if channel.is_empty() => missing("channel"),
            Chardev::Nmdm { master, .. } if master.is_empty() => missing("master"),
            Chardev::Nmdm { slave, .. } if slave.is_empty() => missing("slave"),
            _ => Ok(()),
        }
    }

    /// Writes `<source>`, `<protocol>` and `<log>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        let mode = |listen: bool| if listen { "bind" } else { "connect" };
        let path = |w: &mut Writer, path: Option<&str>| {
            w.element_if_any("source", |w| {
                w.attr_opt("path", path);
                DeviceLabel::format_all(w, &self.labels);
            });
        };
        match &self.backend {
            Chardev::Null | Chardev::Vc | Chardev::Stdio | Chardev::Spicevmc => {}
            Chardev::Pty { path: slave } => path(w, slave.as_deref().filter(|_| !flags.inactive)),
            Chardev::Dev { path: p } | Chardev::Pipe { path: p } => path(w, Some(p)),
            Chardev::File { path: p, append } => w.element("source", |w| {
                w.attr("path", p);
                w.on_off("append", *append);
                DeviceLabel::format_all(w, &self.labels);
            }),
            Chardev::Nmdm { master, slave } => w.element("source", |w| {
                w.attr("master", master);
                w.attr("slave", slave);
            }),
            Chardev::Unix { path, listen, reconnect } => {
                if path.is_some() || reconnect.enabled.is_some() {
                    w.element("source", |w| {
                        w.attr("mode", mode(*listen));
                        w.attr_opt("path", path.as_deref());
                        reconnect.format(w);
                        DeviceLabel::format_all(w, &self.labels);
                    });
                }
            }
            Chardev::Tcp { host, service, listen, protocol, tls, tls_from_config, reconnect } => {
                w.element("source", |w| {
                    w.attr("mode", mode(*listen));
                    w.attr("host", host);
                    w.attr("service", service);
                    if !(flags.migratable && *tls_from_config) {
                        w.yes_no("tls", *tls);
                    }
                    if flags.status {
                        w.attr("tlsFromConfig", u8::from(*tls_from_config));
                    }
                    reconnect.format(w);
                });
                w.element("protocol", |w| w.attr("type", protocol));
            }
            Chardev::Udp { bind_host, bind_service, connect_host, connect_service } => {
                for (mode, host, service) in
                    [("bind", bind_host, bind_service), ("connect", connect_host, connect_service)]
                {
                    if host.is_some() || service.is_some() {
                        w.element("source", |w| {
                            w.attr("mode", mode);
                            w.attr_opt("host", host.as_deref());
                            w.attr_opt("service", service.as_deref());
                        });
                    }
                }
            }
            Chardev::Spiceport { channel } => w.element("source", |w| w.attr("channel", channel)),
            Chardev::Dbus { channel } => w.element_if_any("source", |w| w.attr_opt("channel", channel.as_deref())),
            Chardev::QemuVdagent { clipboard, mouse } => w.element_if_any("source", |w| {
                w.element_if_any("clipboard", |w| w.yes_no("copypaste", *clipboard));
                w.element_if_any("mouse", |w| w.attr_opt("mode", *mouse));
            }),
        }
        if let Some(log) = &self.log {
            w.element("log", |w| {
                w.attr("file", &log.file);
                w.on_off("append", log.append);
            });
        }
    }
}
