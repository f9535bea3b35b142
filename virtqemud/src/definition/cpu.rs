//! The CPU that a guest gets when the document leaves it open.

use conf::domain::DomainDef;
use conf::domain::cpu::{CpuCacheMode, CpuCheck, CpuDef, CpuFallback, CpuMatch, CpuMode, FeaturePolicy, PhysAddrMode};
use error::Result;

use super::{Facts, unsupported, virt_type};
use crate::address::machine;
use crate::capability::VirtType;

/// Chooses model, check and migratability, and refuses modes that do not fit.
pub(super) fn settle(def: &mut DomainDef, facts: &Facts<'_>) -> Result<()> {
    set_default(def, facts);
    let virt = virt_type(def);
    let x86 = machine::is_x86(def);
    let arm = machine::is_arm(def);
    let Some(cpu) = &mut def.cpu else { return Ok(()) };
    if let Some((level, mode)) = cpu.cache {
        check_cache(cpu, level, mode)?;
    }
    if let Some(max) = cpu.max_phys_addr {
        let passthrough = matches!(cpu.mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum));
        match (max.mode, max.bits) {
            (PhysAddrMode::Passthrough, _) if !passthrough => {
                return Err(unsupported(format!(
                    "CPU maximum physical address bits mode '{}' can only be used with 'host-passthrough' / 'maximum' CPUs",
                    max.mode
                )));
            }
            (PhysAddrMode::Passthrough, Some(_)) => {
                return Err(unsupported(
                    "CPU maximum physical address bits number specification cannot be used with mode='passthrough'",
                ));
            }
            _ => {}
        }
    }
    if arm {
        check_sve(cpu)?;
    }
    let named = cpu.mode.unwrap_or(CpuMode::Custom) != CpuMode::Custom || cpu.model.is_some();
    if !named {
        return Ok(());
    }
    if cpu.mode == Some(CpuMode::HostPassthrough) && cpu.migratable.is_none() && x86 {
        cpu.migratable = Some(facts.capability.has_property("max-x86_64-cpu", "migratable"));
    }
    if cpu.check.is_none() {
        cpu.check = Some(match cpu.mode {
            Some(CpuMode::HostModel) => CpuCheck::Partial,
            Some(CpuMode::HostPassthrough | CpuMode::Maximum) => CpuCheck::None,
            // emulated processors are not compared with the host's
            _ if virt == VirtType::Tcg => CpuCheck::None,
            _ => CpuCheck::Partial,
        });
    }
    Ok(())
}

fn check_cache(cpu: &CpuDef, level: Option<u32>, mode: CpuCacheMode) -> Result<()> {
    match mode {
        CpuCacheMode::Emulate => {
            if level != Some(3) {
                return Err(unsupported(format!("CPU cache mode '{mode}' can only be used with level='3'")));
            }
        }
        CpuCacheMode::Passthrough => {
            if !matches!(cpu.mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum)) {
                return Err(unsupported(format!(
                    "CPU cache mode '{mode}' can only be used with 'host-passthrough' / 'maximum' CPUs"
                )));
            }
            if level.is_some() {
                return Err(unsupported(format!("unsupported CPU cache level for mode '{mode}'")));
            }
        }
        CpuCacheMode::Disable if level.is_some() => {
            return Err(unsupported(format!("unsupported CPU cache level for mode '{mode}'")));
        }
        CpuCacheMode::Disable => {}
    }
    Ok(())
}

/// ARM's vector lengths make no sense without the extension.
fn check_sve(cpu: &CpuDef) -> Result<()> {
    let off = cpu.features.iter().any(|f| f.name == "sve" && f.policy == Some(FeaturePolicy::Disable));
    let lengths = cpu.features.iter().any(|f| {
        f.name.strip_prefix("sve").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            && f.policy == Some(FeaturePolicy::Require)
    });
    if off && lengths {
        return Err(unsupported("SVE disabled, but SVE vector lengths provided"));
    }
    Ok(())
}

/// Names the machine type's own CPU model, so that a later QEMU with another default does not change the guest.
fn set_default(def: &mut DomainDef, facts: &Facts<'_>) {
    if def.cpu.as_ref().is_some_and(|c| c.mode.unwrap_or(CpuMode::Custom) != CpuMode::Custom || c.model.is_some()) {
        return;
    }
    let virt = virt_type(def);
    let machine = def.os.machine.clone().unwrap_or_default();
    let Some(model) = facts.capability.machine(virt, &machine).and_then(|m| m.default_cpu.clone()) else { return };
    let Some(name) = model_name(&model, &def.os.arch) else { return };
    let cpu = def.cpu.get_or_insert_default();
    if name == "host" {
        cpu.mode = Some(CpuMode::HostPassthrough);
    } else {
        cpu.mode = Some(CpuMode::Custom);
        cpu.match_ = Some(CpuMatch::Exact);
        cpu.fallback = Some(CpuFallback::Forbid);
        cpu.model = Some(name);
    }
    cpu.check.get_or_insert(CpuCheck::None);
}

/// libvirt's name of a CPU type: `qemu64-x86_64-cpu` is `qemu64`; a POWER version is its family.
fn model_name(kind: &str, arch: &str) -> Option<String> {
    let name = kind.strip_suffix("-cpu").map_or(kind, |k| k.rsplit_once('-').map_or(k, |(name, _)| name));
    match arch {
        "ppc64" | "ppc64le" => Some(name.split('_').next().unwrap_or(name).to_ascii_uppercase()),
        "ppc" => None,
        _ => Some(name.to_owned()),
    }
}
