//! VNC, SPICE and D-Bus servers.

use error::Result;
use xml::{Node, Writer};

use super::graphics::{DbusDisplay, GraphicsAuth, Listen, ListenKind, Spice, SpiceChannelMode, Vnc};
use crate::FormatFlags;
use crate::domain::fault::{internal, xml_error};

impl GraphicsAuth {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        let Some(passwd) = node.string("passwd") else { return Ok(Self::default()) };
        let mut auth = Self { passwd: Some(passwd), ..Self::default() };
        if let Some(text) = node.attr("passwdValidTo") {
            if !is_timestamp(text) {
                return Err(xml_error(format!(
                    "cannot parse password validity time '{text}', expect YYYY-MM-DDTHH:MM:SS"
                )));
            }
            auth.valid_to = Some(text.to_owned());
        }
        auth.connected = node.word("connected")?;
        Ok(auth)
    }

    pub(super) fn format(&self, w: &mut Writer, flags: FormatFlags) {
        let Some(passwd) = &self.passwd else { return };
        if flags.secure {
            w.attr("passwd", passwd);
        }
        w.attr_opt("passwdValidTo", self.valid_to.as_deref());
        w.attr_opt("connected", self.connected);
    }
}

fn is_timestamp(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    shape == "9999-99-99T99:99:99"
}

pub(super) fn port(node: Node<'_>, name: &str, what: &str) -> Result<i32> {
    let Some(text) = node.attr(name) else { return Ok(0) };
    let port = xml::parse_i64(text, 10).and_then(|n| i32::try_from(n).ok());
    port.ok_or_else(|| internal(format!("cannot parse {what} {text}")))
}

impl Vnc {
    pub(super) fn parse(node: Node<'_>, live: bool) -> Result<Self> {
        let mut vnc = Self { port: port(node, "port", "vnc port")?, ..Self::default() };
        if node.attr("port").is_none() {
            vnc.autoport = true;
        } else if vnc.port == -1 {
            vnc.port = 0;
            vnc.autoport = true;
        }
        if node.yes_no("autoport")? == Some(true) {
            if !live {
                vnc.port = 0;
            }
            vnc.autoport = true;
        }
        if node.attr("websocket").is_some() {
            let websocket = port(node, "websocket", "vnc WebSocket port")?;
            vnc.websocket_generated = websocket == -1 || live && node.attr("websocketGenerated") == Some("yes");
            vnc.websocket = Some(websocket);
        }
        vnc.keymap = node.string("keymap");
        vnc.share_policy = node.word("sharePolicy")?;
        vnc.power_control = node.yes_no("powerControl")?;
        vnc.wait = node.yes_no("wait")?;
        vnc.auth = GraphicsAuth::parse(node)?;
        Ok(vnc)
    }

    pub(super) fn format(&self, w: &mut Writer, flags: FormatFlags, listens: &[Listen]) {
        let first = listens.first();
        match first.map(|l| l.kind) {
            Some(ListenKind::Socket) => {
                let listen = first.filter(|l| !(flags.inactive && (l.auto_generated || l.from_config)));
                w.attr_opt("socket", listen.and_then(|l| l.socket.as_deref()));
            }
            Some(ListenKind::Address | ListenKind::Network) => {
                if self.port != 0 && (!self.autoport || !flags.inactive) {
                    w.attr("port", self.port);
                } else if self.autoport {
                    w.attr("port", -1);
                }
                w.yes_no("autoport", Some(self.autoport));
                if self.websocket_generated && flags.inactive {
                    w.attr("websocket", -1);
                } else {
                    w.attr_opt("websocket", self.websocket.filter(|p| *p != 0));
                }
                if flags.status {
                    w.yes_no("websocketGenerated", Some(self.websocket_generated));
                }
                w.attr_opt("listen", first.and_then(|l| l.shown_address(flags)));
            }
            _ => {}
        }
        w.attr_opt("keymap", self.keymap.as_deref());
        w.attr_opt("sharePolicy", self.share_policy);
        w.yes_no("powerControl", self.power_control);
        w.yes_no("wait", self.wait);
        self.auth.format(w, flags);
    }
}

