//! Audio back ends: `-audiodev`.

use conf::domain::device::audio::{AudioDef, AudioKind, AudioSide};
use error::Result;

use crate::command::plan::Builder;
use crate::command::props::Props;

/// All back ends.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for audio in &def.devices.audios {
        b.json("-audiodev", &props(audio));
    }
    Ok(())
}

fn props(audio: &AudioDef) -> Props {
    let driver = match audio.kind {
        AudioKind::PulseAudio => "pa".to_owned(),
        AudioKind::File => "wav".to_owned(),
        other => other.to_string(),
    };
    let id = format!("audio{}", audio.id);
    let begin =
        Props::default().with("id", id).with("driver", driver).nonzero("timer-period", audio.timer_period.unwrap_or(0));
    let begin = match audio.kind {
        AudioKind::Oss => begin
            .maybe("try-mmap", audio.try_mmap)
            .maybe("exclusive", audio.exclusive)
            .maybe("dsp-policy", audio.dsp_policy),
        AudioKind::PulseAudio => begin.maybe("server", audio.server_name.clone()),
        AudioKind::File => begin.maybe("path", audio.path.clone()),
        _ => begin,
    };
    let (input, output) = (side(audio.kind, &audio.input), side(audio.kind, &audio.output));
    begin.maybe("in", input).maybe("out", output)
}

fn side(kind: AudioKind, side: &AudioSide) -> Option<Props> {
    let props = Props::default()
        .maybe("mixing-engine", side.mixing_engine)
        .maybe("fixed-settings", side.fixed_settings)
        .nonzero("voices", side.voices.unwrap_or(0))
        .nonzero("buffer-length", side.buffer_length.unwrap_or(0))
        .nonzero("frequency", side.frequency.unwrap_or(0))
        .nonzero("channels", side.channels.unwrap_or(0))
        .maybe("format", side.format.map(|f| f.to_string()));
    let props = match kind {
        AudioKind::Alsa => props.maybe("dev", side.dev.clone()),
        AudioKind::Oss => props
            .maybe("dev", side.dev.clone())
            .nonzero("buffer-count", side.buffer_count.unwrap_or(0))
            .maybe("try-poll", side.try_poll),
        AudioKind::CoreAudio | AudioKind::Sdl => props.nonzero("buffer-count", side.buffer_count.unwrap_or(0)),
        AudioKind::Jack => props
            .maybe("server-name", side.server_name.clone())
            .maybe("client-name", side.client_name.clone())
            .maybe("connect-ports", side.connect_ports.clone())
            .maybe("exact-name", side.exact_name),
        AudioKind::PulseAudio | AudioKind::Pipewire => props
            .maybe("name", side.name.clone())
            .maybe("stream-name", side.stream_name.clone())
            .nonzero("latency", side.latency.unwrap_or(0)),
        _ => props,
    };
    (props != Props::default()).then_some(props)
}
