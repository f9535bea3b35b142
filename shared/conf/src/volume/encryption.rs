//! `<encryption>` of a volume.

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer};

use crate::pool::{SecretLookup, unsupported, xml_error};

/// How a volume's content is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeEncryption {
    /// `default`, `qcow` or `luks`.
    pub format: String,
    /// Passphrases; a volume found on disk has none.
    pub secrets: Vec<SecretLookup>,
}

impl VolumeEncryption {
    pub(crate) fn from_node(node: Node<'_>) -> Result<Self> {
        let format = node.string("format").ok_or_else(|| xml_error("unknown volume encryption format"))?;
        if !matches!(format.as_str(), "default" | "qcow" | "luks" | "luks2" | "luks-any") {
            return Err(unsupported(format!("unknown volume encryption format type {format}")));
        }
        let mut secrets = Vec::new();
        for secret in node.children("secret") {
            let kind = secret.string("type").ok_or_else(|| xml_error("unknown volume encryption secret type"))?;
            if kind != "passphrase" {
                return Err(xml_error(format!("unknown volume encryption secret type {kind}")));
            }
            secrets.push(SecretLookup::from_node(secret)?);
        }
        Ok(VolumeEncryption { format, secrets })
    }

    /// Exactly one passphrase, as creating needs it.
    ///
    /// # Errors
    /// `INVALID_ARG` otherwise.
    pub fn single_secret(&self) -> Result<&SecretLookup> {
        match self.secrets.as_slice() {
            [one] => Ok(one),
            _ => {
                let detail = "A single <secret type='passphrase'...> element is expected in encryption description";
                Err(Error::new(Domain::Storage, Code::InvalidArg, detail))
            }
        }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.element_split("encryption", |w| {
            w.attr("format", &self.format);
            for secret in &self.secrets {
                w.element("secret", |w| {
                    w.attr("type", "passphrase");
                    secret.write(w);
                });
            }
        });
    }
}
