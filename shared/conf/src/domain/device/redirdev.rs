//! USB redirection and its filter.

use super::chardev::ChardevSource;
use super::info::DeviceInfo;

/// `<redirdev bus='usb'>`
#[derive(Clone, Debug, PartialEq)]
pub struct RedirdevDef {
    pub source: ChardevSource,
    pub info: DeviceInfo,
}

/// `<usbdev>` of the filter; absent means any.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RedirRule {
    pub class: Option<u32>,
    pub vendor: Option<u32>,
    pub product: Option<u32>,
    /// BCD: 1.10 is 0x0110.
    pub version: Option<u32>,
    pub allow: bool,
}