impl Spice {
    pub(super) fn parse(node: Node<'_>, live: bool) -> Result<Self> {
        let mut spice = Self {
            port: port(node, "port", "spice port")?,
            tls_port: port(node, "tlsPort", "spice tlsPort")?,
            autoport: node.yes_no("autoport")? == Some(true),
            keymap: node.string("keymap"),
            default_mode: node.word("defaultMode")?,
            auth: GraphicsAuth::parse(node)?,
            ..Self::default()
        };
        if spice.port == -1 && spice.tls_port == -1 {
            spice.autoport = true;
        }
        if spice.autoport && !live {
            spice.port = 0;
            spice.tls_port = 0;
        }
        for child in node.elements() {
            match child.name() {
                "channel" => spice.channels.push((child.required_word("name")?, child.required_word("mode")?)),
                "image" => spice.image = Some(child.required_word("compression")?),
                "jpeg" => spice.jpeg = Some(child.required_word("compression")?),
                "zlib" => spice.zlib = Some(child.required_word("compression")?),
                "playback" => spice.playback = child.on_off("compression")?,
                "streaming" => spice.streaming = Some(child.required_word("mode")?),
                "clipboard" => spice.clipboard = child.yes_no("copypaste")?,
                "filetransfer" => spice.filetransfer = child.yes_no("enable")?,
                "mouse" => spice.mouse = Some(child.required_word("mode")?),
                "gl" => {
                    spice.gl = child.yes_no("enable")?;
                    spice.rendernode = child.string("rendernode");
                }
                _ => {}
            }
        }
        Ok(spice)
    }

    pub(super) fn format_attributes(&self, w: &mut Writer, flags: FormatFlags, listens: &[Listen]) {
        let first = listens.first();
        if matches!(first.map(|l| l.kind), Some(ListenKind::Address | ListenKind::Network)) {
            let hidden = self.autoport && flags.inactive;
            w.attr_opt("port", Some(self.port).filter(|p| *p != 0 && !hidden));
            w.attr_opt("tlsPort", Some(self.tls_port).filter(|p| *p != 0 && !hidden));
            w.yes_no("autoport", Some(self.autoport));
            w.attr_opt("listen", first.and_then(|l| l.shown_address(flags)));
        }
        w.attr_opt("keymap", self.keymap.as_deref());
        w.attr_opt("defaultMode", self.default_mode.filter(|m| *m != SpiceChannelMode::Any));
        self.auth.format(w, flags);
    }

    pub(super) fn format_children(&self, w: &mut Writer) {
        for (name, mode) in &self.channels {
            w.element("channel", |w| {
                w.attr("name", name);
                w.attr("mode", mode);
            });
        }
        w.element_if_any("image", |w| w.attr_opt("compression", self.image));
        w.element_if_any("jpeg", |w| w.attr_opt("compression", self.jpeg));
        w.element_if_any("zlib", |w| w.attr_opt("compression", self.zlib));
        w.element_if_any("playback", |w| w.on_off("compression", self.playback));
        w.element_if_any("streaming", |w| w.attr_opt("mode", self.streaming));
        w.element_if_any("mouse", |w| w.attr_opt("mode", self.mouse));
        w.element_if_any("clipboard", |w| w.yes_no("copypaste", self.clipboard));
        w.element_if_any("filetransfer", |w| w.yes_no("enable", self.filetransfer));
        w.element_if_any("gl", |w| {
            w.yes_no("enable", self.gl);
            w.attr_opt("rendernode", self.rendernode.as_deref());
        });
    }
}

impl DbusDisplay {
    pub(super) fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.yes_no("p2p", self.p2p);
        w.attr_opt("address", self.address.as_deref().filter(|_| !(self.from_config && flags.inactive)));
        if flags.status {
            w.attr("fromConfig", u8::from(self.from_config));
        }
        w.element_if_any("gl", |w| {
            w.yes_no("enable", self.gl);
            w.attr_opt("rendernode", self.rendernode.as_deref());
        });
        w.element_if_any("audio", |w| w.attr_opt("id", self.audio_id));
    }
}
