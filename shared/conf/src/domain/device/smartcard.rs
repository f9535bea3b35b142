//! Smart card readers.

use error::Result;
use xml::{Node, Vocabulary, Writer};

use super::chardev::ChardevKind;
use super::chardev::ChardevSource;
use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{unsupported, xml_error};

/// By mode.
#[derive(Clone, Debug, PartialEq)]
pub enum Smartcard {
    Host,
    HostCertificates { certificates: [String; 3], database: Option<String> },
    Passthrough(ChardevSource),
}

/// `<smartcard>`
#[derive(Clone, Debug, PartialEq)]
pub struct SmartcardDef {
    pub smartcard: Smartcard,
    pub info: DeviceInfo,
}

impl SmartcardDef {
    /// Reads `<smartcard>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `INTERNAL_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let smartcard = match node.attr("mode") {
            None => return Err(xml_error("missing smartcard device mode")),
            Some("host") => Smartcard::Host,
            Some("host-certificates") => {
                let names: Vec<String> = node.children("certificate").map(|c| c.text()).collect();
                let certificates: [String; 3] = names
                    .try_into()
                    .map_err(|_| xml_error("host-certificates mode needs exactly three certificates"))?;
                let database = node.child_text("database");
                if database.as_ref().is_some_and(|d| !d.starts_with('/')) {
                    return Err(xml_error(format!("expecting absolute path: {}", database.unwrap_or_default())));
                }
                Smartcard::HostCertificates { certificates, database }
            }
            Some("passthrough") => {
                let word = node
                    .attr("type")
                    .ok_or_else(|| xml_error("passthrough mode requires a character device type attribute"))?;
                let kind = ChardevKind::from_word(word).ok_or_else(|| {
                    unsupported(format!("unknown type presented to host for character device: {word}"))
                })?;
                Smartcard::Passthrough(ChardevSource::parse(node, kind)?)
            }
            Some(mode) => return Err(xml_error(format!("unknown smartcard device mode: {mode}"))),
        };
        let info = DeviceInfo::parse(node, ctx, Allow::default())?;
        if info.address.as_ref().is_some_and(|a| a.kind() != super::info::AddressKind::Ccid) {
            return Err(unsupported("Controllers must use the 'ccid' address type"));
        }
        Ok(Self { smartcard, info })
    }

    /// Writes `<smartcard>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("smartcard", |w| {
            match &self.smartcard {
                Smartcard::Host => w.attr("mode", "host"),
                Smartcard::HostCertificates { certificates, database } => {
                    w.attr("mode", "host-certificates");
                    certificates.iter().for_each(|c| w.leaf("certificate", c));
                    w.leaf_opt("database", database.as_deref());
                }
                Smartcard::Passthrough(source) => {
                    w.attr("mode", "passthrough");
                    w.attr("type", source.backend.kind());
                    source.format(w, flags);
                }
            }
            self.info.format(w, flags);
        });
    }
}
