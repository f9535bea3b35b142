//! The connection itself and descriptors passed over it.

use serde::Deserialize;

use crate::qmp::Empty;
use crate::qmp::command::commands;

commands! {
    /// Leaves negotiation mode.
    QmpCapabilities = "qmp_capabilities" -> Empty {}
    /// Names the descriptor that came with the request.
    GetFd = "getfd" -> Empty { #[serde(rename = "fdname")] fdname: String }
    /// Forgets a named descriptor.
    CloseFd = "closefd" -> Empty { #[serde(rename = "fdname")] fdname: String }
    /// Adds the descriptor that came with the request to a set.
    AddFd = "add-fd" -> AddFdInfo {
        #[serde(skip_serializing_if = "Option::is_none")] fdset_id: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")] opaque: Option<String>,
    }
    /// Removes a set or one descriptor of it.
    RemoveFd = "remove-fd" -> Empty {
        fdset_id: u32,
        #[serde(skip_serializing_if = "Option::is_none")] fd: Option<i32>,
    }
    /// Descriptor sets that QEMU holds.
    QueryFdsets = "query-fdsets" -> Vec<FdsetInfo> {}
}

/// Where a descriptor went.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub struct AddFdInfo {
    /// The set.
    pub fdset_id: u32,
    /// The number in QEMU.
    pub fd: i32,
}

/// One set.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub struct FdsetInfo {
    /// The set.
    pub fdset_id: u32,
    /// Its members.
    #[serde(default)]
    pub fds: Vec<FdsetMember>,
}

/// One descriptor of a set.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct FdsetMember {
    /// The number in QEMU.
    pub fd: i32,
    /// Our note.
    pub opaque: Option<String>,
}
