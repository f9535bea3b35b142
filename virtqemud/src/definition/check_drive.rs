//! What QEMU's drives, their addresses and their images cannot be.

use std::collections::BTreeSet;

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::disk::{DiskBus, DiskDef, DiskDevice};
use conf::domain::device::encryption::{Encryption, EncryptionEngine, EncryptionFormat};
use conf::domain::device::info::Address;
use conf::domain::device::iotune::IoTune;
use conf::domain::device::source::{ImageFormat, Protocol, SourceKind, StorageSource, Transport};
use error::{Code, Domain, Error, Result};
use xml::Vocabulary;

use super::check::shared_memory;
use super::{internal, unsupported};

/// Most that QEMU's throttling takes.
const THROTTLE_MAX: u64 = 1_000_000_000_000_000;
/// Highest targets of an LSI adapter.
const LSI_TARGET_MAX: u32 = 7;

/// Checks every drive.
pub(super) fn all(def: &DomainDef) -> Result<()> {
    for disk in &def.devices.disks {
        characteristics(disk)?;
        if disk.device == DiskDevice::Lun {
            logical_unit(disk)?;
        }
        if disk.transient {
            transient(disk)?;
        }
        throttling(def, disk)?;
        threads(def, disk)?;
        if let Some(Address::Drive(_)) = &disk.info.address {
            address(def, disk)?;
        }
        if disk.source.kind == SourceKind::VhostUser && !shared_memory(def) {
            return Err(unsupported("'vhostuser' requires shared memory"));
        }
        image(disk, &disk.source)?;
    }
    Ok(())
}

fn characteristics(disk: &DiskDef) -> Result<()> {
    let bus = disk.bus.map_or("", Vocabulary::word);
    let geometry = disk.geometry.cylinders > 0 && disk.geometry.heads > 0 && disk.geometry.sectors > 0;
    if geometry && matches!(disk.bus, Some(DiskBus::Usb | DiskBus::Fdc | DiskBus::Sd)) {
        return Err(unsupported(format!("CHS geometry can not be set for '{bus}' bus")));
    }
    if disk.serial.is_some() && disk.bus == Some(DiskBus::Sd) {
        return Err(internal(format!("Serial property not supported for drive bus '{bus}'")));
    }
    if disk.rotation_rate.is_some_and(|r| r > 0) && !matches!(disk.device, DiskDevice::Disk) {
        return Err(internal("rotation rate is only valid for disk device"));
    }
    let fixed = disk.device == DiskDevice::Disk && disk.readonly;
    match disk.bus {
        Some(DiskBus::Ide) if fixed => Err(unsupported("readonly ide disks are not supported")),
        Some(DiskBus::Sata) if fixed => Err(unsupported("readonly sata disks are not supported")),
        _ => Ok(()),
    }
}

fn logical_unit(disk: &DiskDef) -> Result<()> {
    if disk.driver.copy_on_read == Some(true) {
        return Err(unsupported(format!("copy_on_read is not compatible with 'lun' disk '{}'", disk.dst)));
    }
    if disk.wwn.is_some() {
        return Err(unsupported("Setting wwn is not supported for lun device"));
    }
    if disk.vendor.is_some() || disk.product.is_some() {
        return Err(unsupported("Setting vendor or product is not supported for lun device"));
    }
    if disk.serial.is_some() {
        return Err(unsupported("scsi-block 'lun' devices do not support the serial property"));
    }
    Ok(())
}

