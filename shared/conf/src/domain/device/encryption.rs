//! Encryption of an image: format, engine and the secrets that open it.

use error::{Code, Domain, Error, Result};
use xml::text_enum;
use xml::{Node, Vocabulary, Writer, missing_attribute};

use super::source::SecretRef;
use crate::domain::fault::xml_error;

text_enum! {
    /// On-disk format.
    pub enum EncryptionFormat { Default = "default", Qcow = "qcow", Luks = "luks", Luks2 = "luks2", LuksAny = "luks-any" }
}
text_enum! {
    /// Who decrypts.
    pub enum EncryptionEngine { Qemu = "qemu", Librbd = "librbd" }
}

/// Cipher of a LUKS volume to be created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cipher {
    pub name: String,
    pub size: u32,
    pub mode: Option<String>,
    pub hash: Option<String>,
    pub ivgen: Option<(String, Option<String>)>,
}

/// `<encryption>`
#[derive(Clone, Debug, PartialEq)]
pub struct Encryption {
    pub format: EncryptionFormat,
    pub engine: Option<EncryptionEngine>,
    pub secrets: Vec<SecretRef>,
    pub cipher: Option<Cipher>,
}

impl SecretRef {
    /// Reads `uuid` or `usage` of `<secret>`: exactly one of them.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        match (node.attr("uuid"), node.attr("usage")) {
            (Some(_), Some(_)) => Err(xml_error("either secret uuid or usage expected")),
            (Some(uuid), None) => {
                xml::parse_uuid(uuid).map(Self::Uuid).ok_or_else(|| xml_error(format!("invalid secret uuid '{uuid}'")))
            }
            (None, Some(usage)) => Ok(Self::Usage(usage.to_owned())),
            (None, None) => Err(xml_error("missing secret uuid or usage attribute")),
        }
    }

    /// Writes the attribute.
    pub fn format(&self, w: &mut Writer) {
        match self {
            Self::Uuid(uuid) => w.attr("uuid", xml::format_uuid(uuid)),
            Self::Usage(usage) => w.attr("usage", usage),
        }
    }
}

impl Encryption {
    /// Reads `<encryption>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let format = node
            .attr("format")
            .and_then(EncryptionFormat::from_word)
            .ok_or_else(|| Error::new(Domain::Storage, Code::XmlError, "unknown volume encryption format"))?;
        let engine = node.word("engine")?;
        let mut secrets = Vec::new();
        for secret in node.children("secret") {
            let kind = secret.required("type")?;
            if kind != "passphrase" {
                return Err(xml::invalid_value(secret, "type", kind, ""));
            }
            secrets.push(SecretRef::parse(secret)?);
        }
        let cipher = match node.child("cipher") {
            None => None,
            Some(cipher) => Some(Cipher {
                name: cipher.required("name")?.to_owned(),
                size: cipher.u32("size")?.ok_or_else(|| missing_attribute(cipher, "size"))?,
                mode: cipher.string("mode"),
                hash: cipher.string("hash"),
                ivgen: node.child("ivgen").map(|i| (i.attr("name").unwrap_or("").to_owned(), i.string("hash"))),
            }),
        };
        Ok(Self { format, engine, secrets, cipher })
    }

    /// Writes `<encryption>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("encryption", |w| {
            w.attr("format", self.format);
            w.attr_opt("engine", self.engine);
            for secret in &self.secrets {
                w.element("secret", |w| {
                    w.attr("type", "passphrase");
                    secret.format(w);
                });
            }
            if let Some(cipher) = &self.cipher {
                w.element("cipher", |w| {
                    w.attr("name", &cipher.name);
                    w.attr("size", cipher.size);
                    w.attr_opt("mode", cipher.mode.as_deref());
                    w.attr_opt("hash", cipher.hash.as_deref());
                });
                if let Some((name, hash)) = &cipher.ivgen {
                    w.element("ivgen", |w| {
                        w.attr("name", name);
                        w.attr_opt("hash", hash.as_deref());
                    });
                }
            }
        });
    }
}
