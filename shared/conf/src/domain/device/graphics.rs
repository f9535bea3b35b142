//! Graphics servers: VNC, SPICE, SDL, D-Bus and headless OpenGL.

use xml::text_enum;

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