fn transient(disk: &DiskDef) -> Result<()> {
    let name = &disk.dst;
    if disk.source.is_empty() {
        return Err(unsupported(format!("transient disk '{name}' must not be empty")));
    }
    if disk.readonly {
        return Err(unsupported(format!("transient disk '{name}' must not be read-only")));
    }
    if disk.source.kind != SourceKind::File {
        return Err(unsupported(format!("transient disk supported only with 'file' type ({name})")));
    }
    if disk.device != DiskDevice::Disk {
        return Err(unsupported(format!("transient disk supported only with 'disk' device ({name})")));
    }
    if disk.transient_share_backing == Some(true)
        && !matches!(disk.bus, Some(DiskBus::Usb | DiskBus::Virtio | DiskBus::Scsi))
    {
        let bus = disk.bus.map_or("", Vocabulary::word);
        return Err(unsupported(format!("disk bus '{bus}' doesn't support transiend disk backing image sharing")));
    }
    Ok(())
}

fn throttling(def: &DomainDef, disk: &DiskDef) -> Result<()> {
    let tune = &disk.iotune;
    let unlimited = IoTune { group_name: tune.group_name.clone(), ..IoTune::default() };
    if tune.group_name.is_some() && *tune == unlimited {
        return Err(unsupported("group_name can be configured only together with settings"));
    }
    if *tune != unlimited && disk.bus == Some(DiskBus::Sd) {
        return Err(unsupported("<iotune> is not supported with bus='sd'"));
    }
    let grouped = def
        .devices
        .disks
        .iter()
        .take_while(|d| !std::ptr::eq(*d, disk))
        .find(|d| tune.group_name.is_some() && d.iotune.group_name == tune.group_name);
    if let Some(other) = grouped.filter(|d| d.iotune != *tune) {
        return Err(unsupported(format!("different iotunes for disks {} and {}", other.dst, disk.dst)));
    }
    let limits = [
        tune.total_bytes_sec,
        tune.read_bytes_sec,
        tune.write_bytes_sec,
        tune.total_iops_sec,
        tune.read_iops_sec,
        tune.write_iops_sec,
        tune.total_bytes_sec_max,
        tune.read_bytes_sec_max,
        tune.write_bytes_sec_max,
        tune.total_iops_sec_max,
        tune.read_iops_sec_max,
        tune.write_iops_sec_max,
        tune.size_iops_sec,
    ];
    if limits.iter().any(|l| *l > THROTTLE_MAX) {
        return Err(Error::new(
            Domain::Qemu,
            Code::ArgumentUnsupported,
            format!("block I/O throttle limit must be no more than {THROTTLE_MAX} using QEMU"),
        ));
    }
    Ok(())
}

/// I/O threads, and which of them serves which queue.
fn threads(def: &DomainDef, disk: &DiskDef) -> Result<()> {
    let mapped = &disk.driver.iothreads;
    if mapped.is_empty() {
        return Ok(());
    }
    let queues = disk.driver.queues.unwrap_or(0);
    if queues == 0 && mapped.iter().any(|t| !t.queues.is_empty()) {
        return Err(unsupported("'queue' count must be configured for explicit iothread to queue mapping"));
    }
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let explicit = !mapped[0].queues.is_empty();
    for thread in mapped {
        if !ids.insert(thread.id) {
            return Err(unsupported(format!("duplicate mapping for iothread '{}'", thread.id)));
        }
        if !def.iothreads.iter().any(|t| t.id == thread.id) {
            return Err(unsupported(format!("iothread '{}' not defined in iothreadid", thread.id)));
        }
        if thread.queues.is_empty() == explicit {
            return Err(unsupported("iothread to queue mapping must be provided for all iothreads or for none"));
        }
        for queue in &thread.queues {
            if *queue >= queues {
                return Err(unsupported(format!("iothread queue '{queue}' mapping out of range")));
            }
            if !taken.insert(*queue) {
                return Err(unsupported(format!("iothread queue '{queue}' is already assigned")));
            }
        }
    }
    match (0..queues).find(|q| explicit && !taken.contains(q)) {
        Some(queue) => Err(unsupported(format!("missing iothread mapping for queue '{queue}'"))),
        None => Ok(()),
    }
}

