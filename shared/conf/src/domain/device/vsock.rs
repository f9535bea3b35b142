//! virtio sockets.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioOptions};

text_enum! {
    /// Model.
    pub enum VsockModel { Default = "default", Virtio = "virtio", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional" }
}

/// `<vsock>`
#[derive(Clone, Debug, PartialEq)]
pub struct VsockDef {
    pub model: Option<VsockModel>,
    pub cid: Option<u32>,
    pub auto_cid: Option<bool>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}
