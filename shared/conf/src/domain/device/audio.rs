//! Audio backends on the host.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use crate::domain::fault::xml_error;

text_enum! {
    /// Kind.
    pub enum AudioKind {
        None = "none", Alsa = "alsa", CoreAudio = "coreaudio", Jack = "jack", Oss = "oss", PulseAudio = "pulseaudio", Sdl = "sdl",
        Spice = "spice", File = "file", Dbus = "dbus", Pipewire = "pipewire",
    }
}
text_enum! {
    /// SDL's driver.
    pub enum SdlDriver { Esd = "esd", Alsa = "alsa", Arts = "arts", PulseAudio = "pulseaudio" }
}
text_enum! {
    /// Sample format.
    pub enum SampleFormat { S8 = "s8", U8 = "u8", S16 = "s16", U16 = "u16", S32 = "s32", U32 = "u32", F32 = "f32" }
}

/// `<input>` or `<output>` of a backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioSide {
    pub mixing_engine: Option<bool>,
    pub fixed_settings: Option<bool>,
    pub voices: Option<u32>,
    pub buffer_length: Option<u32>,
    pub frequency: Option<u32>,
    pub channels: Option<u32>,
    pub format: Option<SampleFormat>,
    /// alsa, oss: device.
    pub dev: Option<String>,
    pub try_poll: Option<bool>,
    /// coreaudio, oss, sdl.
    pub buffer_count: Option<u32>,
    /// jack.
    pub server_name: Option<String>,
    pub client_name: Option<String>,
    pub connect_ports: Option<String>,
    pub exact_name: Option<bool>,
    /// pulseaudio, pipewire.
    pub name: Option<String>,
    pub stream_name: Option<String>,
    pub latency: Option<u32>,
}

/// `<audio>`
#[derive(Clone, Debug, PartialEq)]
pub struct AudioDef {
    pub kind: AudioKind,
    pub id: u32,
    pub timer_period: Option<u32>,
    pub input: AudioSide,
    pub output: AudioSide,
    /// oss.
    pub try_mmap: Option<bool>,
    pub exclusive: Option<bool>,
    pub dsp_policy: Option<i32>,
    /// pulseaudio.
    pub server_name: Option<String>,
    pub sdl_driver: Option<SdlDriver>,
    /// file.
    pub path: Option<String>,
    /// pipewire.
    pub runtime_dir: Option<String>,
}

impl AudioSide {
    fn parse(node: Node<'_>) -> Result<Self> {
        let mut side = Self {
            mixing_engine: node.yes_no("mixingEngine")?,
            fixed_settings: node.yes_no("fixedSettings")?,
            voices: node.u32_nonzero("voices")?,
            buffer_length: node.u32_nonzero("bufferLength")?,
            dev: node.string("dev"),
            try_poll: node.yes_no("tryPoll")?,
            buffer_count: node.u32_nonzero("bufferCount")?,
            server_name: node.string("serverName"),
            client_name: node.string("clientName"),
            connect_ports: node.string("connectPorts"),
            exact_name: node.yes_no("exactName")?,
            name: node.string("name"),
            stream_name: node.string("streamName"),
            latency: node.u32_nonzero("latency")?,
            ..Self::default()
        };
        if let Some(settings) = node.child("settings") {
            if side.fixed_settings != Some(true) {
                return Err(xml_error("audio settings require fixedSettings"));
            }
            side.frequency = settings.u32_nonzero("frequency")?;
            side.channels = settings.u32_nonzero("channels")?;
            side.format = settings.word("format")?;
        }
        Ok(side)
    }

    fn format(&self, name: &str, w: &mut Writer) {
        w.element_if_any(name, |w| {
            w.yes_no("mixingEngine", self.mixing_engine);
            w.yes_no("fixedSettings", self.fixed_settings);
            w.attr_opt("voices", self.voices);
            w.attr_opt("bufferLength", self.buffer_length);
            w.attr_opt("dev", self.dev.as_deref());
            w.attr_opt("serverName", self.server_name.as_deref());
            w.attr_opt("clientName", self.client_name.as_deref());
            w.attr_opt("connectPorts", self.connect_ports.as_deref());
            w.yes_no("exactName", self.exact_name);
            w.attr_opt("name", self.name.as_deref());
            w.attr_opt("streamName", self.stream_name.as_deref());
            w.attr_opt("latency", self.latency);
            w.attr_opt("bufferCount", self.buffer_count);
            w.yes_no("tryPoll", self.try_poll);
            w.element_if_any("settings", |w| {
                w.attr_opt("frequency", self.frequency);
                w.attr_opt("channels", self.channels);
                w.attr_opt("format", self.format);
            });
        });
    }
}

impl AudioDef {
    /// A backend of `kind` without settings.
    pub fn new(kind: AudioKind, id: u32) -> Self {
        Self {
            kind,
            id,
            timer_period: None,
            input: AudioSide::default(),
            output: AudioSide::default(),
            try_mmap: None,
            exclusive: None,
            dsp_policy: None,
            server_name: None,
            sdl_driver: None,
            path: None,
            runtime_dir: None,
        }
    }

    /// Reads `<audio>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let kind = node.required_word("type")?;
        let id = node.u32_nonzero("id")?.ok_or_else(|| xml::missing_attribute(node, "id"))?;
        let side = |name: &str| node.child(name).map(AudioSide::parse).transpose().map(Option::unwrap_or_default);
        let dsp_policy = node.i32("dspPolicy")?.filter(|_| kind == AudioKind::Oss);
        Ok(Self {
            timer_period: node.u32_nonzero("timerPeriod")?,
            input: side("input")?,
            output: side("output")?,
            try_mmap: node.yes_no("tryMMap")?.filter(|_| kind == AudioKind::Oss),
            exclusive: node.yes_no("exclusive")?.filter(|_| kind == AudioKind::Oss),
            dsp_policy,
            server_name: node.string("serverName").filter(|_| kind == AudioKind::PulseAudio),
            sdl_driver: if kind == AudioKind::Sdl { node.word("driver")? } else { None },
            path: node.string("path").filter(|_| kind == AudioKind::File),
            runtime_dir: node.string("runtimeDir").filter(|_| kind == AudioKind::Pipewire),
            ..Self::new(kind, id)
        })
    }

    /// Writes `<audio>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("audio", |w| {
            w.attr("id", self.id);
            w.attr("type", self.kind);
            w.attr_opt("timerPeriod", self.timer_period);
            w.yes_no("tryMMap", self.try_mmap);
            w.yes_no("exclusive", self.exclusive);
            w.attr_opt("dspPolicy", self.dsp_policy);
            w.attr_opt("serverName", self.server_name.as_deref());
            w.attr_opt("driver", self.sdl_driver);
            w.attr_opt("path", self.path.as_deref());
            w.attr_opt("runtimeDir", self.runtime_dir.as_deref());
            self.input.format("input", w);
            self.output.format("output", w);
        });
    }
}
