//! Graphics servers: VNC, SPICE, SDL, D-Bus and headless OpenGL.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::graphics_server::port;
use crate::FormatFlags;
use crate::domain::ParseContext;

text_enum! {
    /// Kind of a listen address.
    pub enum ListenKind { None = "none", Address = "address", Network = "network", Socket = "socket" }
}

/// `<listen>`
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    pub kind: ListenKind,
    pub address: Option<String>,
    pub network: Option<String>,
    pub socket: Option<String>,
    /// The address was filled in by us from the configuration.
    pub from_config: bool,
    /// The socket was made up by us.
    pub auto_generated: bool,
}

text_enum! {
    /// What happens to the other clients.
    pub enum SharePolicy { AllowExclusive = "allow-exclusive", ForceShared = "force-shared", Ignore = "ignore" }
}
text_enum! {
    /// What to do with connected clients when the password changes.
    pub enum Connected { Fail = "fail", Disconnect = "disconnect", Keep = "keep" }
}

/// Password with its life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphicsAuth {
    pub passwd: Option<String>,
    /// UTC, `2011-05-31T16:11:22`.
    pub valid_to: Option<String>,
    pub connected: Option<Connected>,
}

text_enum! {
    /// SPICE channel.
    pub enum SpiceChannel {
        Main = "main", Display = "display", Inputs = "inputs", Cursor = "cursor", Playback = "playback", Record = "record",
        Smartcard = "smartcard", Usbredir = "usbredir",
    }
}
text_enum! {
    /// Transport security of a SPICE channel.
    pub enum SpiceChannelMode { Any = "any", Secure = "secure", Insecure = "insecure" }
}
text_enum! {
    /// Image compression.
    pub enum SpiceImage { AutoGlz = "auto_glz", AutoLz = "auto_lz", Quic = "quic", Glz = "glz", Lz = "lz", Off = "off" }
}
text_enum! {
    /// When lossy compression is used.
    pub enum SpiceWan { Auto = "auto", Never = "never", Always = "always" }
}
text_enum! {
    /// Video streaming.
    pub enum SpiceStreaming { Filter = "filter", All = "all", Off = "off" }
}

/// VNC server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vnc {
    /// -1 or absent: chosen at start.
    pub port: i32,
    pub autoport: bool,
    pub websocket: Option<i32>,
    pub websocket_generated: bool,
    pub keymap: Option<String>,
    pub share_policy: Option<SharePolicy>,
    pub auth: GraphicsAuth,
    pub power_control: Option<bool>,
    pub wait: Option<bool>,
}

/// SPICE server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spice {
    pub port: i32,
    pub tls_port: i32,
    pub autoport: bool,
    pub keymap: Option<String>,
    pub auth: GraphicsAuth,
    pub default_mode: Option<SpiceChannelMode>,
    pub channels: Vec<(SpiceChannel, SpiceChannelMode)>,
    pub image: Option<SpiceImage>,
    pub jpeg: Option<SpiceWan>,
    pub zlib: Option<SpiceWan>,
    pub playback: Option<bool>,
    pub streaming: Option<SpiceStreaming>,
    pub clipboard: Option<bool>,
    pub mouse: Option<super::chardev::MouseMode>,
    pub filetransfer: Option<bool>,
    pub gl: Option<bool>,
    pub rendernode: Option<String>,
}

/// SDL window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sdl {
    pub display: Option<String>,
    pub xauth: Option<String>,
    pub fullscreen: Option<bool>,
    pub gl: Option<bool>,
}

/// D-Bus display.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DbusDisplay {
    pub p2p: Option<bool>,
    pub address: Option<String>,
    /// The address was made up by us.
    pub from_config: bool,
    pub gl: Option<bool>,
    pub rendernode: Option<String>,
    pub audio_id: Option<u32>,
}

/// Plain RDP server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rdp {
    pub port: i32,
    pub autoport: bool,
    pub replace_user: bool,
    pub multi_user: bool,
    pub username: Option<String>,
    pub passwd: Option<String>,
}

/// By kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Graphics {
    Sdl(Sdl),
    Vnc(Vnc),
    Rdp(Rdp),
    Desktop { display: Option<String>, fullscreen: bool },
    Spice(Spice),
    EglHeadless { rendernode: Option<String> },
    Dbus(DbusDisplay),
}

/// `<graphics>`
#[derive(Clone, Debug, PartialEq)]
pub struct GraphicsDef {
    pub graphics: Graphics,
    pub listens: Vec<Listen>,
    /// `<audio id=/>` of VNC.
    pub audio_id: Option<u32>,
}

text_enum! {
    /// Word of each kind.
    pub enum GraphicsKind {
        Sdl = "sdl", Vnc = "vnc", Rdp = "rdp", Desktop = "desktop", Spice = "spice", EglHeadless = "egl-headless", Dbus = "dbus",
    }
}

