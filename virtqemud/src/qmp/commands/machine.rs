//! Facts of a running machine: vCPUs, memory, displays, properties of objects.

use serde::Deserialize;
use serde_json::Value;

use crate::qmp::Empty;
use crate::qmp::command::commands;

commands! {
    /// vCPUs and their threads.
    QueryCpusFast = "query-cpus-fast" -> Vec<CpuInfo> {}
    /// Slots that vCPUs can be plugged into.
    QueryHotpluggableCpus = "query-hotpluggable-cpus" -> Vec<Value> {}
    /// I/O threads.
    QueryIothreads = "query-iothreads" -> Vec<IothreadInfo> {}
    /// Size of the guest's memory now.
    QueryBalloon = "query-balloon" -> BalloonInfo {}
    /// Asks the guest to give memory back or take it.
    Balloon = "balloon" -> Empty { value: u64 }
    /// Property of an object of QEMU's tree.
    QomGet = "qom-get" -> Value { path: String, property: String }
    /// Sets a property of an object of QEMU's tree.
    QomSet = "qom-set" -> Empty { path: String, property: String, value: Value }
    /// Children and properties of an object.
    QomList = "qom-list" -> Vec<PropertyInfo> { path: String }
    /// Creates a user object; the map holds `qom-type`, `id` and the properties.
    ObjectAdd = "object-add" -> Empty { #[serde(flatten)] properties: serde_json::Map<String, Value> }
    /// Deletes a user object.
    ObjectDel = "object-del" -> Empty { id: String }
    /// VNC server's addresses and clients.
    QueryVnc = "query-vnc" -> Value {}
    /// SPICE server's addresses and clients.
    QuerySpice = "query-spice" -> Value {}
    /// Password of a display; `protocol` is `vnc` or `spice`.
    SetPassword = "set_password" -> Empty {
        protocol: String,
        password: String,
        #[serde(skip_serializing_if = "Option::is_none")] connected: Option<String>,
    }
    /// When that password expires: `now`, `never`, `+N`, seconds since the epoch.
    ExpirePassword = "expire_password" -> Empty { protocol: String, time: String }
    /// Hands a client's connection to a display or character device.
    AddClient = "add_client" -> Empty {
        protocol: String,
        fdname: String,
        #[serde(skip_serializing_if = "Option::is_none")] skipauth: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")] tls: Option<bool>,
    }
    /// Saves the screen.
    Screendump = "screendump" -> Empty {
        filename: String,
        #[serde(skip_serializing_if = "Option::is_none")] device: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] head: Option<u32>,
    }
    /// Presses keys.
    SendKey = "send-key" -> Empty { keys: Vec<Value>, #[serde(skip_serializing_if = "Option::is_none")] hold_time: Option<u64> }
    /// Filters that the guest set on a network card.
    QueryRxFilter = "query-rx-filter" -> Vec<Value> { #[serde(skip_serializing_if = "Option::is_none")] name: Option<String> }
    /// Dirty rate, migration progress.
    QueryMigrate = "query-migrate" -> Value {}
}

/// One vCPU.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub struct CpuInfo {
    /// Number from 0.
    pub cpu_index: u32,
    /// Thread id on the host.
    pub thread_id: i64,
    /// Path in QEMU's object tree.
    #[serde(default)]
    pub qom_path: String,
    /// Where it sits (`socket-id`, `core-id`, `thread-id`, ...).
    #[serde(default)]
    pub props: Value,
    /// Halted or not, by architecture.
    #[serde(default)]
    pub target: Option<String>,
}

/// One I/O thread.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub struct IothreadInfo {
    /// Its object id (`iothread1`).
    pub id: String,
    /// Thread id on the host.
    pub thread_id: i64,
}

/// Reply of `query-balloon`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct BalloonInfo {
    /// Bytes.
    pub actual: u64,
}

/// A property or child of an object.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct PropertyInfo {
    /// Its name.
    pub name: String,
    /// Its type, such as `child<virtio-balloon-pci>`.
    #[serde(rename = "type")]
    pub type_: String,
    /// What `device-list-properties` tells about its value when nobody sets it.
    #[serde(default, rename = "default-value")]
    pub default_value: Value,
}
