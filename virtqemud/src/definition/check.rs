//! What QEMU, the machine type or the configuration do not allow.

use conf::domain::DomainDef;
use conf::domain::clock::{TickPolicy, TimerName};
use conf::domain::cpu::CpuMode;
use conf::domain::device::chardev::{Chardev, ChardevSource, TcpProtocol};
use conf::domain::device::console::{SerialModel, SerialType};
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::graphics::Graphics;
use conf::domain::device::hostdev::{HostdevSource, MdevModel};
use conf::domain::device::info::DeviceInfo;
use conf::domain::device::interface::{InterfaceKind, InterfaceSource};
use conf::domain::device::iommu::IommuModel;
use conf::domain::device::memory::MemoryAccess;
use conf::domain::device::panic::PanicModel;
use conf::domain::launch_security::LaunchSecurity;
use conf::domain::lifecycle::LifecycleAction;
use conf::domain::os::{Firmware, LoaderKind, OsType};
use error::{Code, Domain, Error, Result};

use super::{
    Facts, check_controller, check_device, check_disk, check_display, check_drive, check_interface, check_policy,
    check_small, unsupported, virt_type, xml_error,
};
use crate::address::machine;

/// ACPI on machines that have none.
pub(super) fn acpi(def: &DomainDef) -> Result<()> {
    let offers = machine::is_x86(def)
        || machine::is_arm_virt(def)
        || machine::is_riscv_virt(def)
        || machine::is_loongarch_virt(def);
    if def.features.acpi && !offers {
        let name = def.os.machine.as_deref().unwrap_or("");
        return Err(unsupported(format!("machine type '{name}' does not support ACPI")));
    }
    Ok(())
}

/// What would make no sense to find addresses for.
pub(super) fn before_addresses(def: &DomainDef) -> Result<()> {
    check_controller::before_addresses(def)?;
    check_small::before_addresses(def)?;
    for controller in def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Pci) {
        let fits = match controller.model {
            Some(ControllerModel::PcieExpanderBus) => machine::is_q35(def) || machine::is_arm_virt(def),
            Some(ControllerModel::PciExpanderBus) => machine::is_i440fx(def),
            _ => true,
        };
        if let (false, Some(model)) = (fits, controller.model) {
            return Err(unsupported(format!("{model} controllers are not supported with this machine type")));
        }
    }
    if let Some(iommu) = &def.devices.iommu {
        let (fits, place) = match iommu.model {
            IommuModel::Intel => (machine::is_q35(def), "Q35 machines"),
            IommuModel::Smmuv3 => (machine::is_arm_virt(def), "ARM Virt machines"),
            IommuModel::Virtio => (machine::is_q35(def) || machine::is_arm_virt(def), "Q35 and ARM Virt machines"),
        };
        if !fits {
            return Err(unsupported(format!("IOMMU device: '{}' is only supported with {place}", iommu.model)));
        }
    }
    Ok(())
}

/// All checks, in libvirt's order.
pub(super) fn all(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    emulator(def, facts)?;
    features(def)?;
    life(def)?;
    vcpus(def, facts)?;
    zpci(def)?;
    launch_security(def, facts)?;
    check_disk::all(def, facts)?;
    check_drive::all(def)?;
    check_controller::all(def)?;
    check_interface::all(def)?;
    check_small::all(def, facts)?;
    check_display::all(def, facts)?;
    check_policy::all(def)?;
    check_device::all(def, facts)?;
    interfaces(def)?;
    chardevs(def)?;
    graphics(def, facts)?;
    hostdevs(def)?;
    rest(def)
}

