//! USB hubs.

use super::info::DeviceInfo;

/// `<hub type='usb'>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HubDef {
    pub info: DeviceInfo,
}
