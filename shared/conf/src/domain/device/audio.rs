//! Audio backends on the host.

use xml::text_enum;

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