fn emulator(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    let emulator = def.devices.emulator.as_deref().unwrap_or("");
    let known = matches!(def.virt_type, conf::domain::VirtType::Kvm | conf::domain::VirtType::Qemu);
    if !known || facts.capability.accelerated(virt_type(def)).is_none() {
        return Err(unsupported(format!("Emulator '{emulator}' does not support virt type '{}'", def.virt_type)));
    }
    if def.os.kind != OsType::Hvm {
        return Err(unsupported(format!("Emulator '{emulator}' does not support os type '{}'", def.os.kind)));
    }
    let name = def.os.machine.as_deref().unwrap_or("");
    if facts.capability.machine(virt_type(def), name).is_none() {
        return Err(unsupported(format!("Emulator '{emulator}' does not support machine type '{name}'")));
    }
    let tunes = !def.cputune.cache_tunes.is_empty() || !def.cputune.memory_tunes.is_empty();
    if tunes && def.virt_type != conf::domain::VirtType::Kvm {
        return Err(unsupported("cachetune is only supported for KVM domains"));
    }
    Ok(())
}

fn features(def: &DomainDef) -> Result<()> {
    let f = &def.features;
    let name = def.os.machine.as_deref().unwrap_or("");
    let elsewhere = [
        ("gic", f.gic.is_some() && !machine::is_arm_virt(def)),
        (
            "kvm",
            f.kvm.as_ref().is_some_and(|k| !k.states.is_empty()) && !(machine::is_x86(def) || machine::is_arm(def)),
        ),
        ("hpt", f.hpt.is_some() && !machine::is_pseries(def)),
        ("htm", f.htm.is_some() && !machine::is_pseries(def)),
        ("nested-hv", f.nested_hv.is_some() && !machine::is_pseries(def)),
        ("ccf-assist", f.ccf_assist.is_some() && !machine::is_pseries(def)),
        ("cfpc", f.cfpc.is_some() && !machine::is_pseries(def)),
        ("sbbc", f.sbbc.is_some() && !machine::is_pseries(def)),
        ("ibs", f.ibs.is_some() && !machine::is_pseries(def)),
        ("hyperv", f.hyperv.is_some() && !(machine::is_x86(def) || machine::is_arm(def))),
    ];
    if let Some((feature, _)) = elsewhere.iter().find(|(_, wrong)| *wrong) {
        return Err(unsupported(format!(
            "The '{feature}' feature is not supported for architecture '{}' or machine type '{name}'",
            def.os.arch
        )));
    }
    if f.ras.is_some() && !machine::is_arm_virt(def) {
        return Err(unsupported("ras feature is only supported with ARM Virt machines"));
    }
    if f.pmu == Some(false) && machine::is_ppc64(def) {
        return Err(unsupported(format!("PMU is always enabled for architecture '{}'", def.os.arch)));
    }
    let maximum = def.cpu.as_ref().is_some_and(|c| c.mode == Some(CpuMode::Maximum));
    if maximum && machine::is_ppc64(def) {
        return Err(unsupported("maximum CPU is not supported by QEMU binary"));
    }
    if f.ps2 == Some(false) && f.vmport == Some(true) {
        return Err(unsupported("vmport feature requires the ps2 feature not to be disabled"));
    }
    if let Some(tseg) = f.smm.and_then(|s| s.tseg) {
        if !machine::is_q35(def) {
            return Err(unsupported("SMM TSEG is only supported with q35 machine type"));
        }
        if tseg & ((1 << 20) - 1) != 0 {
            return Err(unsupported("SMM TSEG size must be divisible by 1 MiB"));
        }
    }
    Ok(())
}

