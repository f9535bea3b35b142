//! Devices that report a guest's panic.

use xml::text_enum;

use super::info::DeviceInfo;

text_enum! {
    /// Model.
    pub enum PanicModel { Isa = "isa", Pseries = "pseries", Hyperv = "hyperv", S390 = "s390", Pvpanic = "pvpanic" }
}

/// `<panic>`
#[derive(Clone, Debug, PartialEq)]
pub struct PanicDef {
    /// `None` until post-parse chooses.
    pub model: Option<PanicModel>,
    pub info: DeviceInfo,
}
