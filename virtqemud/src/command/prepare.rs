//! What only a starting guest has.

use conf::domain::cpu::{CpuFallback, CpuFeature, CpuMatch, CpuMode, FeaturePolicy};
use conf::domain::device::source::StorageSource;
use conf::domain::memory::Memory;
use conf::domain::{DomainDef, VirtType as DomainVirtType};
use error::{Code, Domain, Error, Result};

use super::memory::{alignment_kib, initial_kib};
use crate::address::{alias, machine};
use crate::capability::host_model::host_model;
use crate::capability::{Capability, VirtType};
use crate::cpu::Policy;

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
    let Some(cpu) = def.cpu.as_mut().filter(|c| c.mode == Some(CpuMode::HostModel) && x86) else { return Ok(()) };
    let found = host_model(capability, virt, true).ok_or_else(|| {
        let arch = &capability.arch;
        let detail = format!("CPU mode 'host-model' for {arch} {} domain on {arch} host is not supported by hypervisor", virt.name());
        Error::new(Domain::Qemu, Code::ConfigUnsupported, detail)
    })?;
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

/// Numbers block nodes, the last disk first, as libvirt does; filters come after the images that they sit on.
fn number_images(def: &mut DomainDef) {
    let mut next = 1;
    for disk in def.devices.disks.iter_mut().rev() {
        number(&mut disk.source, &mut next);
        next += disk.throttle_filters.len() as u32;
    }
}

fn number(source: &mut StorageSource, next: &mut u32) {
    if source.is_empty() {
        return;
    }
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
