//! Smart card readers.

use super::chardev::ChardevSource;
use super::info::DeviceInfo;

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
