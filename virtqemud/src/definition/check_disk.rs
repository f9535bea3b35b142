//! Disks that QEMU cannot have.

use conf::domain::DomainDef;
use conf::domain::device::disk::{Cache, DiskBus, DiskDef, DiskDevice, DiskIo, GeometryTranslation};
use conf::domain::device::info::AddressKind;
use conf::domain::device::source::{ImageFormat, Protocol, SourceKind, StorageSource};
use error::Result;

use super::{Facts, internal, unsupported};

/// Checks every disk.
pub(super) fn all(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    for disk in &def.devices.disks {
        let mapped = disk.driver.iothreads.iter().map(|t| t.id);
        let unknown =
            disk.driver.iothread.into_iter().chain(mapped).find(|id| !def.iothreads.iter().any(|t| t.id == *id));
        if let Some(id) = unknown {
            return Err(unsupported(format!("Disk iothread '{id}' not defined in iothreadid")));
        }
    }
    def.devices.disks.iter().try_for_each(|disk| check(disk, facts))
}

fn check(disk: &DiskDef, facts: &Facts<'_>) -> Result<()> {
    let partition = disk.dst.bytes().last().is_some_and(|b| b.is_ascii_digit()) && disk.name_index().is_some();
    if partition {
        return Err(unsupported(format!(
            "invalid disk target '{}', partitions can't appear in disk targets",
            disk.dst
        )));
    }
    check_bus(disk)?;
    check_driver(disk)?;
    if disk.bus == Some(DiskBus::Usb) {
        if disk.source.is_empty() && disk.device == DiskDevice::Cdrom && disk.info.boot_index.is_none()
            || disk.source.is_empty()
        {
            return Err(unsupported("'usb' disk must not be empty"));
        }
        if let Some(address) = &disk.info.address
            && !matches!(address.kind(), AddressKind::Usb | AddressKind::Unassigned)
        {
            return Err(internal("unexpected address type for usb disk"));
        }
    }
    if disk.bus != Some(DiskBus::Scsi) {
        for (name, value) in [("vendor", &disk.vendor), ("product", &disk.product)] {
            if value.is_some() {
                return Err(unsupported(format!("Only scsi disk supports '{name}'")));
            }
        }
    }
    if disk.geometry.translation.is_some_and(|t| t != GeometryTranslation::None) && disk.bus != Some(DiskBus::Ide) {
        let bus = disk.bus.map_or("", xml::Vocabulary::word);
        return Err(unsupported(format!("CHS translation mode can only be set for 'ide' bus not '{bus}'")));
    }
    if disk.device == DiskDevice::Lun && disk.bus == Some(DiskBus::Virtio) {
        return Err(unsupported("This QEMU doesn't support SCSI emulation with 'virtio-blk' device"));
    }
    let shares = disk.source.format.is_none_or(|f| f == ImageFormat::Raw);
    if disk.shareable && !disk.readonly && !shares {
        return Err(unsupported(format!(
            "shared access for disk '{}' requires use of supported storage format",
            disk.dst
        )));
    }
    if disk.source.kind == SourceKind::VhostVdpa && !facts.capability.has_type("virtio-blk-vhost-vdpa") {
        return Err(unsupported("vhostvdpa disk is not supported with this QEMU binary"));
    }
    check_source(&disk.source)
}

fn check_bus(disk: &DiskDef) -> Result<()> {
    let Some(bus) = disk.bus else { return Ok(()) };
    if disk.device == DiskDevice::Lun && !matches!(bus, DiskBus::Scsi | DiskBus::Virtio) {
        return Err(unsupported(format!("disk device='lun' is not supported for bus='{bus}'")));
    }
    if matches!(disk.device, DiskDevice::Cdrom | DiskDevice::Floppy) && matches!(bus, DiskBus::Virtio | DiskBus::Sd) {
        return Err(unsupported(format!("disk type of '{}' does not support ejectable media", disk.dst)));
    }
    if disk.wwn.is_some() && !matches!(bus, DiskBus::Ide | DiskBus::Sata | DiskBus::Scsi) {
        return Err(unsupported("Only ide and scsi disk support wwn"));
    }
    if disk.rotation_rate.is_some_and(|r| r > 0) && !matches!(bus, DiskBus::Ide | DiskBus::Sata | DiskBus::Scsi) {
        return Err(internal("rotation rate is only valid for SCSI/IDE/SATA bus"));
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || "_- .+".contains(c);
    if let Some(serial) = disk.serial.as_deref().filter(|s| !s.chars().all(safe)) {
        return Err(internal(format!("driver serial '{serial}' contains unsafe characters")));
    }
    Ok(())
}

fn check_driver(disk: &DiskDef) -> Result<()> {
    let driver = &disk.driver;
    if let Some(name) = driver.name.as_deref().filter(|n| *n != "qemu") {
        return Err(unsupported(format!("unsupported driver name '{name}' for disk '{}'", disk.dst)));
    }
    if driver.copy_on_read == Some(true) && disk.readonly {
        return Err(unsupported(format!("copy_on_read is not compatible with read-only disk '{}'", disk.dst)));
    }
    if driver.io == Some(DiskIo::Native) && !matches!(driver.cache, Some(Cache::None | Cache::Directsync)) {
        return Err(unsupported("io='native' needs either no disk cache or directsync cache mode"));
    }
    let takes_threads = matches!(disk.bus, Some(DiskBus::Virtio));
    if (driver.iothread.is_some() || !driver.iothreads.is_empty()) && !takes_threads {
        let bus = disk.bus.map_or("", xml::Vocabulary::word);
        return Err(unsupported(format!("IOThreads not available for bus {bus} target {}", disk.dst)));
    }
    Ok(())
}

fn check_source(source: &StorageSource) -> Result<()> {
    match source.format {
        Some(ImageFormat::Dir) => {
            return Err(unsupported(
                "'directory' storage format is not directly supported by QEMU, use 'dir' disk type instead",
            ));
        }
        Some(ImageFormat::Iso) => {
            return Err(unsupported("storage format 'iso' is not directly supported by QEMU, use 'raw' instead"));
        }
        Some(ImageFormat::Cow) => return Err(unsupported("'cow' storage format is not supported")),
        Some(ImageFormat::Fat) if !matches!(source.kind, SourceKind::Dir | SourceKind::Volume) => {
            return Err(unsupported("storage format 'fat' is supported only with 'dir' storage type"));
        }
        _ => {}
    }
    if source.encryption.is_some() && !matches!(source.format, None | Some(ImageFormat::Raw | ImageFormat::Qcow2)) {
        return Err(unsupported("encryption is supported only with 'raw' and 'qcow2' image format"));
    }
    if source.protocol == Some(Protocol::Tftp) {
        return Err(unsupported("'tftp' protocol is not supported with this QEMU binary"));
    }
    if source.protocol == Some(Protocol::Nfs) && source.hosts.iter().any(|h| h.port.is_some_and(|p| p > 0)) {
        return Err(unsupported("port cannot be specified in 'nfs' protocol host"));
    }
    match &source.backing {
        Some(Some(backing)) => check_source(backing),
        _ => Ok(()),
    }
}
