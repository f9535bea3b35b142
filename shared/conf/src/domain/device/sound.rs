//! Sound cards.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::{DeviceInfo, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;

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

impl SoundDef {
    /// Reads `<sound>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let model: SoundModel = node.required_word("model")?;
        let hda = matches!(model, SoundModel::Ich6 | SoundModel::Ich9);
        Ok(Self {
            multichannel: if model == SoundModel::Usb { node.yes_no("multichannel")? } else { None },
            streams: if model == SoundModel::Virtio { node.u32_nonzero("streams")? } else { None },
            codecs: if hda {
                node.children("codec").map(|c| c.required_word("type")).collect::<Result<_>>()?
            } else {
                Vec::new()
            },
            audio_id: node.child("audio").map(|a| a.u32_nonzero("id")).transpose()?.flatten(),
            virtio: VirtioOptions::parse(node.child("driver"))?,
            info: DeviceInfo::parse(node, ctx, Allow::default())?,
            model,
        })
    }

    /// Writes `<sound>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("sound", |w| {
            w.attr("model", self.model);
            w.yes_no("multichannel", self.multichannel);
            w.attr_opt("streams", self.streams);
            self.codecs.iter().for_each(|c| w.element("codec", |w| w.attr("type", c)));
            w.element_if_any("audio", |w| w.attr_opt("id", self.audio_id));
            self.info.format(w, flags);
            self.virtio.format_driver(w);
        });
    }
}
