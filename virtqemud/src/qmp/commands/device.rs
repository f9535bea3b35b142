//! Devices, network and character back ends.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::qmp::Empty;
use crate::qmp::command::commands;

commands! {
    /// Plugs a device; the map is the one of `-device` JSON.
    DeviceAdd = "device_add" -> Empty { #[serde(flatten)] properties: Map<String, Value> }
    /// Asks to unplug a device; `DEVICE_DELETED` tells when it is gone.
    DeviceDel = "device_del" -> Empty { id: String }
    /// Creates a network back end.
    NetdevAdd = "netdev_add" -> Empty { #[serde(flatten)] properties: Map<String, Value> }
    /// Deletes a network back end.
    NetdevDel = "netdev_del" -> Empty { id: String }
    /// Link of a network card.
    SetLink = "set_link" -> Empty { name: String, up: bool }
    /// Character devices, with the pty each one got.
    QueryChardev = "query-chardev" -> Vec<ChardevInfo> {}
    /// Creates a character device.
    ChardevAdd = "chardev-add" -> ChardevReturn { id: String, backend: Value }
    /// Deletes a character device.
    ChardevRemove = "chardev-remove" -> Empty { id: String }
}

/// One character device.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub struct ChardevInfo {
    /// Its id (`charserial0`).
    pub label: String,
    /// Its kind and place, such as `pty:/dev/pts/3` or `disconnected:unix:...`.
    pub filename: String,
    /// Whether the guest's side is open (virtio channels: whether the agent listens).
    #[serde(default)]
    pub frontend_open: bool,
}

/// Reply of `chardev-add`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct ChardevReturn {
    /// Path of the pseudo terminal, if it is one.
    pub pty: Option<String>,
}
