//! `qemu:` extensions: command line, capabilities, device overrides, deprecation behaviour.

/// Namespace of the extensions.
pub const URI: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

use xml::text_enum;

text_enum! {
    /// Kind of an overridden property.
    pub enum PropertyKind { String = "string", Signed = "signed", Unsigned = "unsigned", Bool = "bool", Remove = "remove" }
}

/// `<qemu:property>`
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    pub name: String,
    pub kind: PropertyKind,
    pub value: Option<String>,
}

/// `<qemu:device>` of the override.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceOverride {
    pub alias: String,
    pub frontend: Vec<Property>,
}

/// All extensions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QemuNamespace {
    pub args: Vec<String>,
    pub env: Vec<(String, Option<String>)>,
    pub capabilities_add: Vec<String>,
    pub capabilities_del: Vec<String>,
    pub overrides: Vec<DeviceOverride>,
    pub deprecation: Option<String>,
}
