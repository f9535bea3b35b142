//! One line of QMP.

use serde::Deserialize;
use serde_json::Value;

/// QEMU's hello.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct Greeting {
    /// Version of the emulator.
    pub version: Version,
    /// Capabilities that may be enabled (`oob`).
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// Version of the emulator.
#[derive(Debug, Clone, Deserialize, PartialEq, Default)]
pub struct Version {
    /// Three numbers.
    pub qemu: VersionTriple,
    /// The packager's text, such as `Debian 1:10.0.2+ds-2~bpo12+1`.
    #[serde(default)]
    pub package: String,
}

/// Major, minor, micro.
#[derive(Debug, Clone, Deserialize, PartialEq, Default)]
pub struct VersionTriple {
    /// 10 in 10.0.2
    pub major: u32,
    /// 0 in 10.0.2
    pub minor: u32,
    /// 2 in 10.0.2
    pub micro: u32,
}

impl Version {
    /// libvirt's number: major * 1000000 + minor * 1000 + micro.
    pub fn number(&self) -> u64 {
        u64::from(self.qemu.major) * 1_000_000 + u64::from(self.qemu.minor) * 1000 + u64::from(self.qemu.micro)
    }
}

/// Host time at which QEMU emitted an event.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Default)]
pub struct Timestamp {
    /// Seconds since the epoch; -1 when QEMU could not tell.
    pub seconds: i64,
    /// Microseconds.
    pub microseconds: i64,
}

/// Something QEMU tells unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Name, such as `SHUTDOWN`.
    pub name: String,
    /// The event's data; `Null` when it has none.
    pub data: Value,
    /// When.
    pub timestamp: Timestamp,
    /// Events dropped before this one because the queue was full.
    pub lost: u64,
}

/// Every shape a line may have.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Greeting(Greeting),
    Event(Event),
    Return { id: u64, value: Value },
    Error { id: u64, class: String, desc: String },
}

/// Ids on the wire look like libvirt's, so that logs read alike.
pub(super) fn id_text(id: u64) -> String {
    format!("libvirt-{id}")
}

/// Decodes a line; the error is a sentence about what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Message, String> {
    let mut value: Value = serde_json::from_slice(line).map_err(|e| format!("malformed JSON from QEMU: {e}"))?;
    let object = value.as_object_mut().ok_or("monitor line is not a JSON object")?;
    if let Some(greeting) = object.remove("QMP") {
        return serde_json::from_value(greeting).map(Message::Greeting).map_err(|e| format!("malformed greeting: {e}"));
    }
    if let Some(name) = object.remove("event") {
        let Value::String(name) = name else { return Err("event name is not a string".into()) };
        let timestamp = match object.remove("timestamp") {
            Some(stamp) => serde_json::from_value(stamp).map_err(|e| format!("malformed event timestamp: {e}"))?,
            None => Timestamp::default(),
        };
        let data = object.remove("data").unwrap_or(Value::Null);
        return Ok(Message::Event(Event { name, data, timestamp, lost: 0 }));
    }
    let id = reply_id(object.get("id"))?;
    if let Some(value) = object.remove("return") {
        return Ok(Message::Return { id, value });
    }
    let Some(error) = object.remove("error") else { return Err("monitor line is neither event nor reply".into()) };
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(Message::Error {
        id,
        class: text("class").unwrap_or_else(|| "GenericError".into()),
        desc: text("desc").unwrap_or_else(|| "unknown QEMU command error".into()),
    })
}

fn reply_id(id: Option<&Value>) -> Result<u64, String> {
    let text = id.and_then(Value::as_str).ok_or("reply without an id of ours")?;
    let number = text.strip_prefix("libvirt-").and_then(|n| n.parse().ok());
    number.ok_or_else(|| "reply with a foreign id".to_owned())
}
