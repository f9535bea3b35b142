//! Throttle groups of the domain and their use by disks.

use error::Result;
use xml::{Node, Writer};

use super::iotune::IoTune;
use crate::domain::fault::xml_error;

/// `<throttlegroup>`; its name is the tune's `group_name`.
pub type ThrottleGroup = IoTune;

/// `<throttlefilter group=/>` of a disk.
#[derive(Clone, Debug, PartialEq)]
pub struct ThrottleFilter {
    pub group: String,
}

/// Reads `<throttlegroup>`, whose group name is required.
pub fn parse_group(node: Node<'_>) -> Result<ThrottleGroup> {
    let group = IoTune::parse(node)?;
    if group.group_name.is_none() {
        return Err(xml_error("Missing group name"));
    }
    Ok(group)
}

/// Writes `<throttlegroups>` when there are any.
pub fn format_groups(w: &mut Writer, groups: &[ThrottleGroup]) {
    w.element_if_any("throttlegroups", |w| {
        for group in groups {
            w.element("throttlegroup", |w| {
                group.format(w);
            });
        }
    });
}
