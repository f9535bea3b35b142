//! `-cpu` and `-smp`.

use std::fmt::Write;

use conf::domain::clock::TimerName;
use conf::domain::cpu::{CpuCacheMode, CpuDef, CpuMode, FeaturePolicy, PhysAddrMode};
use conf::domain::device::panic::PanicModel;
use conf::domain::features::{HypervFeature, HypervMode, KvmFeature};
use error::Result;

use super::escape::{comma, on_off};
use super::plan::Builder;
use crate::address::machine as kind;
use crate::cpu::feature::to_qemu;

/// `-cpu`
pub fn cpu(b: &mut Builder) -> Result<()> {
    let mut text = model(b);
    let mut options = String::new();
    timers(&mut options, b);
    paravirtual(&mut options, b);
    if let Some(cpu) = &b.def.cpu {
        caches(&mut options, cpu);
        width(&mut options, cpu);
    }
    if text.is_empty() && !options.is_empty() {
        text.push_str(if b.def.os.arch == "i686" { "qemu32" } else { "qemu64" });
    }
    if !text.is_empty() {
        text.push_str(&options);
        b.option("-cpu", text);
    }
    Ok(())
}

fn model(b: &Builder) -> String {
    let Some(cpu) = &b.def.cpu else { return String::new() };
    let x86 = kind::is_x86(b.def);
    let mut text = match cpu.mode {
        Some(CpuMode::HostPassthrough) => "host".to_owned(),
        Some(CpuMode::Maximum) => "max".to_owned(),
        Some(CpuMode::HostModel) if kind::is_ppc64(b.def) => "host".to_owned(),
        Some(CpuMode::Custom | CpuMode::HostModel) => match &cpu.model {
            Some(model) => model.clone(),
            None => return String::new(),
        },
        None => return String::new(),
    };
    if x86
        && matches!(cpu.mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum))
        && let Some(migratable) = cpu.migratable
    {
        let _ = write!(text, ",migratable={}", on_off(migratable));
    }
    if let Some(vendor_id) = &cpu.vendor_id {
        let _ = write!(text, ",vendor={}", comma(vendor_id));
    }
    for feature in &cpu.features {
        // No QEMU but 3.1 ever had it, and none could switch it on.
        if feature.name == "pconfig" {
            continue;
        }
        let name = if x86 { to_qemu(&feature.name) } else { feature.name.as_str() };
        match feature.policy {
            Some(FeaturePolicy::Disable | FeaturePolicy::Forbid) => {
                let _ = write!(text, ",{name}=off");
            }
            Some(FeaturePolicy::Force | FeaturePolicy::Require) | None => {
                let _ = write!(text, ",{name}=on");
            }
            Some(FeaturePolicy::Optional) => {}
        }
    }
    if x86 && cpu.mode == Some(CpuMode::Custom) {
        let given = |name: &str| cpu.features.iter().any(|f| f.name == name);
        for name in removed_features(cpu.model.as_deref().unwrap_or("")).iter().filter(|n| !given(n)) {
            let _ = write!(text, ",{name}=off");
        }
    }
    text
}

/// Features that a model had once and that newer emulators leave out of it: said to be off, so that it is the same model everywhere.
fn removed_features(model: &str) -> &'static [&'static str] {
    match model {
        "Icelake-Client" | "Icelake-Client-noTSX" => &["intel-pt"],
        "Icelake-Server" | "Icelake-Server-noTSX" => &["intel-pt", "mpx"],
        "Cascadelake-Server"
        | "Cascadelake-Server-noTSX"
        | "Skylake-Client"
        | "Skylake-Client-IBRS"
        | "Skylake-Client-noTSX-IBRS"
        | "Skylake-Server"
        | "Skylake-Server-IBRS"
        | "Skylake-Server-noTSX-IBRS" => &["mpx"],
        "EPYC" | "EPYC-IBPB" | "Dhyana" | "Opteron_G3" => &["monitor"],
        _ => &[],
    }
}

fn timers(text: &mut String, b: &Builder) {
    for timer in &b.def.clock.timers {
        match timer.name {
            TimerName::Kvmclock => {
                if let Some(present) = timer.present {
                    let _ = write!(text, ",kvmclock={}", on_off(present));
                }
            }
            TimerName::Hypervclock if timer.present == Some(true) => text.push_str(",hv-time=on"),
            TimerName::Tsc => {
                if let Some(frequency) = timer.frequency {
                    let _ = write!(text, ",tsc-frequency={frequency}");
                }
            }
            TimerName::Armvtimer => {
                if let Some(policy) = timer.tick_policy {
                    let keep = policy == conf::domain::clock::TickPolicy::Discard;
                    let _ = write!(text, ",kvm-no-adjvtime={}", on_off(!keep));
                }
            }
            _ => {}
        }
    }
}

