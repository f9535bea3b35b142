//! Trusted platform modules.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::chardev::ChardevKind;
use super::chardev::ChardevSource;
use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{internal, xml_error};

text_enum! {
    /// What the guest sees.
    pub enum TpmModel { Tis = "tpm-tis", Crb = "tpm-crb", Spapr = "tpm-spapr", SpaprProxy = "spapr-tpm-proxy" }
}
text_enum! {
    /// TPM specification.
    pub enum TpmVersion { V1_2 = "1.2", V2_0 = "2.0" }
}
text_enum! {
    /// Form of swtpm's state.
    pub enum TpmSourceKind { File = "file", Dir = "dir" }
}
text_enum! {
    /// PCR bank.
    pub enum PcrBank { Sha1 = "sha1", Sha256 = "sha256", Sha384 = "sha384", Sha512 = "sha512" }
}

/// swtpm run by us.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TpmEmulator {
    pub version: Option<TpmVersion>,
    pub secret: Option<[u8; 16]>,
    pub persistent_state: Option<bool>,
    pub debug: Option<u32>,
    pub pcr_banks: Vec<PcrBank>,
    pub source: Option<(TpmSourceKind, String)>,
    /// name and `removeDisabled`
    pub profile: Option<TpmProfile>,
}

/// `<profile>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TpmProfile {
    pub source: Option<String>,
    pub name: Option<String>,
    pub remove_disabled: Option<String>,
}

/// By kind.
#[derive(Clone, Debug, PartialEq)]
pub enum TpmBackend {
    Passthrough { path: String },
    Emulator(TpmEmulator),
    External(ChardevSource),
}

/// `<tpm>`
#[derive(Clone, Debug, PartialEq)]
pub struct TpmDef {
    pub model: Option<TpmModel>,
    pub backend: TpmBackend,
    pub info: DeviceInfo,
}

impl TpmEmulator {
    fn parse(backend: Node<'_>) -> Result<Self> {
        let mut emulator = Self {
            version: backend.word("version")?,
            persistent_state: backend.yes_no("persistent_state")?,
            ..Self::default()
        };
        emulator.debug = backend.u32("debug")?;
        if let Some(encryption) = backend.child("encryption") {
            let secret = encryption.attr("secret").ok_or_else(|| xml_error("missing 'secret' attribute"))?;
            emulator.secret = Some(
                xml::parse_uuid(secret).ok_or_else(|| internal(format!("Unable to parse secret uuid '{secret}'")))?,
            );
        }
        if let Some(banks) = backend.child("active_pcr_banks") {
            emulator.pcr_banks = banks.elements().filter_map(|b| PcrBank::from_word(b.name())).collect();
            emulator.pcr_banks.sort();
            emulator.pcr_banks.dedup();
        }
        if let Some(source) = backend.child("source") {
            let path = source.string("path").ok_or_else(|| xml::missing_attribute(source, "path"))?;
            emulator.source = Some((source.required_word("type")?, path));
        }
        emulator.profile = backend.child("profile").map(|p| TpmProfile {
            source: p.string("source"),
            name: p.string("name"),
            remove_disabled: p.string("removeDisabled").or(p.string("remove_disabled")),
        });
        Ok(emulator)
    }

    fn format(&self, w: &mut Writer) {
        w.attr_opt("version", self.version);
        w.yes_no("persistent_state", self.persistent_state);
        w.attr_opt("debug", self.debug);
        if let Some(secret) = &self.secret {
            w.element("encryption", |w| w.attr("secret", xml::format_uuid(secret)));
        }
        w.element_if_any("active_pcr_banks", |w| self.pcr_banks.iter().for_each(|b| w.empty(b.word())));
        if let Some((kind, path)) = &self.source {
            w.element("source", |w| {
                w.attr("type", kind);
                w.attr("path", path);
            });
        }
        if let Some(profile) = &self.profile {
            w.element("profile", |w| {
                w.attr_opt("source", profile.source.as_deref());
                w.attr_opt("removeDisabled", profile.remove_disabled.as_deref());
                w.attr_opt("name", profile.name.as_deref());
            });
        }
    }
}

impl TpmDef {
    /// Reads `<tpm>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let model = node.word("model")?;
        let mut backends = node.children("backend");
        let backend = backends.next().ok_or_else(|| xml_error("missing TPM device backend"))?;
        if backends.next().is_some() {
            return Err(xml_error("only one TPM backend is supported"));
        }
        let backend = match backend.attr("type") {
            None => return Err(xml_error("missing TPM device backend type")),
            Some("passthrough") => {
                let path = backend.child("device").and_then(|d| d.non_empty("path"));
                TpmBackend::Passthrough { path: path.unwrap_or_else(|| "/dev/tpm0".to_owned()) }
            }
            Some("emulator") => TpmBackend::Emulator(TpmEmulator::parse(backend)?),
            Some("external") => {
                let source = backend.child("source").ok_or_else(|| xml_error("missing TPM source"))?;
                let kind = source.attr("type").ok_or_else(|| xml_error("missing external TPM backend source type"))?;
                let kind = ChardevKind::from_word(kind)
                    .ok_or_else(|| xml_error(format!("unknown backend source type '{kind}' for external TPM")))?;
                TpmBackend::External(ChardevSource::parse(backend, kind)?)
            }
            Some(word) => return Err(xml_error(format!("Unknown TPM backend type '{word}'"))),
        };
        Ok(Self { model, backend, info: DeviceInfo::parse(node, ctx, Allow::default())? })
    }

    /// Writes `<tpm>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("tpm", |w| {
            w.attr_opt("model", self.model);
            w.element("backend", |w| match &self.backend {
                TpmBackend::Passthrough { path } => {
                    w.attr("type", "passthrough");
                    w.element("device", |w| w.attr("path", path));
                }
                TpmBackend::Emulator(emulator) => {
                    w.attr("type", "emulator");
                    emulator.format(w);
                }
                TpmBackend::External(source) => {
                    w.attr("type", "external");
                    if let super::chardev::Chardev::Unix { path, listen, .. } = &source.backend {
                        w.element("source", |w| {
                            w.attr("type", "unix");
                            w.attr("mode", if *listen { "bind" } else { "connect" });
                            w.attr_opt("path", path.as_deref());
                        });
                    }
                }
            });
            self.info.format(w, flags);
        });
    }
}
