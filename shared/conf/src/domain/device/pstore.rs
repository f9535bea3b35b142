//! Persistent storage for crash logs (ACPI ERST).

use super::info::DeviceInfo;

/// `<pstore backend='acpi-erst'>`
#[derive(Clone, Debug, PartialEq)]
pub struct PstoreDef {
    pub size_kib: u64,
    pub path: Option<String>,
    pub info: DeviceInfo,
}
