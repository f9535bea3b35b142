//! NVRAM device of pseries.

use super::info::DeviceInfo;

/// `<nvram>` below `<devices>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NvramDef {
    pub info: DeviceInfo,
}
