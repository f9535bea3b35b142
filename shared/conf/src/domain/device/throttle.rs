//! Throttle groups of the domain and their use by disks.

use super::iotune::IoTune;

/// `<throttlegroup>`; its name is the tune's `group_name`.
pub type ThrottleGroup = IoTune;

/// `<throttlefilter group=/>` of a disk.
#[derive(Clone, Debug, PartialEq)]
pub struct ThrottleFilter {
    pub group: String,
}
