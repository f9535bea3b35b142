//! Sound cards.

use conf::domain::device::sound::{CodecKind, SoundDef, SoundModel};
use error::Result;

use super::{address, alias, virtio};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All sound cards; the speaker belongs to the board.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for sound in def.devices.sounds.iter().filter(|s| s.model != SoundModel::PcSpk) {
        let audio = sound.audio_id.or_else(|| def.devices.audios.first().map(|a| a.id)).map(|id| format!("audio{id}"));
        b.device(address::place(card(sound, audio.clone()), def, &sound.info));
        if matches!(sound.model, SoundModel::Ich6 | SoundModel::Ich9) {
            codecs(b, sound, audio);
        }
    }
    Ok(())
}

fn card(sound: &SoundDef, audio: Option<String>) -> Props {
    let id = alias(&sound.info);
    match sound.model {
        SoundModel::Virtio => virtio::begin("virtio-sound", &sound.info, None, &sound.virtio)
            .with("id", id)
            .maybe("audiodev", audio)
            .maybe("streams", sound.streams),
        // Their codecs have the back end.
        SoundModel::Ich6 => Props::driver("intel-hda").with("id", id),
        SoundModel::Ich9 => Props::driver("ich9-intel-hda").with("id", id),
        model => {
            let driver = match model {
                SoundModel::Es1370 => "ES1370",
                SoundModel::Ac97 => "AC97",
                SoundModel::Usb => "usb-audio",
                _ => "sb16",
            };
            Props::driver(driver).with("id", id).maybe("audiodev", audio).maybe("multi", sound.multichannel)
        }
    }
}

fn codecs(b: &mut Builder, sound: &SoundDef, audio: Option<String>) {
    let id = alias(&sound.info);
    let kinds = if sound.codecs.is_empty() { &[CodecKind::Duplex][..] } else { &sound.codecs[..] };
    for (number, kind) in kinds.iter().enumerate() {
        let props = Props::driver(format!("hda-{kind}"))
            .with("id", format!("{id}-codec{number}"))
            .with("bus", format!("{id}.0"))
            .with("cad", number)
            .maybe("audiodev", audio.clone());
        b.device(props);
    }
}
