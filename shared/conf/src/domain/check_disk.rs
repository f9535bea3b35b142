//! What one disk, or the disks together, may not say, whoever runs the guest.

use error::{Code, Domain, Error, Result};
use xml::Vocabulary;

use super::DomainDef;
use super::device::disk::{Cache, DiskBus, DiskDef, DiskDevice, DiskModel, SnapshotMode};
use super::device::info::{Address, VirtioOptions};
use super::device::source::{ImageFormat, Protocol, SourceKind, StorageSource};
use super::fault::{unsupported, xml_error};

impl VirtioOptions {
    /// Refuses the options on a device that is not virtio.
    ///
    /// # Errors
    /// `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn must_be_absent(&self) -> Result<()> {
        let options =
            [("iommu", self.iommu), ("ats", self.ats), ("packed", self.packed), ("page_per_vq", self.page_per_vq)];
        match options.iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(unsupported(format!("{name} driver option is only supported for virtio devices"))),
            None => Ok(()),
        }
    }
}

impl DomainDef {
    /// Refuses disks that no driver can have, in libvirt's order.
    pub(super) fn check_disks(&self) -> Result<()> {
        self.devices.disks.iter().try_for_each(|disk| {
            check(disk)?;
            self.check_throttle_filters(disk)
        })?;
        self.check_drive_addresses()
    }

    fn check_throttle_filters(&self, disk: &DiskDef) -> Result<()> {
        for (at, filter) in disk.throttle_filters.iter().enumerate() {
            let name = &filter.group;
            if disk.throttle_filters[..at].iter().any(|f| f.group == *name) {
                return Err(xml_error(format!("duplicate filter name '{name}' found")));
            }
        }
        let known = |name: &String| self.throttle_groups.iter().any(|g| g.group_name.as_ref() == Some(name));
        match disk.throttle_filters.iter().find(|f| !known(&f.group)) {
            Some(filter) => Err(xml_error(format!("throttle group '{}' not found", filter.group))),
            None => Ok(()),
        }
    }

    fn check_drive_addresses(&self) -> Result<()> {
        let disks = &self.devices.disks;
        for (at, disk) in disks.iter().enumerate() {
            let Some(Address::Drive(drive)) = &disk.info.address else { continue };
            let twin = disks[..at].iter().any(|d| d.bus == disk.bus && d.info.address == disk.info.address);
            if twin {
                return Err(unsupported(format!(
                    "Found duplicate drive address for disk with target name '{}' controller='{}' bus='{}' target='{}' unit='{}'",
                    disk.dst, drive.controller, drive.bus, drive.target, drive.unit
                )));
            }
        }
        Ok(())
    }
}

fn check(disk: &DiskDef) -> Result<()> {
    if disk.source.is_empty() && matches!(disk.device, DiskDevice::Disk | DiskDevice::Lun) {
        return Err(Error::new(Domain::Domain, Code::NoSource, disk.dst.clone()));
    }
    if disk.driver.iothread.is_some() && !disk.driver.iothreads.is_empty() {
        return Err(xml_error("disk driver 'iothread' attribute can't be used together with 'iothreads' subelement"));
    }
    check_bus(disk)?;
    if disk.source.kind == SourceKind::VhostUser {
        check_vhost_user(disk)?;
    }
    if disk.device == DiskDevice::Lun && disk.source.format.is_some_and(|f| f != ImageFormat::Raw) {
        return Err(unsupported("disk device 'lun' must use 'raw' format"));
    }
    if disk.source.reservations.is_some() && disk.device != DiskDevice::Lun {
        return Err(unsupported("<reservations/> allowed only for lun devices"));
    }
    if disk.tray.is_some() && !disk.is_removable() {
        return Err(unsupported("tray is only valid for cdrom and floppy"));
    }
    if disk.driver.discard_no_unref == Some(true) && disk.source.format != Some(ImageFormat::Qcow2) {
        return Err(unsupported("'discard_no_unref' only works with qcow2 disk format"));
    }
    check_chain(&disk.source)
}