/// Actions, timers and boot firmware that QEMU has no way for.
fn life(def: &DomainDef) -> Result<()> {
    let l = &def.lifecycle;
    for action in [l.on_poweroff, l.on_reboot] {
        if matches!(action, LifecycleAction::Preserve | LifecycleAction::RenameRestart) {
            return Err(unsupported(format!(
                "qemu driver doesn't support the '{action}' action for 'on_reboot'/'on_poweroff'"
            )));
        }
    }
    for timer in &def.clock.timers {
        match (timer.name, timer.tick_policy) {
            (TimerName::Platform, _) => return Err(unsupported("unsupported timer type (name) 'platform'")),
            (TimerName::Rtc, Some(policy @ (TickPolicy::Merge | TickPolicy::Discard))) => {
                return Err(unsupported(format!("unsupported rtc timer tickpolicy '{policy}'")));
            }
            (TimerName::Pit, Some(policy @ TickPolicy::Merge)) => {
                return Err(unsupported(format!("unsupported pit timer tickpolicy '{policy}'")));
            }
            _ => {}
        }
    }
    let flash = def.os.loader.as_ref().is_some_and(|l| l.kind == Some(LoaderKind::Pflash));
    let efi = flash || def.os.firmware == Some(Firmware::Efi);
    if def.features.acpi && !efi && machine::is_arm_virt(def) {
        return Err(unsupported("ACPI requires UEFI on this architecture"));
    }
    if efi && machine::is_x86(def) && !def.features.acpi {
        return Err(unsupported("UEFI requires ACPI on this architecture"));
    }
    let secure = def.os.loader.as_ref().is_some_and(|l| l.secure == Some(true));
    if secure && !machine::is_q35(def) && machine::is_x86(def) {
        return Err(unsupported("Secure boot is supported with q35 machine types only"));
    }
    if secure && !def.features.smm.is_some_and(|s| s.state) {
        return Err(unsupported("Secure boot requires SMM feature enabled"));
    }
    Ok(())
}

fn vcpus(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    let machine = facts.capability.machine(virt_type(def), def.os.machine.as_deref().unwrap_or(""));
    if let Some(max) = machine.map(|m| m.max_cpus as usize).filter(|max| *max > 0 && def.vcpu.max() > *max) {
        return Err(unsupported(format!("Maximum CPUs greater than specified machine type limit {max}")));
    }
    let Some(topology) = def.cpu.as_ref().and_then(|c| c.topology) else { return Ok(()) };
    if topology.count() != def.vcpu.max() as u64 {
        return Err(unsupported("CPU topology doesn't match maximum vcpu count"));
    }
    // POWER plugs whole cores
    let granularity = if machine::is_pseries(def) { topology.threads as usize } else { 1 };
    if !def.vcpu.online().is_multiple_of(granularity) || !def.vcpu.max().is_multiple_of(granularity) {
        return Err(unsupported(format!(
            "vCPUs count must be a multiple of the vCPU hotplug granularity ({granularity})"
        )));
    }
    Ok(())
}

fn zpci(def: &DomainDef) -> Result<()> {
    let mut wrong = None;
    def.devices.each_info(&mut |info: &DeviceInfo| {
        if let Some(uid) = info.pci().and_then(|p| p.zpci.uid).filter(|u| *u == 0 || *u > 0xffff) {
            wrong.get_or_insert(uid);
        }
    });
    match wrong {
        Some(uid) => Err(xml_error(format!("Invalid PCI address uid='0x{uid:04x}', must be > 0x0000 and <= 0xffff"))),
        None => Ok(()),
    }
}

fn launch_security(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    let (word, object) = match &def.launch_security {
        None => return Ok(()),
        Some(LaunchSecurity::Sev { .. }) => ("sev", "sev-guest"),
        Some(LaunchSecurity::SevSnp { .. }) => ("sev-snp", "sev-snp-guest"),
        Some(LaunchSecurity::S390Pv) => ("s390-pv", "s390-pv-guest"),
    };
    let host = def.virt_type == conf::domain::VirtType::Kvm
        && facts.capability.commands.contains("query-sev-capabilities:available");
    if !facts.capability.has_type(object) || !host {
        return Err(unsupported(format!("'{word}' launch security is not supported with this QEMU binary")));
    }
    Ok(())
}

fn interfaces(def: &DomainDef) -> Result<()> {
    for interface in &def.devices.interfaces {
        let vhost_user = interface.kind == InterfaceKind::VhostUser;
        if vhost_user && !shared_memory(def) {
            return Err(unsupported("'interface' requires shared memory"));
        }
        if let InterfaceSource::Direct { .. } = &interface.source
            && interface.script.is_some()
        {
            return Err(unsupported("scripts are not supported on interfaces of type direct"));
        }
    }
    Ok(())
}

