//! Encryption of an image: format, engine and the secrets that open it.

use xml::text_enum;

use super::source::SecretRef;

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