fn check_bus(disk: &DiskDef) -> Result<()> {
    if disk.bus == Some(DiskBus::Virtio) {
        return Ok(());
    }
    if disk.driver.queue_size.is_some() {
        return Err(unsupported("queue_size attribute in disk driver is only supported for virtio bus"));
    }
    disk.driver.virtio.must_be_absent()?;
    if let Some(model @ (DiskModel::Virtio | DiskModel::Transitional | DiskModel::NonTransitional)) = disk.model {
        return Err(unsupported(format!(
            "disk model '{model}' not supported for bus '{}'",
            disk.bus.map_or("", Vocabulary::word)
        )));
    }
    Ok(())
}

fn check_vhost_user(disk: &DiskDef) -> Result<()> {
    if disk.bus != Some(DiskBus::Virtio) {
        return Err(unsupported("vhostuser disk supports only virtio bus"));
    }
    if disk.snapshot.is_some_and(|s| s != SnapshotMode::No) {
        return Err(unsupported("only snapshot=no is supported with vhostuser disk"));
    }
    let driver = &disk.driver;
    let said = [
        (disk.shareable, "shareable"),
        (disk.readonly, "readonly"),
        (disk.transient, "transient"),
        (disk.serial.is_some(), "serial"),
        (driver.cache.is_some_and(|c| c != Cache::Default), "cache"),
        (driver.error_policy.is_some(), "error_policy"),
        (driver.rerror_policy.is_some(), "rerror_policy"),
        (driver.io.is_some(), "io"),
        (driver.ioeventfd.is_some(), "ioeventfd"),
        (driver.copy_on_read.is_some(), "copy_on_read"),
        (driver.discard.is_some(), "discard"),
        (driver.iothread.is_some(), "iothread"),
        (driver.detect_zeroes.is_some(), "detect_zeroes"),
    ];
    match said.iter().find(|(said, _)| *said) {
        Some((_, name)) => Err(unsupported(format!("{name} is not supported with vhostuser disk"))),
        None => Ok(()),
    }
}

/// An image and those below it.
fn check_chain(source: &StorageSource) -> Result<()> {
    if source.kind == SourceKind::Network {
        check_auth(source)?;
        check_cookies(source)?;
    }
    if let Some(data) = &source.data_store {
        if source.format != Some(ImageFormat::Qcow2) {
            return Err(unsupported("<dataStore> feature available only with qcow2 images"));
        }
        if data.format != Some(ImageFormat::Raw) {
            return Err(unsupported("only 'raw' images supported as <dataStore>"));
        }
    }
    source.backing.as_ref().and_then(Option::as_deref).map_or(Ok(()), check_chain)
}

/// The kind of secret follows from the protocol.
fn check_auth(source: &StorageSource) -> Result<()> {
    let Some(auth) = &source.auth else { return Ok(()) };
    let word = auth.secret_type.as_deref();
    let wanted = match source.protocol {
        Some(Protocol::Iscsi) => "iscsi",
        Some(Protocol::Rbd) => "ceph",
        _ => return Ok(()),
    };
    match word {
        Some(word) if word != wanted && matches!(word, "iscsi" | "ceph" | "volume" | "tls" | "vtpm") => {
            Err(unsupported(format!("invalid secret type '{word}'")))
        }
        _ => Ok(()),
    }
}

/// Cookies are tokens of RFC 6265.
fn check_cookies(source: &StorageSource) -> Result<()> {
    let storage = |text: String| Error::new(Domain::Storage, Code::XmlError, text);
    for (at, (name, value)) in source.cookies.iter().enumerate() {
        if name.is_empty() {
            return Err(xml_error("missing cookie name"));
        }
        if value.is_empty() {
            return Err(xml_error(format!("missing value for cookie '{name}'")));
        }
        if source.cookies[..at].iter().any(|(n, _)| n == name) {
            return Err(storage(format!("duplicate cookie '{name}'")));
        }
        let separators = "()<>@,;:\\\"/[]?={} \t";
        if name.chars().any(|c| !c.is_ascii_graphic() || separators.contains(c)) {
            return Err(storage(format!("cookie name '{name}' contains invalid characters")));
        }
        let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        if inner.chars().any(|c| !c.is_ascii_graphic() || "\",;\\".contains(c)) {
            return Err(storage(format!("value of cookie '{name}' contains invalid characters")));
        }
    }
    Ok(())
}
