//! Devices, one file a family: properties built once, for argv and for hot-plug.
//!
//! [`address`] places a device, [`virtio`] begins a virtio one, [`chardev`] makes back ends of serial ports and their like.

pub mod address;
pub mod audio;
pub mod channel;
pub mod chardev;
pub mod console;
pub mod controller;
pub mod crypto;
pub mod disk;
pub mod filesystem;
pub mod graphics;
pub mod hostdev;
pub mod hub;
pub mod input;
pub mod interface;
pub mod iommu;
pub mod memballoon;
pub mod memory_device;
pub mod misc;
pub mod panic;
pub mod parallel;
pub mod redirdev;
pub mod rng;
pub mod serial;
pub mod shmem;
pub mod smartcard;
pub mod sound;
pub mod tpm;
pub mod video;
pub mod virtio;
pub mod vsock;
pub mod watchdog;

use conf::domain::DomainDef;
use conf::domain::device::info::DeviceInfo;
use conf::domain::qemu_namespace::PropertyKind;
use error::{Code, Domain, Error};
use serde_json::Value;

use super::props::Props;

/// The alias of a prepared device.
pub fn alias(info: &DeviceInfo) -> String {
    info.alias.clone().unwrap_or_default()
}

/// What this QEMU or this driver cannot do.
pub(crate) fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(Domain::Qemu, Code::ConfigUnsupported, detail.into())
}

/// Sets what `<qemu:override>` says about the device.
pub(crate) fn apply_overrides(def: &DomainDef, props: &mut Props) {
    let Some(id) = props.get("id").and_then(Value::as_str).map(str::to_owned) else { return };
    let overrides = def.qemu.iter().flat_map(|q| &q.overrides).filter(|o| o.alias == id);
    for property in overrides.flat_map(|o| &o.frontend) {
        let text = property.value.clone().unwrap_or_default();
        match property.kind {
            PropertyKind::String => props.set(&property.name, text),
            PropertyKind::Signed => props.set(&property.name, text.parse::<i64>().unwrap_or(0)),
            PropertyKind::Unsigned => props.set(&property.name, text.parse::<u64>().unwrap_or(0)),
            PropertyKind::Bool => props.set(&property.name, text == "true"),
            PropertyKind::Remove => props.remove(&property.name),
        }
    }
}
