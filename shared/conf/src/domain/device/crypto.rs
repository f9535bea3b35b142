//! virtio crypto devices.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioOptions};

text_enum! {
    /// Who computes.
    pub enum CryptoBackend { Builtin = "builtin", Lkcf = "lkcf" }
}

/// `<crypto model='virtio' type='qemu'>`
#[derive(Clone, Debug, PartialEq)]
pub struct CryptoDef {
    pub backend: CryptoBackend,
    pub queues: Option<u32>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}
