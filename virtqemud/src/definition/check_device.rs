//! Devices that QEMU or the machine type cannot have.

use conf::domain::DomainDef;
use conf::domain::device::chardev::Chardev;
use conf::domain::device::console::{ConsoleType, SerialType};
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel};
use conf::domain::device::crypto::CryptoBackend;
use conf::domain::device::disk::DiskBus;
use conf::domain::device::filesystem::FilesystemDriver;
use conf::domain::device::graphics::GraphicsKind;
use conf::domain::device::hostdev::HostdevSource;
use conf::domain::device::info::{AddressKind, DeviceInfo, VirtioModel};
use conf::domain::device::input::InputBus;
use conf::domain::device::interface::InterfaceKind;
use conf::domain::device::panic::PanicModel;
use conf::domain::device::shmem::ShmemModel;
use conf::domain::device::tpm::TpmModel;
use conf::domain::device::video::VideoModel;
use conf::domain::device::watchdog::WatchdogModel;
use conf::domain::memory::MemorySource;
use error::Result;
use xml::Vocabulary;

use super::check::shared_memory;
use super::{Facts, unsupported, xml_error};
use crate::address::machine;

/// Checks every device but disks.
pub(super) fn all(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    addresses(def)?;
    usb(def)?;
    controllers(def, facts)?;
    interfaces(def)?;
    characters(def)?;
    videos(def, facts)?;
    watchdogs(def)?;
    panics(def)?;
    memory_sharing(def)?;
    small(def, facts)
}

fn addresses(def: &DomainDef) -> Result<()> {
    let mut ccw = false;
    def.devices
        .each_info(&mut |info: &DeviceInfo| ccw |= info.address.as_ref().is_some_and(|a| a.kind() == AddressKind::Ccw));
    if ccw && !machine::is_s390_ccw(def) {
        return Err(unsupported(format!(
            "CCW addresses are not supported by machine type '{}'",
            def.os.machine.as_deref().unwrap_or("")
        )));
    }
    Ok(())
}

/// USB devices need a bus.
fn usb(def: &DomainDef) -> Result<()> {
    let d = &def.devices;
    let present = |c: &ControllerDef| c.kind == ControllerKind::Usb && c.model != Some(ControllerModel::None);
    let devices = d.serials.iter().any(|s| s.target == Some(SerialType::Usb))
        || !d.redirdevs.is_empty()
        || d.hostdevs.iter().any(|h| matches!(h.source, HostdevSource::Usb(_)))
        || d.disks.iter().any(|disk| disk.bus == Some(DiskBus::Usb));
    if devices && !d.controllers.iter().any(present) {
        return Err(unsupported("USB is disabled for this domain, but USB devices are present in the domain XML"));
    }
    Ok(())
}

fn controllers(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    let sata = def.devices.controllers.iter().any(|c| c.kind == ControllerKind::Sata);
    if sata && !facts.capability.has_type("ich9-ahci") {
        return Err(unsupported("SATA is not supported with this QEMU binary"));
    }
    for controller in def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Ide) {
        if !machine::has_builtin_ide(def) {
            return Err(unsupported("IDE controllers are unsupported for this QEMU binary or machine type"));
        }
        if controller.number() != 0 {
            return Err(unsupported("Only a single IDE controller is supported for this machine type"));
        }
    }
    Ok(())
}

fn interfaces(def: &DomainDef) -> Result<()> {
    for interface in &def.devices.interfaces {
        let guest_side = !interface.ips.is_empty() || !interface.routes.is_empty();
        if guest_side && !matches!(interface.kind, InterfaceKind::User | InterfaceKind::VhostUser) {
            return Err(unsupported(
                "Invalid attempt to set network interface guest-side IP address info, not supported by QEMU",
            ));
        }
    }
    Ok(())
}

fn characters(def: &DomainDef) -> Result<()> {
    let d = &def.devices;
    for serial in &d.serials {
        let needed = match serial.target {
            Some(SerialType::Isa | SerialType::IsaDebug) => AddressKind::Isa,
            Some(SerialType::Usb) => AddressKind::Usb,
            Some(SerialType::Pci) => AddressKind::Pci,
            Some(SerialType::SpaprVio) => AddressKind::SpaprVio,
            _ => continue,
        };
        if let (Some(address), Some(target)) = (&serial.info.address, serial.target)
            && address.kind() != needed
        {
            return Err(unsupported(format!("Target type '{target}' requires address type '{needed}'")));
        }
    }
    let spice = d.graphics.iter().any(|g| g.kind() == GraphicsKind::Spice);
    let sources = d.serials.iter().map(|s| &s.source).chain(d.parallels.iter().map(|s| &s.source));
    let mut sources = sources.chain(d.consoles.iter().map(|s| &s.source)).chain(d.channels.iter().map(|s| &s.source));
    let needs_spice = |c: &Chardev| matches!(c, Chardev::Spicevmc | Chardev::Spiceport { .. });
    if let Some(source) = sources.find(|s| !spice && needs_spice(&s.backend)) {
        return Err(unsupported(format!("chardev '{}' not supported without spice graphics", source.backend.kind())));
    }
    if d.consoles.iter().any(|c| matches!(c.target, Some(ConsoleType::Sclp | ConsoleType::SclpLm)))
        && !machine::is_s390(def)
    {
        return Err(unsupported("sclpconsole is not supported in this QEMU binary"));
    }
    Ok(())
}

