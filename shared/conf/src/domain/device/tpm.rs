//! Trusted platform modules.

use xml::text_enum;

use super::chardev::ChardevSource;
use super::info::DeviceInfo;

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

