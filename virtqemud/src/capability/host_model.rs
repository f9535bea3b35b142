//! The named model that stands for the best processor an emulator offers: what `host-model` means.

use std::collections::BTreeSet;

use serde_json::Value;

use super::emulator::{Capability, VirtType};
use crate::cpu::{Decoded, Policy, Purpose, decode, feature};

/// A model, its differences and its vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct HostModel {
    /// Model and differences.
    pub decoded: Decoded,
    /// Vendor in libvirt's words.
    pub vendor: Option<&'static str>,
}

/// Describes the emulator's best processor; `migratable` leaves out what would stop migration. `None` where there is no such model.
pub fn host_model(emulator: &Capability, virt: VirtType, migratable: bool) -> Option<HostModel> {
    if !matches!(emulator.arch.as_str(), "x86_64" | "i686") {
        return None;
    }
    let facts = emulator.accelerated(virt)?;
    let props = facts.host_cpu.as_ref()?;
    let on = props.iter().filter(|(_, value)| **value == Value::Bool(true)).map(|(name, _)| name);
    let more = facts.host_cpu_unmigratable.iter().filter(|_| !migratable);
    let mut features: BTreeSet<String> = on.chain(more).map(|name| feature::from_qemu(name).to_owned()).collect();
    if !features.contains("arch-capabilities") {
        // The register that would show these is not there.
        for name in feature::names_of_msrs() {
            features.remove(name);
        }
    }
    let number =
        |name: &str| props.get(name).and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
    let vendor = match props.get("vendor").and_then(Value::as_str) {
        Some("GenuineIntel") => Some("Intel"),
        Some("AuthenticAMD") => Some("AMD"),
        Some("HygonGenuine") => Some("Hygon"),
        _ => None,
    };
    let known = |name: &str| emulator.cpu_model(virt, name).is_some();
    let mut decoded = decode(&features, vendor, (number("family"), number("model")), Purpose::Guest, known)?;
    switch_off_blockers(&mut decoded, emulator, virt);
    Some(HostModel { decoded, vendor })
}

/// QEMU's model of the same name may have features of which libvirt's knows nothing: those that cannot be had here go off too.
fn switch_off_blockers(decoded: &mut Decoded, emulator: &Capability, virt: VirtType) {
    let blockers = emulator.cpu_model(virt, decoded.model).and_then(|m| m.blockers.as_ref());
    for blocker in blockers.into_iter().flatten() {
        let name = feature::from_qemu(blocker);
        let known = feature::names().find(|n| *n == name);
        if let Some(name) = known.filter(|n| !decoded.features.iter().any(|(f, _)| f == n)) {
            decoded.features.push((name, Policy::Disable));
        }
    }
    decoded.features.sort_by_key(|(name, policy)| (*policy == Policy::Disable, feature::rank(name)));
}