fn address(def: &DomainDef, disk: &DiskDef) -> Result<()> {
    let Some(Address::Drive(at)) = &disk.info.address else { return Ok(()) };
    match disk.bus {
        Some(DiskBus::Scsi) => {
            if at.bus != 0 {
                return Err(internal("SCSI controller only supports 1 bus"));
            }
            let controller =
                def.devices.controllers.iter().find(|c| c.kind == ControllerKind::Scsi && c.number() == at.controller);
            match controller.and_then(|c| c.model) {
                Some(ControllerModel::LsiLogic) if at.target != 0 => {
                    Err(unsupported("target must be 0 for controller model 'lsilogic'"))
                }
                Some(ControllerModel::LsiLogic) if at.unit > LSI_TARGET_MAX => {
                    Err(unsupported("This QEMU doesn't support target greater than 7"))
                }
                _ => Ok(()),
            }
        }
        Some(DiskBus::Ide) if at.controller != 0 => Err(internal("Only 1 IDE controller is supported")),
        Some(DiskBus::Ide) if at.target != 0 => Err(unsupported("target must be 0 for ide controller")),
        Some(DiskBus::Fdc) if at.controller != 0 => Err(internal("Only 1 fdc controller is supported")),
        Some(DiskBus::Fdc) if at.bus != 0 => Err(internal("Only 1 fdc bus is supported")),
        Some(DiskBus::Fdc) if at.target != 0 => Err(unsupported("target must be 0 for controller fdc")),
        Some(DiskBus::Sata) if at.bus != 0 => Err(unsupported("bus must be 0 for sata controller")),
        Some(DiskBus::Sata) if at.target != 0 => Err(unsupported("target must be 0 for sata controller")),
        _ => Ok(()),
    }
}

/// An image and those below it.
fn image(disk: &DiskDef, source: &StorageSource) -> Result<()> {
    if source.kind == SourceKind::Dir {
        if source.format != Some(ImageFormat::Fat) {
            return Err(unsupported("storage type 'dir' requires use of storage format 'fat'"));
        }
        if !disk.readonly && !disk.is_removable() {
            return Err(unsupported("virtual FAT storage can't be accessed in read-write mode"));
        }
    }
    if source.metadata_cache_bytes.is_some_and(|b| b > 0) && source.format != Some(ImageFormat::Qcow2) {
        return Err(unsupported("metadata cache max size control is supported only with qcow2 images"));
    }
    if source.protocol == Some(Protocol::Nfs) {
        match source.hosts.as_slice() {
            [host] if host.transport != Transport::Tcp => return Err(unsupported("'nfs' host must use TCP protocol")),
            [_] => {}
            _ => return Err(unsupported("'nfs' protocol requires the usage of exactly one host")),
        }
    }
    if source.tls_hostname.is_some() && source.protocol != Some(Protocol::Nbd) {
        return Err(unsupported("'tlsHostname' field is supported only with NBD disks"));
    }
    source.encryption.as_ref().map_or(Ok(()), |e| encryption(source, e))?;
    source.backing.as_ref().and_then(Option::as_deref).map_or(Ok(()), |below| image(disk, below))
}

fn encryption(source: &StorageSource, encryption: &Encryption) -> Result<()> {
    let format = encryption.format;
    if encryption.engine == Some(EncryptionEngine::Librbd) {
        if source.protocol != Some(Protocol::Rbd) {
            return Err(unsupported("librbd encryption is supported only with RBD backed disks"));
        }
        return Ok(());
    }
    match format {
        EncryptionFormat::Qcow | EncryptionFormat::Default => {
            return Err(unsupported("old qcow/qcow2 encryption is not supported"));
        }
        EncryptionFormat::Luks2 | EncryptionFormat::LuksAny => {
            return Err(unsupported(format!("'{format}' is currently not supported by the qemu encryption engine")));
        }
        EncryptionFormat::Luks => {}
    }
    if encryption.secrets.len() > 1 {
        return Err(unsupported("qemu encryption engine expects only a single secret"));
    }
    Ok(())
}