/// QEMU's devices for a model; any of them will do.
fn video_types(model: VideoModel) -> &'static [&'static str] {
    match model {
        VideoModel::Vga => &["VGA"],
        VideoModel::Cirrus => &["cirrus-vga"],
        VideoModel::Vmvga => &["vmware-svga"],
        VideoModel::Qxl => &["qxl-vga", "qxl"],
        VideoModel::Virtio => &["virtio-gpu-pci", "virtio-gpu-device", "virtio-gpu-ccw", "virtio-vga"],
        VideoModel::Bochs => &["bochs-display"],
        VideoModel::Ramfb => &["ramfb"],
        _ => &[],
    }
}

fn videos(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    for video in &def.devices.videos {
        if let Some(model) = video.model {
            let types = video_types(model);
            if !types.is_empty() && !types.iter().any(|t| facts.capability.has_type(t)) {
                return Err(unsupported(format!("domain configuration does not support video model '{model}'")));
            }
        }
        if let Some(model @ (VideoModel::Xen | VideoModel::Vbox | VideoModel::Parallels | VideoModel::Gop)) =
            video.model
        {
            return Err(unsupported(format!("domain configuration does not support video model '{model}'")));
        }
        if video.model == Some(VideoModel::Qxl) && video.vgamem_kib.is_some_and(|k| !k.is_power_of_two()) {
            return Err(unsupported("value for 'vgamem' must be power of two"));
        }
        if video.blob == Some(true) && def.memory_backing.source != Some(MemorySource::Memfd) {
            return Err(unsupported("'blob' support for virtio-gpu devices requires a memfd memory backend"));
        }
    }
    Ok(())
}

fn watchdogs(def: &DomainDef) -> Result<()> {
    for watchdog in &def.devices.watchdogs {
        match watchdog.model {
            WatchdogModel::Diag288 if !machine::is_s390(def) => {
                return Err(unsupported("diag288 model of watchdog is allowed for s390 and s390x only"));
            }
            WatchdogModel::Ib700 if !machine::is_i440fx(def) && !machine::is_isapc(def) => {
                return Err(unsupported("ib700 model of watchdog cannot be used with this machine type"));
            }
            WatchdogModel::Itco if !machine::is_q35(def) => {
                return Err(unsupported("iTCO model of watchdog is supported only with q35 machine"));
            }
            _ => {}
        }
    }
    if def.devices.watchdogs.windows(2).any(|pair| pair[0].action != pair[1].action) {
        return Err(unsupported("watchdogs with different actions are not supported with this QEMU binary"));
    }
    Ok(())
}

fn panics(def: &DomainDef) -> Result<()> {
    for panic in &def.devices.panics {
        let refuse = match panic.model {
            Some(PanicModel::S390) if !machine::is_s390(def) => "only S390 guests support panic device of model 's390'",
            Some(PanicModel::Pseries) if !machine::is_pseries(def) => {
                "only pSeries guests support panic device of model 'pseries'"
            }
            Some(PanicModel::Hyperv) if !machine::is_x86(def) => {
                "only i686 and x86_64 guests support panic device of model 'hyperv'"
            }
            _ => continue,
        };
        return Err(unsupported(refuse));
    }
    Ok(())
}

fn memory_sharing(def: &DomainDef) -> Result<()> {
    let virtiofs = def.devices.filesystems.iter().any(|f| f.driver == Some(FilesystemDriver::VirtioFs));
    if virtiofs && !shared_memory(def) {
        return Err(unsupported("'virtiofs' requires shared memory"));
    }
    Ok(())
}

fn small(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    for input in &def.devices.inputs {
        let model = matches!(input.model, Some(VirtioModel::Transitional | VirtioModel::NonTransitional));
        if model && input.bus == Some(InputBus::Virtio) && !machine::is_s390(def) {
            return Err(unsupported(format!(
                "virtio (non-)transitional models are not supported for input type={}",
                input.kind
            )));
        }
    }
    for shmem in &def.devices.shmems {
        if shmem.model == Some(ShmemModel::Ivshmem) {
            return Err(unsupported("ivshmem device is no longer supported"));
        }
        if let Some(model) = shmem.model.filter(|m| !facts.capability.has_type(m.word())) {
            return Err(unsupported(format!("shmem model '{model}' is not supported by this QEMU binary")));
        }
        if shmem.size.is_some_and(|s| s > 0 && (!s.is_power_of_two() || s < 1 << 20)) {
            return Err(xml_error("shmem size must be a power of 2 and at least 1 MiB (1024 KiB)"));
        }
    }
    if def.devices.nvram.is_some() && !machine::is_pseries(def) {
        return Err(unsupported("nvram device is only supported for PPC64"));
    }
    for tpm in &def.devices.tpms {
        let offered = |m: TpmModel| facts.capability.tpm_models.iter().any(|known| known == m.word());
        if let Some(model) = tpm.model.filter(|m| !facts.capability.tpm_models.is_empty() && !offered(*m)) {
            let emulator = def.devices.emulator.as_deref().unwrap_or("");
            return Err(unsupported(format!("The QEMU executable {emulator} does not support TPM model {model}")));
        }
    }
    if def.devices.smartcards.len() > 1 {
        return Err(unsupported("this QEMU binary lacks multiple smartcard support"));
    }
    let object = |backend| match backend {
        CryptoBackend::Builtin => "cryptodev-backend-builtin",
        CryptoBackend::Lkcf => "cryptodev-backend-lkcf",
    };
    match def.devices.cryptos.iter().find(|c| !facts.capability.has_type(object(c.backend))) {
        Some(crypto) => Err(unsupported(format!("crypto backend {} is not supported", crypto.backend))),
        None => Ok(()),
    }
}
