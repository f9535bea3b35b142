//! Random number generators.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::chardev::ChardevKind;
use super::chardev::ChardevSource;
use super::info::Allow;
use super::info::{DeviceInfo, VirtioModel, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::xml_error;

text_enum! {
    /// Where the numbers come from.
    pub enum RngBackendKind { Random = "random", Egd = "egd", Builtin = "builtin" }
}

/// By kind.
#[derive(Clone, Debug, PartialEq)]
pub enum RngBackend {
    Random { path: Option<String> },
    Egd(ChardevSource),
    Builtin,
}

/// `<rng>`
#[derive(Clone, Debug, PartialEq)]
pub struct RngDef {
    pub model: VirtioModel,
    /// bytes, period in milliseconds
    pub rate: Option<(u32, Option<u32>)>,
    pub backend: RngBackend,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}

impl RngDef {
    /// Reads `<rng>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let model = node.required_word("model")?;
        let rate = match node.child("rate") {
            None => None,
            Some(rate) => {
                let bytes = rate.u32("bytes")?.ok_or_else(|| xml_error("invalid RNG rate bytes value"))?;
                Some((bytes, rate.u32("period")?.filter(|p| *p > 0)))
            }
        };
        let mut backends = node.children("backend");
        let backend = backends.next().ok_or_else(|| xml_error("only one RNG backend is supported"))?;
        if backends.next().is_some() {
            return Err(xml_error("only one RNG backend is supported"));
        }
        let backend = match backend.required_word::<RngBackendKind>("model")? {
            RngBackendKind::Random => RngBackend::Random { path: Some(backend.text()).filter(|p| !p.is_empty()) },
            RngBackendKind::Builtin => RngBackend::Builtin,
            RngBackendKind::Egd => {
                let word = backend.attr("type").ok_or_else(|| xml_error("missing EGD backend type"))?;
                let kind = ChardevKind::from_word(word)
                    .ok_or_else(|| xml_error(format!("unknown backend type '{word}' for egd")))?;
                if !matches!(
                    kind,
                    ChardevKind::Unix
                        | ChardevKind::Tcp
                        | ChardevKind::Udp
                        | ChardevKind::Pty
                        | ChardevKind::Dev
                        | ChardevKind::File
                        | ChardevKind::Nmdm
                ) {
                    return Err(xml_error(format!("unknown backend type '{word}' for egd")));
                }
                RngBackend::Egd(ChardevSource::parse(backend, kind)?)
            }
        };
        Ok(Self {
            model,
            rate,
            backend,
            virtio: VirtioOptions::parse(node.child("driver"))?,
            info: DeviceInfo::parse(node, ctx, Allow { boot: false, rom: true })?,
        })
    }

    /// Writes `<rng>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("rng", |w| {
            w.attr("model", self.model);
            if let Some((bytes, period)) = self.rate {
                w.element("rate", |w| {
                    w.attr("bytes", bytes);
                    w.attr_opt("period", period);
                });
            }
            match &self.backend {
                RngBackend::Random { path } => match path {
                    Some(path) => w.leaf_with("backend", |w| w.attr("model", "random"), path),
                    None => w.element("backend", |w| w.attr("model", "random")),
                },
                RngBackend::Builtin => w.element("backend", |w| w.attr("model", "builtin")),
                RngBackend::Egd(source) => w.element("backend", |w| {
                    w.attr("model", "egd");
                    w.attr("type", source.backend.kind());
                    source.format(w, flags);
                }),
            }
            self.virtio.format_driver(w);
            self.info.format(w, flags);
        });
    }
}