fn paravirtual(text: &mut String, b: &Builder) {
    let f = &b.def.features;
    if let Some(eoi) = f.apic_eoi {
        let _ = write!(text, ",kvm-pv-eoi={}", on_off(eoi));
    }
    if let Some(spinlock) = f.pvspinlock {
        let _ = write!(text, ",kvm-pv-unhalt={}", on_off(spinlock));
    }
    hyperv(text, b);
    if b.def.devices.panics.iter().any(|p| p.model == Some(PanicModel::Hyperv)) {
        text.push_str(",hv-crash");
    }
    for (feature, state) in f.kvm.iter().flat_map(|k| &k.states) {
        match (feature, state) {
            (KvmFeature::Hidden, true) => text.push_str(",kvm=off"),
            (KvmFeature::HintDedicated, true) => text.push_str(",kvm-hint-dedicated=on"),
            (KvmFeature::PollControl, true) => text.push_str(",kvm-poll-control=on"),
            // It is on by default, so only its absence is said.
            (KvmFeature::PvIpi, false) => text.push_str(",kvm-pv-ipi=off"),
            _ => {}
        }
    }
    if let Some(pmu) = f.pmu {
        let _ = write!(text, ",pmu={}", on_off(pmu));
    }
}

fn hyperv(text: &mut String, b: &Builder) {
    let Some(hyperv) = &b.def.features.hyperv else { return };
    if hyperv.mode == Some(HypervMode::Passthrough) {
        text.push_str(",hv-passthrough=on");
    }
    for (feature, state) in &hyperv.states {
        if !state {
            continue;
        }
        let name = feature.to_string().replace('_', "-");
        match feature {
            HypervFeature::Spinlocks => {
                let _ = write!(text, ",hv-spinlocks={:#x}", hyperv.spinlock_retries.unwrap_or(0));
            }
            HypervFeature::VendorId => {
                let _ = write!(text, ",hv-vendor-id={}", comma(hyperv.vendor_id.as_deref().unwrap_or("")));
            }
            HypervFeature::Stimer => {
                text.push_str(",hv-stimer=on");
                if hyperv.stimer_direct == Some(true) {
                    text.push_str(",hv-stimer-direct=on");
                }
            }
            HypervFeature::Tlbflush => {
                text.push_str(",hv-tlbflush=on");
                if hyperv.tlbflush_direct == Some(true) {
                    text.push_str(",hv-tlbflush-direct=on");
                }
                if hyperv.tlbflush_extended == Some(true) {
                    text.push_str(",hv-tlbflush-ext=on");
                }
            }
            _ => {
                let _ = write!(text, ",hv-{name}=on");
            }
        }
    }
}

fn caches(text: &mut String, cpu: &CpuDef) {
    let Some((_, mode)) = cpu.cache else { return };
    let host_known = cpu.mode == Some(CpuMode::HostPassthrough) || cpu.mode == Some(CpuMode::Maximum);
    match mode {
        CpuCacheMode::Emulate => text.push_str(",l3-cache=on"),
        CpuCacheMode::Passthrough => text.push_str(",host-cache-info=on"),
        CpuCacheMode::Disable => {}
    }
    match mode {
        CpuCacheMode::Passthrough => text.push_str(",l3-cache=off"),
        CpuCacheMode::Emulate | CpuCacheMode::Disable if host_known => {
            text.push_str(",host-cache-info=off");
            if mode == CpuCacheMode::Disable {
                text.push_str(",l3-cache=off");
            }
        }
        CpuCacheMode::Disable => text.push_str(",l3-cache=off"),
        CpuCacheMode::Emulate => {}
    }
}

fn width(text: &mut String, cpu: &CpuDef) {
    let Some(address) = cpu.max_phys_addr else { return };
    match address.mode {
        PhysAddrMode::Passthrough => {
            text.push_str(",host-phys-bits=on");
            if let Some(limit) = address.limit {
                let _ = write!(text, ",host-phys-bits-limit={limit}");
            }
        }
        PhysAddrMode::Emulate => {
            if let Some(bits) = address.bits.filter(|b| *b > 0) {
                let _ = write!(text, ",phys-bits={bits}");
            }
        }
    }
}

/// `-smp`
pub fn smp(b: &mut Builder) -> Result<()> {
    let vcpus = &b.def.vcpu;
    let (online, max) = (vcpus.online(), vcpus.max());
    // Hot-plugged ones are added later, in their slots.
    let initial = if vcpus.individual {
        vcpus.vcpus.iter().filter(|v| v.online && v.hotpluggable != Some(true)).count()
    } else {
        online
    };
    let mut text = initial.to_string();
    if initial != max {
        let _ = write!(text, ",maxcpus={max}");
    }
    match b.def.cpu.as_ref().and_then(|c| c.topology) {
        Some(t) => {
            let _ = write!(
                text,
                ",sockets={},dies={},clusters={},cores={},threads={}",
                t.sockets, t.dies, t.clusters, t.cores, t.threads
            );
        }
        None => {
            let _ = write!(text, ",sockets={max},cores=1,threads=1");
        }
    }
    b.option("-smp", text);
    Ok(())
}
