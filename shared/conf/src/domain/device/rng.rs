//! Random number generators.

use xml::text_enum;

use super::chardev::ChardevSource;
use super::info::{DeviceInfo, VirtioModel, VirtioOptions};

text_enum! {
    /// Where the numbers come from.
    pub enum RngBackendKind { Random = "random", Egd = "egd", Builtin = "builtin" }
}

/// By kind.
#[derive(Clone, Debug, PartialEq)]
pub enum RngBackend {
    Random { path: Option<String> },
    Egd(ChardevSource),
    Builtin,
}

/// `<rng>`
#[derive(Clone, Debug, PartialEq)]
pub struct RngDef {
    pub model: VirtioModel,
    /// bytes, period in milliseconds
    pub rate: Option<(u32, Option<u32>)>,
    pub backend: RngBackend,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}