impl GraphicsDef {
    /// Its kind.
    pub fn kind(&self) -> GraphicsKind {
        match self.graphics {
            Graphics::Sdl(_) => GraphicsKind::Sdl,
            Graphics::Vnc(_) => GraphicsKind::Vnc,
            Graphics::Rdp(_) => GraphicsKind::Rdp,
            Graphics::Desktop { .. } => GraphicsKind::Desktop,
            Graphics::Spice(_) => GraphicsKind::Spice,
            Graphics::EglHeadless { .. } => GraphicsKind::EglHeadless,
            Graphics::Dbus(_) => GraphicsKind::Dbus,
        }
    }

    /// Reads `<graphics>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let kind = node.required_word("type")?;
        let gl = node.child("gl");
        let gl_enable = || gl.map(|g| g.yes_no("enable")).transpose().map(Option::flatten);
        let rendernode = || gl.and_then(|g| g.string("rendernode"));
        let audio_id = node.child("audio").map(|a| a.u32_nonzero("id")).transpose()?.flatten();
        let listens = match kind {
            GraphicsKind::Vnc | GraphicsKind::Spice | GraphicsKind::Rdp => {
                Listen::parse_all(node, kind == GraphicsKind::Vnc, ctx.live)?
            }
            _ => Vec::new(),
        };
        let graphics = match kind {
            GraphicsKind::Vnc => Graphics::Vnc(Vnc::parse(node, ctx.live)?),
            GraphicsKind::Spice => Graphics::Spice(Spice::parse(node, ctx.live)?),
            GraphicsKind::Sdl => Graphics::Sdl(Sdl {
                display: node.string("display"),
                xauth: node.string("xauth"),
                fullscreen: node.yes_no("fullscreen")?,
                gl: gl_enable()?,
            }),
            GraphicsKind::Desktop => Graphics::Desktop {
                display: node.string("display"),
                fullscreen: node.yes_no("fullscreen")? == Some(true),
            },
            GraphicsKind::EglHeadless => Graphics::EglHeadless { rendernode: rendernode() },
            GraphicsKind::Dbus => Graphics::Dbus(DbusDisplay {
                p2p: node.yes_no("p2p")?,
                address: node.string("address"),
                from_config: ctx.live && node.attr("fromConfig") == Some("1"),
                gl: gl_enable()?,
                rendernode: rendernode(),
                audio_id,
            }),
            GraphicsKind::Rdp => {
                let mut rdp = Rdp { port: port(node, "port", "rdp port")?, ..Rdp::default() };
                if rdp.port == -1 || node.yes_no("autoport")? == Some(true) {
                    rdp.autoport = true;
                    rdp.port = if ctx.live { rdp.port.max(0) } else { 0 };
                }
                rdp.replace_user = node.yes_no("replaceUser")? == Some(true);
                rdp.multi_user = node.yes_no("multiUser")? == Some(true);
                rdp.username = node.string("username");
                rdp.passwd = node.string("passwd");
                Graphics::Rdp(rdp)
            }
        };
        Ok(Self { graphics, listens, audio_id: audio_id.filter(|_| kind == GraphicsKind::Vnc) })
    }

    /// Writes `<graphics>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("graphics", |w| {
            w.attr("type", self.kind());
            match &self.graphics {
                Graphics::Vnc(vnc) => vnc.format(w, flags, &self.listens),
                Graphics::Spice(spice) => spice.format_attributes(w, flags, &self.listens),
                Graphics::Sdl(sdl) => {
                    w.attr_opt("display", sdl.display.as_deref());
                    w.attr_opt("xauth", sdl.xauth.as_deref());
                    w.yes_no("fullscreen", sdl.fullscreen);
                    w.element_if_any("gl", |w| w.yes_no("enable", sdl.gl));
                }
                Graphics::Desktop { display, fullscreen } => {
                    w.attr_opt("display", display.as_deref());
                    w.yes_no("fullscreen", fullscreen.then_some(true));
                }
                Graphics::EglHeadless { rendernode } => {
                    w.element_if_any("gl", |w| w.attr_opt("rendernode", rendernode.as_deref()))
                }
                Graphics::Dbus(dbus) => dbus.format(w, flags),
                Graphics::Rdp(rdp) => {
                    w.attr_opt("port", Some(rdp.port).filter(|p| *p != 0));
                    w.yes_no("autoport", rdp.autoport.then_some(true));
                    w.yes_no("replaceUser", rdp.replace_user.then_some(true));
                    w.yes_no("multiUser", rdp.multi_user.then_some(true));
                    w.attr_opt("listen", self.listens.first().and_then(|l| l.shown_address(flags)));
                    w.attr_opt("username", rdp.username.as_deref());
                    w.attr_opt("passwd", rdp.passwd.as_deref().filter(|_| flags.secure));
                }
            }
            self.listens.iter().for_each(|l| l.format(w, flags));
            if let Graphics::Spice(spice) = &self.graphics {
                spice.format_children(w);
            }
            w.element_if_any("audio", |w| w.attr_opt("id", self.audio_id));
        });
    }
}
