//! Sound cards.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioOptions};

text_enum! {
    /// Model.
    pub enum SoundModel {
        Es1370 = "es1370", Sb16 = "sb16", Ac97 = "ac97", Ich6 = "ich6", Ich9 = "ich9", Usb = "usb", PcSpk = "pcspk", Ich7 = "ich7",
        Virtio = "virtio",
    }
}
text_enum! {
    /// HDA codec.
    pub enum CodecKind { Duplex = "duplex", Micro = "micro", Output = "output" }
}

/// `<sound>`
#[derive(Clone, Debug, PartialEq)]
pub struct SoundDef {
    pub model: SoundModel,
    pub multichannel: Option<bool>,
    pub streams: Option<u32>,
    pub codecs: Vec<CodecKind>,
    pub audio_id: Option<u32>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}
