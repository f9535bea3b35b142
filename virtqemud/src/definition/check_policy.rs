//! What QEMU's guests as a whole cannot ask for: memory backing, life cycle, clock, emulation features.

use conf::domain::clock::ClockOffset;
use conf::domain::lifecycle::LifecycleAction;
use conf::domain::memory::{MemoryAllocation, MemorySource};
use conf::domain::{DomainDef, VirtType};
use error::Result;

use super::unsupported;
use crate::address::machine;

/// The last second of the year 9999.
const START_MAX: u64 = 253_402_300_799;

/// Checks the guest as a whole.
pub(super) fn all(def: &DomainDef) -> Result<()> {
    let backing = &def.memory_backing;
    if backing.hugepages.is_some() {
        if backing.allocation == Some(MemoryAllocation::Ondemand) {
            return Err(unsupported("hugepages are not allowed with memory allocation ondemand"));
        }
        if backing.source == Some(MemorySource::Anonymous) {
            return Err(unsupported("hugepages are not allowed with anonymous memory source"));
        }
    }
    if def.mem_tune.min_guarantee.is_some_and(|m| m > 0) {
        return Err(unsupported("Parameter 'min_guarantee' not supported by QEMU."));
    }
    let life = &def.lifecycle;
    if life.on_crash == LifecycleAction::RenameRestart {
        return Err(unsupported(
            "qemu driver doesn't support the 'rename-restart' action for 'on_reboot'/'on_poweroff'/'on_crash'",
        ));
    }
    if life.on_reboot == LifecycleAction::Destroy && life.on_poweroff == LifecycleAction::Restart {
        return Err(unsupported(
            "qemu driver doesn't support 'onReboot' set to 'destroy and 'onPoweroff' set to 'reboot'",
        ));
    }
    if let ClockOffset::Absolute(start) = &def.clock.offset
        && *start > START_MAX
    {
        return Err(unsupported(format!("The maximum 'start' value for <clock offset='absolute'> is {START_MAX}")));
    }
    features(def)
}

fn features(def: &DomainDef) -> Result<()> {
    let f = &def.features;
    if f.aia.is_some() && !machine::is_riscv_virt(def) {
        return Err(unsupported("aia feature is only supported with RISC-V Virt machines"));
    }
    if let Some(kib) = f.tb_cache_kib.filter(|k| *k > 0) {
        if def.virt_type != VirtType::Qemu {
            return Err(unsupported(format!("TCG features are incompatible with domain type '{}'", def.virt_type)));
        }
        if kib % 1024 != 0 {
            return Err(unsupported("tb-cache size must be an integer multiple of MiB"));
        }
    }
    Ok(())
}
