//! `-machine` and `-accel`.

use std::fmt::Write;

use conf::domain::clock::TimerName;
use conf::domain::device::iommu::IommuModel;
use conf::domain::device::memory::MemoryModel;
use conf::domain::device::sound::SoundModel;
use conf::domain::features::{GicVersion, IoApic, KvmFeature};
use conf::domain::launch_security::LaunchSecurity;
use error::Result;

use super::escape::on_off;
use super::plan::Builder;
use super::{firmware, memory};
use crate::address::machine as kind;
use crate::capability::VirtType;

/// `-machine`
pub fn machine(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let name = def.os.machine.clone().unwrap_or_default();
    // QEMU must not add USB controllers of its own.
    let mut text = format!("{name},usb=off");
    features(&mut text, b);
    let dump = def.memory.dump_core.unwrap_or(b.inputs.dump_guest_core);
    let _ = write!(text, ",dump-guest-core={}", on_off(dump));
    if def.memory_backing.nosharepages {
        text.push_str(",mem-merge=off");
    }
    if def.devices.memories.iter().any(|m| m.model == MemoryModel::Nvdimm) {
        text.push_str(",nvdimm=on");
    }
    if def.numa.cells.iter().any(|c| !c.caches.is_empty()) || !def.numa.interconnects.is_empty() {
        text.push_str(",hmat=on");
    }
    if matches!(
        def.launch_security,
        Some(LaunchSecurity::Sev { .. } | LaunchSecurity::SevSnp { .. } | LaunchSecurity::S390Pv)
    ) {
        text.push_str(",confidential-guest-support=lsec0");
    }
    if let Some(id) = memory::default_backend_id(b) {
        let _ = write!(text, ",memory-backend={id}");
    }
    firmware::machine_options(&mut text, b);
    if let Some(hpet) = def.clock.timers.iter().find(|t| t.name == TimerName::Hpet).and_then(|t| t.present)
        && kind::is_x86(def)
    {
        let _ = write!(text, ",hpet={}", on_off(hpet));
    }
    if let Some(speaker) = def.devices.sounds.iter().find(|s| s.model == SoundModel::PcSpk) {
        let audio = speaker.audio_id.or_else(|| def.devices.audios.first().map(|a| a.id)).unwrap_or(1);
        let _ = write!(text, ",pcspk-audiodev=audio{audio}");
    }
    let supports_acpi = b.capability.machine(b.virt, &name).and_then(|m| m.acpi).unwrap_or(false);
    if supports_acpi {
        let _ = write!(text, ",acpi={}", on_off(def.features.acpi));
    }
    if kind::is_s390_ccw(def)
        && let Some(loadparm) = super::boot::machine_loadparm(b)
    {
        let _ = write!(text, ",loadparm={loadparm}");
    }
    b.option("-machine", text);
    Ok(())
}

fn features(text: &mut String, b: &Builder) {
    let f = &b.def.features;
    let mut switch = |name: &str, value: Option<bool>| {
        if let Some(value) = value {
            let _ = write!(text, ",{name}={}", on_off(value));
        }
    };
    switch("vmport", f.vmport);
    switch("smm", f.smm.map(|s| s.state));
    switch("aes-key-wrap", b.def.keywrap.and_then(|k| k.aes));
    switch("dea-key-wrap", b.def.keywrap.and_then(|k| k.dea));
    if let Some(version) = f.gic.flatten() {
        let word = match version {
            GicVersion::V2 => "2",
            GicVersion::V3 => "3",
            GicVersion::Host => "host",
        };
        // Version 2 is what QEMU takes anyway, but only the virt board can be told.
        if kind::is_arm_virt(b.def) {
            let _ = write!(text, ",gic-version={word}");
        }
    }
    if b.def.devices.iommu.as_ref().is_some_and(|i| i.model == IommuModel::Smmuv3) {
        text.push_str(",iommu=smmuv3");
    }
    if let Some(ioapic) = f.ioapic {
        text.push_str(if ioapic == IoApic::Qemu { ",kernel_irqchip=split" } else { ",kernel_irqchip=on" });
    }
    if let Some(ps2) = f.ps2 {
        let _ = write!(text, ",i8042={}", on_off(ps2));
    }
    if let Some((resizing, page_kib)) = &f.hpt {
        if let Some(resizing) = resizing {
            let _ = write!(text, ",resize-hpt={resizing}");
        }
        if let Some(page_kib) = page_kib {
            let _ = write!(text, ",cap-hpt-max-page-size={page_kib}k");
        }
    }
    let mut switch = |name: &str, value: Option<bool>| {
        if let Some(value) = value {
            let _ = write!(text, ",{name}={}", on_off(value));
        }
    };
    switch("cap-htm", f.htm);
    switch("cap-nested-hv", f.nested_hv);
    switch("cap-ccf-assist", f.ccf_assist);
    if let Some(cfpc) = f.cfpc {
        let _ = write!(text, ",cap-cfpc={cfpc}");
    }
    if let Some(sbbc) = f.sbbc {
        let _ = write!(text, ",cap-sbbc={sbbc}");
    }
    if let Some(ibs) = f.ibs {
        let _ = write!(text, ",cap-ibs={ibs}");
    }
    if let Some(ras) = f.ras {
        let _ = write!(text, ",ras={}", on_off(ras));
    }
    if let Some(aia) = &f.aia {
        let _ = write!(text, ",aia={aia}");
    }
}

/// `-accel`
pub fn accel(b: &mut Builder) {
    let f = &b.def.features;
    let mut text = String::from(if b.virt == VirtType::Kvm { "kvm" } else { "tcg" });
    if b.virt == VirtType::Tcg {
        if let Some(kib) = f.tb_cache_kib.filter(|k| *k > 0) {
            let _ = write!(text, ",tb-size={}", kib >> 10);
        }
    } else if let Some(kvm) = &f.kvm
        && kvm.states.contains(&(KvmFeature::DirtyRing, true))
        && let Some(size) = kvm.dirty_ring_size
    {
        let _ = write!(text, ",dirty-ring-size={size}");
    }
    b.option("-accel", text);
}
