//! An ordered set of properties: QEMU's JSON object of a device, object, netdev or block node.

use serde_json::{Map, Value};

/// Properties in the order in which they are added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Props(Map<String, Value>);

impl Props {
    /// `{"driver": NAME}`, a device's beginning.
    pub fn driver(name: impl Into<String>) -> Props {
        Props::default().with("driver", name.into())
    }

    /// `{"qom-type": TYPE, "id": ID}`, an object's beginning.
    pub fn object(kind: &str, id: impl Into<String>) -> Props {
        Props::default().with("qom-type", kind).with("id", id.into())
    }

    /// Adds a property.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Props {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Adds a property that may be absent.
    pub fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Props {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a number unless it is zero.
    pub fn nonzero(self, name: &str, value: impl Into<u64>) -> Props {
        let value = value.into();
        if value == 0 { self } else { self.with(name, value) }
    }

    /// Adds `"on"` or `"off"`.
    pub fn on_off(self, name: &str, value: Option<bool>) -> Props {
        self.maybe(name, value.map(|v| if v { "on" } else { "off" }))
    }

    /// Adds all of `other`.
    pub fn extend(mut self, other: Props) -> Props {
        self.0.extend(other.0);
        self
    }

    /// A property's value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Removes a property.
    pub fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }

    /// Sets a property, in its place or at the end.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// As JSON text, without spaces.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a JSON object always encodes")
    }

    /// As an object for QMP.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl From<Props> for Value {
    fn from(props: Props) -> Value {
        Value::Object(props.0)
    }
}
