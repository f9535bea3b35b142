//! Buses, formats and ports of disks that the document leaves open.

use conf::domain::DomainDef;
use conf::domain::device::disk::{DiskBus, DiskDef, DiskDevice};
use conf::domain::device::encryption::{EncryptionEngine, EncryptionFormat};
use conf::domain::device::source::{ImageFormat, Protocol, SourceKind, StorageSource, Transport};
use error::Result;

use super::xml_error;

/// Completes all disks.
pub(super) fn settle(def: &mut DomainDef) -> Result<()> {
    for disk in &mut def.devices.disks {
        settle_one(disk)?;
    }
    if let Some(nvram) = def.os.loader.as_mut().and_then(|l| l.nvram.as_mut()) {
        settle_source(nvram);
    }
    Ok(())
}

fn settle_one(disk: &mut DiskDef) -> Result<()> {
    if disk.bus.is_none() {
        disk.bus = Some(bus_by_name(disk)?);
    }
    disk.driver.name.get_or_insert_with(|| "qemu".to_owned());
    // a volume's format is known once its pool is asked
    if disk.source.format.is_none() && disk.source.kind != SourceKind::Volume {
        disk.source.format = Some(ImageFormat::Raw);
    }
    settle_chain(&mut disk.source);
    if let Some(mirror) = &mut disk.mirror {
        settle_chain(&mut mirror.source);
    }
    Ok(())
}

fn bus_by_name(disk: &DiskDef) -> Result<DiskBus> {
    if disk.device == DiskDevice::Floppy {
        return Ok(DiskBus::Fdc);
    }
    let prefixes = [
        ("hd", DiskBus::Ide),
        ("sd", DiskBus::Scsi),
        ("vd", DiskBus::Virtio),
        ("xvd", DiskBus::Xen),
        ("ubd", DiskBus::Uml),
        ("fd", DiskBus::Fdc),
    ];
    let bus = prefixes.iter().find(|(prefix, _)| disk.dst.starts_with(prefix)).map(|(_, bus)| *bus);
    bus.ok_or_else(|| xml_error(format!("Unknown disk name '{}' and no bus specified", disk.dst)))
}

fn settle_chain(source: &mut StorageSource) {
    settle_source(source);
    if let Some(Some(backing)) = &mut source.backing {
        settle_chain(backing);
    }
    if let Some(data) = &mut source.data_store {
        settle_source(data);
    }
}

fn settle_source(source: &mut StorageSource) {
    if let Some(encryption) = &mut source.encryption
        && encryption.engine.is_none()
        && matches!(encryption.format, EncryptionFormat::Qcow | EncryptionFormat::Luks)
    {
        encryption.engine = Some(EncryptionEngine::Qemu);
    }
    if source.kind != SourceKind::Network {
        return;
    }
    let default = match source.protocol {
        Some(Protocol::Http) => 80,
        Some(Protocol::Https) => 443,
        Some(Protocol::Ftp) => 21,
        Some(Protocol::Ftps) => 990,
        Some(Protocol::Tftp) => 69,
        Some(Protocol::Sheepdog) => 7000,
        Some(Protocol::Nbd) => 10809,
        Some(Protocol::Ssh) => 22,
        Some(Protocol::Iscsi) => 3260,
        Some(Protocol::Gluster) => 24007,
        Some(Protocol::Vxhs) => 9999,
        Some(Protocol::Rbd | Protocol::Nfs) | None => return,
    };
    for host in source.hosts.iter_mut().filter(|h| h.transport == Transport::Tcp) {
        host.port.get_or_insert(default);
    }
}