/// Whether all memory of the guest is shared with other processes.
pub(super) fn shared_memory(def: &DomainDef) -> bool {
    let backing = def.memory_backing.access == Some(MemoryAccess::Shared) && def.memory_backing.source.is_some();
    let cells = !def.numa.cells.is_empty() && def.numa.cells.iter().all(|c| c.access == Some(MemoryAccess::Shared));
    backing || cells || def.memory_backing.access == Some(MemoryAccess::Shared)
}

fn chardevs(def: &DomainDef) -> Result<()> {
    let d = &def.devices;
    let sources = d.serials.iter().map(|s| &s.source).chain(d.parallels.iter().map(|s| &s.source));
    let sources = sources.chain(d.consoles.iter().map(|s| &s.source)).chain(d.channels.iter().map(|s| &s.source));
    sources.chain(d.redirdevs.iter().map(|s| &s.source)).try_for_each(chardev)?;
    for serial in &d.serials {
        let fits = match serial.target {
            Some(SerialType::System) => match serial.model {
                Some(SerialModel::Pl011) => machine::is_arm(def),
                Some(SerialModel::Uart16550a) => machine::is_riscv_virt(def) || machine::is_loongarch_virt(def),
                _ => true,
            },
            Some(SerialType::SpaprVio) => machine::is_pseries(def),
            Some(SerialType::Sclp) => machine::is_s390(def),
            _ => true,
        };
        if let (false, Some(target), Some(model)) = (fits, serial.target, serial.model) {
            return Err(unsupported(format!(
                "Serial device with target type '{target}' and target model '{model}' not compatible with guest architecture or machine type"
            )));
        }
    }
    Ok(())
}

fn chardev(source: &ChardevSource) -> Result<()> {
    match &source.backend {
        Chardev::Tcp { protocol, .. } if !matches!(protocol, TcpProtocol::Raw | TcpProtocol::Telnet) => {
            let word = if *protocol == TcpProtocol::Telnets { TcpProtocol::Tls } else { *protocol };
            Err(unsupported(format!("tcp chardev protocol '{word}' not supported")))
        }
        Chardev::Tcp { reconnect, .. } | Chardev::Unix { reconnect, .. } if reconnect.timeout == Some(0) => {
            Err(Error::new(Domain::Qemu, Code::InvalidArg, "chardev reconnect source timeout cannot be '0'"))
        }
        _ => Ok(()),
    }
}

fn graphics(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    for graphics in &def.devices.graphics {
        match &graphics.graphics {
            Graphics::Spice(spice) if spice.tls_port > 0 && !facts.spice_tls => {
                return Err(unsupported("spice TLS port set in XML configuration, but TLS is disabled in qemu.conf"));
            }
            Graphics::Rdp(_) | Graphics::Desktop { .. } => {
                return Err(unsupported(format!("{} graphics are not supported with this QEMU", graphics.kind())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn hostdevs(def: &DomainDef) -> Result<()> {
    for hostdev in &def.devices.hostdevs {
        if let HostdevSource::Mdev { model, display, .. } = &hostdev.source {
            if *display == Some(true) && def.devices.graphics.is_empty() {
                return Err(unsupported("graphics device is needed for attribute value 'display=on' in <hostdev>"));
            }
            if hostdev.info.boot_index.is_some() && *model != MdevModel::VfioCcw {
                return Err(unsupported(format!(
                    "booting from assigned devices is not supported by mediated devices of model {model}"
                )));
            }
        }
    }
    Ok(())
}

fn rest(def: &DomainDef) -> Result<()> {
    for panic in &def.devices.panics {
        if matches!(panic.model, Some(PanicModel::Pseries | PanicModel::Hyperv | PanicModel::S390))
            && panic.info.address.is_some()
        {
            let model = panic.model.map_or("", xml::Vocabulary::word);
            return Err(unsupported(format!("setting the panic device address is not supported for model '{model}'")));
        }
    }
    Ok(())
}
