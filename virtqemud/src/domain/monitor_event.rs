//! What QEMU's events mean, as data: the actor acts on the meaning, never on names of the wire.

use serde_json::Value;

use crate::qmp::Event;

use super::event::GraphicsAddress;

/// The meaning of a monitor event.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The machine powered off; whether the guest itself asked for it, when QEMU says.
    Shutdown(Option<bool>),
    /// The machine was reset; whether the guest asked for it.
    Reset {
        /// Asked by the guest.
        by_guest: bool,
    },
    /// vCPUs stopped.
    Stopped,
    /// vCPUs run.
    Resumed,
    /// The guest's kernel panicked; what QEMU did.
    Panicked {
        /// `pause`, `poweroff`, `run`.
        action: String,
    },
    /// The clock moved by so many seconds.
    RtcChange(i64),
    /// The watchdog fired.
    Watchdog(String),
    /// A disk failed.
    IoError {
        /// Device or QOM path of the front end.
        device: String,
        /// Name of the block node.
        node: String,
        /// `ignore`, `report`, `stop`.
        action: String,
        /// Out of space.
        no_space: bool,
    },
    /// The tray of a drive moved.
    Tray {
        /// QEMU's id or path.
        device: String,
        /// It is open now.
        open: bool,
    },
    /// Bytes of memory that the guest has.
    Balloon(u64),
    /// A device is gone: its id.
    DeviceDeleted(String),
    /// The guest would not let it go.
    UnplugFailed(String),
    /// The guest opened or closed a port.
    Port {
        /// Id of the character device.
        alias: String,
        /// Open.
        open: bool,
    },
    /// A display client.
    Graphics {
        /// 0 connect, 1 initialize, 2 disconnect.
        phase: i32,
        /// Our end.
        local: GraphicsAddress,
        /// Its end.
        remote: GraphicsAddress,
        /// How it logged in.
        auth: String,
        /// Who it is.
        subject: Vec<(String, String)>,
    },
    /// Sleeps in memory.
    Asleep,
    /// Sleeps on disk.
    Hibernated,
    /// Woke up.
    Woken,
    /// Not for us.
    Other,
}

/// What the event means.
pub fn meaning(event: &Event) -> Change {
    let data = &event.data;
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |key: &str| data.get(key).and_then(Value::as_bool);
    match event.name.as_str() {
        "SHUTDOWN" => Change::Shutdown(flag("guest")),
        "RESET" => Change::Reset { by_guest: flag("guest").unwrap_or(false) },
        "STOP" => Change::Stopped,
        "RESUME" => Change::Resumed,
        "GUEST_PANICKED" => Change::Panicked { action: text("action") },
        "RTC_CHANGE" => Change::RtcChange(data.get("offset").and_then(Value::as_i64).unwrap_or(0)),
        "WATCHDOG" => Change::Watchdog(text("action")),
        "BLOCK_IO_ERROR" => Change::IoError {
            device: Some(text("qom-path")).filter(|path| !path.is_empty()).unwrap_or_else(|| text("device")),
            node: text("node-name"),
            action: text("action"),
            no_space: flag("nospace").unwrap_or(false),
        },
        "DEVICE_TRAY_MOVED" => Change::Tray {
            device: Some(text("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| text("device")),
            open: flag("tray-open").unwrap_or(false),
        },
        "BALLOON_CHANGE" => Change::Balloon(data.get("actual").and_then(Value::as_u64).unwrap_or(0)),
        "DEVICE_DELETED" => named(text("device")).map_or(Change::Other, Change::DeviceDeleted),
        "DEVICE_UNPLUG_GUEST_ERROR" | "MEM_UNPLUG_ERROR" => {
            named(text("device")).map_or(Change::Other, Change::UnplugFailed)
        }
        "VSERPORT_CHANGE" => Change::Port { alias: text("id"), open: flag("open").unwrap_or(false) },
        "SUSPEND" => Change::Asleep,
        "SUSPEND_DISK" => Change::Hibernated,
        "WAKEUP" => Change::Woken,
        "VNC_CONNECTED" | "SPICE_CONNECTED" => graphics(data, 0),
        "VNC_INITIALIZED" | "SPICE_INITIALIZED" => graphics(data, 1),
        "VNC_DISCONNECTED" | "SPICE_DISCONNECTED" => graphics(data, 2),
        _ => Change::Other,
    }
}

/// Devices without an id are none of ours.
fn named(id: String) -> Option<String> {
    Some(id).filter(|id| !id.is_empty())
}

fn graphics(data: &Value, phase: i32) -> Change {
    let end = |side: &str| {
        let field = |key: &str| {
            data.get(side).and_then(|end| end.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let family = match field("family").as_str() {
            "ipv6" => 1,
            "unix" => 2,
            _ => 0,
        };
        let service = Some(field("service")).filter(|text| !text.is_empty()).unwrap_or_else(|| field("port"));
        GraphicsAddress { family, node: field("host"), service }
    };
    let auth = data.pointer("/server/auth").and_then(Value::as_str).unwrap_or_default().to_owned();
    let subject = [("x509dname", "x509_dname"), ("saslUsername", "sasl_username")];
    let subject = subject
        .iter()
        .filter_map(|(kind, key)| Some((kind.to_string(), data.get("client")?.get(key)?.as_str()?.to_owned())));
    Change::Graphics { phase, local: end("server"), remote: end("client"), auth, subject: subject.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmp::Timestamp;
    use serde_json::json;

    fn of(name: &str, data: Value) -> Change {
        meaning(&Event { name: name.into(), data, timestamp: Timestamp::default(), lost: 0 })
    }

    #[test]
    fn meanings() {
        assert_eq!(of("SHUTDOWN", json!({"guest": true, "reason": "guest-shutdown"})), Change::Shutdown(Some(true)));
        assert_eq!(of("SHUTDOWN", Value::Null), Change::Shutdown(None));
        assert_eq!(
            of("RESET", json!({"guest": false, "reason": "host-qmp-system-reset"})),
            Change::Reset { by_guest: false }
        );
        assert_eq!(of("DEVICE_DELETED", json!({"path": "/machine/peripheral-anon/x"})), Change::Other);
        assert_eq!(of("DEVICE_DELETED", json!({"device": "net0", "path": "p"})), Change::DeviceDeleted("net0".into()));
        assert_eq!(of("BALLOON_CHANGE", json!({"actual": 1048576})), Change::Balloon(1048576));
        assert_eq!(of("RTC_CHANGE", json!({"offset": "x"})), Change::RtcChange(0));
        assert_eq!(of("NEVER_HEARD_OF", json!([1])), Change::Other);
    }

    #[test]
    fn display_clients() {
        let data = json!({"server": {"auth": "vnc", "family": "ipv4", "service": "5900", "host": "127.0.0.1"},
                          "client": {"family": "ipv6", "service": "33333", "host": "::1", "sasl_username": "ann"}});
        let Change::Graphics { phase, local, remote, auth, subject } = of("VNC_INITIALIZED", data) else {
            panic!("graphics")
        };
        assert_eq!((phase, auth.as_str(), local.service.as_str(), remote.family), (1, "vnc", "5900", 1));
        assert_eq!(subject, [("saslUsername".to_owned(), "ann".to_owned())]);
    }
}
