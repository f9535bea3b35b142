//! What only a starting guest has.

use std::collections::BTreeSet;

use conf::domain::cpu::{CpuCheck, CpuFallback, CpuFeature, CpuMatch, CpuMode, FeaturePolicy};
use conf::domain::device::disk::DiskBus;
use conf::domain::device::source::{SourceKind, StorageSource};
use conf::domain::memory::Memory;
use conf::domain::{DomainDef, VirtType as DomainVirtType};
use error::{Code, Domain, Error, Result};

use super::memory::{alignment_kib, initial_kib};
use crate::address::{alias, machine};
use crate::capability::host_model::host_model;
use crate::capability::{Capability, VirtType};
use crate::cpu::compare::{Provider, compare};
use crate::cpu::document::{CpuDocument, Match};
use crate::cpu::{Policy, feature, model};

/// Makes a definition live: names its devices, numbers its images, rounds its memory, puts a named model in place of `host-model`.
///
/// # Errors
/// A CPU that this emulator does not have here.
pub fn prepare(def: &mut DomainDef, capability: &Capability) -> Result<()> {
    alias::assign(def);
    number_images(def);
    align_memory(def);
    name_cpu(def, capability)
}

/// `host-model` becomes the model and the features that it stands for; what the user says of a feature goes before.
fn name_cpu(def: &mut DomainDef, capability: &Capability) -> Result<()> {
    let virt = if def.virt_type == DomainVirtType::Kvm { VirtType::Kvm } else { VirtType::Tcg };
    let x86 = machine::is_x86(def);
    if x86 && virt == VirtType::Tcg && def.cpu.as_ref().is_some_and(|c| c.mode == Some(CpuMode::HostPassthrough)) {
        return Err(unsupported_mode(capability, "host-passthrough", virt));
    }
    if x86 && virt == VirtType::Kvm {
        check_cpu(def, capability)?;
    }
    let Some(cpu) = def.cpu.as_mut().filter(|c| c.mode == Some(CpuMode::HostModel) && x86) else { return Ok(()) };
    let found = host_model(capability, virt, true).ok_or_else(|| unsupported_mode(capability, "host-model", virt))?;
    let own = std::mem::take(&mut cpu.features);
    cpu.features = found
        .decoded
        .features
        .iter()
        .map(|(name, policy)| CpuFeature {
            name: (*name).to_owned(),
            policy: Some(if *policy == Policy::Require { FeaturePolicy::Require } else { FeaturePolicy::Disable }),
        })
        .collect();
    for feature in own {
        match cpu.features.iter_mut().find(|f| f.name == feature.name) {
            Some(known) => known.policy = feature.policy,
            None => cpu.features.push(feature),
        }
    }
    cpu.mode = Some(CpuMode::Custom);
    cpu.match_ = Some(CpuMatch::Exact);
    cpu.fallback = Some(CpuFallback::Forbid);
    cpu.model = Some(found.decoded.model.to_owned());
    cpu.vendor = found.vendor.map(str::to_owned);
    Ok(())
}

fn unsupported_mode(capability: &Capability, mode: &str, virt: VirtType) -> Error {
    let arch = &capability.arch;
    let detail =
        format!("CPU mode '{mode}' for {arch} {} domain on {arch} host is not supported by hypervisor", virt.name());
    Error::new(Domain::Qemu, Code::ConfigUnsupported, detail)
}

/// A named model under KVM needs its features from the processor, unless nobody shall look.
fn check_cpu(def: &DomainDef, capability: &Capability) -> Result<()> {
    let Some(cpu) = def.cpu.as_ref().filter(|c| c.mode == Some(CpuMode::Custom)) else { return Ok(()) };
    if !matches!(cpu.check, Some(CpuCheck::Partial | CpuCheck::Full)) {
        return Ok(());
    }
    let (Some(model), Some(props)) =
        (cpu.model.as_deref().and_then(model::find), capability.kvm.as_ref().and_then(|k| k.host_cpu.as_ref()))
    else {
        return Ok(());
    };
    let on = props.iter().filter(|(_, value)| **value == serde_json::Value::Bool(true));
    // What the processor has counts even where KVM gives it only to those who ask for it.
    let on = on.map(|(name, _)| feature::from_qemu(name).to_owned());
    let features: BTreeSet<String> = on.chain(capability.host_features.iter().cloned()).collect();
    let mut required: BTreeSet<String> = model.features.iter().map(|f| (*f).to_owned()).collect();
    let mut forbidden = BTreeSet::new();
    for feature in &cpu.features {
        match feature.policy {
            Some(FeaturePolicy::Require) | None => {
                required.insert(feature.name.clone());
            }
            Some(FeaturePolicy::Disable) => {
                required.remove(&feature.name);
            }
            Some(FeaturePolicy::Forbid) => {
                required.remove(&feature.name);
                forbidden.insert(feature.name.clone());
            }
            Some(FeaturePolicy::Force | FeaturePolicy::Optional) => {}
        }
    }
    let strict = cpu.match_ == Some(CpuMatch::Strict);
    let wanted = CpuDocument {
        arch: None,
        model: Some(model),
        vendor: None,
        match_: if strict { Match::Strict } else { Match::AtLeast },
        required,
        forbidden,
    };
    let provider = Provider { arch: &capability.arch, vendor: None, features: &features };
    compare(&wanted, &provider, true).map(drop)
}

/// Numbers block nodes, the last disk first, as libvirt does; filters come after the images that they sit on.
fn number_images(def: &mut DomainDef) {
    let mut next = 1;
    for disk in def.devices.disks.iter_mut().rev() {
        // These have no block nodes.
        if disk.source.kind == SourceKind::VhostUser || disk.bus == Some(DiskBus::Sd) {
            continue;
        }
        number(&mut disk.source, &mut next);
        next += disk.throttle_filters.len() as u32;
    }
}

fn number(source: &mut StorageSource, next: &mut u32) {
    // An empty drive keeps a number too, for the medium to come.
    source.index = *next;
    *next += 1;
    if let Some(data) = &mut source.data_store {
        number(data, next);
    }
    if let Some(Some(backing)) = &mut source.backing {
        number(backing, next);
    }
}

/// The highest number in a chain.
pub fn last_number(source: &StorageSource) -> u32 {
    let data = source.data_store.as_deref().map_or(0, last_number);
    let backing = source.backing.as_ref().and_then(|b| b.as_deref()).map_or(0, last_number);
    source.index.max(data).max(backing)
}

fn align_memory(def: &mut DomainDef) {
    let step = alignment_kib(def);
    let up = |kib: u64| kib.div_ceil(step) * step;
    for cell in &mut def.numa.cells {
        cell.memory_kib = up(cell.memory_kib);
    }
    // Memory devices have steps of their own, 2 MiB on x86 as elsewhere but on pseries.
    let device_step = step.max(2048);
    for memory in &mut def.devices.memories {
        memory.size_kib = memory.size_kib.div_ceil(device_step) * device_step;
    }
    let devices: u64 = def.devices.memories.iter().map(|m| m.size_kib).sum();
    let initial = up(initial_kib(def));
    let total_kib = initial + devices;
    let max_kib = if def.memory.max_kib > 0 { up(def.memory.max_kib) } else { 0 };
    def.memory = Memory { total_kib, max_kib, ..def.memory.clone() };
}
