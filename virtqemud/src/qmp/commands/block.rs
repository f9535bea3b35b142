//! Disks: block nodes, media, jobs.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::qmp::Empty;
use crate::qmp::command::commands;

commands! {
    /// Block devices of the guest.
    QueryBlock = "query-block" -> Vec<BlockInfo> {}
    /// Block nodes.
    QueryNamedBlockNodes = "query-named-block-nodes" -> Vec<Value> { #[serde(skip_serializing_if = "Option::is_none")] flat: Option<bool> }
    /// Counters of block devices.
    QueryBlockstats = "query-blockstats" -> Vec<Value> { #[serde(skip_serializing_if = "Option::is_none")] query_nodes: Option<bool> }
    /// Opens a node; the map is the one of `-blockdev` JSON.
    BlockdevAdd = "blockdev-add" -> Empty { #[serde(flatten)] properties: Map<String, Value> }
    /// Closes a node.
    BlockdevDel = "blockdev-del" -> Empty { node_name: String }
    /// Opens nodes again with other options.
    BlockdevReopen = "blockdev-reopen" -> Empty { options: Vec<Value> }
    /// Opens a tray.
    BlockdevOpenTray = "blockdev-open-tray" -> Empty { id: String, #[serde(skip_serializing_if = "Option::is_none")] force: Option<bool> }
    /// Closes a tray.
    BlockdevCloseTray = "blockdev-close-tray" -> Empty { id: String }
    /// Takes the medium out.
    BlockdevRemoveMedium = "blockdev-remove-medium" -> Empty { id: String }
    /// Puts a medium in.
    BlockdevInsertMedium = "blockdev-insert-medium" -> Empty { id: String, node_name: String }
    /// Resizes an image.
    BlockResize = "block_resize" -> Empty { node_name: String, size: u64 }
    /// Jobs on images.
    QueryBlockJobs = "query-block-jobs" -> Vec<Value> {}
    /// All jobs.
    QueryJobs = "query-jobs" -> Vec<Value> {}
    /// Forgets a concluded job.
    JobDismiss = "job-dismiss" -> Empty { id: String }
    /// Several block operations that happen all or not at all.
    Transaction = "transaction" -> Empty { actions: Vec<Value> }
}

/// One block device of the guest.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct BlockInfo {
    /// Name of the back end; empty with `-blockdev`.
    #[serde(default)]
    pub device: String,
    /// Path of the front end in QEMU's object tree.
    #[serde(default)]
    pub qdev: Option<String>,
    /// Whether its medium can be taken out.
    #[serde(default)]
    pub removable: bool,
    /// Whether the guest locked its tray.
    #[serde(default)]
    pub locked: bool,
    /// Whether the tray is open; absent when there is none.
    #[serde(default)]
    pub tray_open: Option<bool>,
    /// What is in it.
    #[serde(default)]
    pub inserted: Option<Value>,
    /// `ok`, `failed` or `nospace`.
    #[serde(default, rename = "io-status")]
    pub io_status: Option<String>,
}
