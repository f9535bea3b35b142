//! Disks: block nodes, then the device.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::disk::{Cache, DiskBus, DiskDef, DiskDevice, DiskModel, ErrorPolicy, GeometryTranslation};
use conf::domain::device::info::Address;
use conf::domain::device::source::{Protocol, SecretRef, SourceKind, StorageSource};
use error::{Code, Domain, Error, Result};
use serde_json::Value;

use super::{address, alias, chardev, controller, unsupported, virtio};
use crate::address::{alias as names, machine};
use crate::command::block::{Access, attach_nodes, legacy_drive, nodes_of};
use crate::command::plan::Builder;
use crate::command::prepare::last_number;
use crate::command::props::Props;

/// All disks; the floppy controller's boot order comes first.
pub fn build(b: &mut Builder) -> Result<()> {
    floppy_controller(b);
    let def = b.def;
    for (number, disk) in def.devices.disks.iter().enumerate() {
        // Its overlay is made while the guest is paused; the disk is plugged then.
        if disk.transient && disk.transient_share_backing == Some(true) {
            continue;
        }
        if disk.bus == Some(DiskBus::Sd) {
            let index = names::disk_index(&disk.dst).unwrap_or(0);
            b.option("-drive", format!("{}if=sd,index={index}", legacy_drive(&disk.source)?));
            continue;
        }
        if disk.source.kind == SourceKind::VhostUser {
            vhost_user(b, disk)?;
        } else {
            credentials(b, &disk.source)?;
            for node in nodes(disk)? {
                b.json("-blockdev", &node);
            }
        }
        let bootindex = b.boot.disk(number);
        b.device(props(def, disk, bootindex)?);
    }
    Ok(())
}

fn no_secret(reference: Option<&SecretRef>, id: &str) -> Error {
    let what = match reference {
        Some(SecretRef::Uuid(uuid)) => {
            format!("no secret with matching uuid '{}'", uuid::Uuid::from_bytes(*uuid).hyphenated())
        }
        Some(SecretRef::Usage(usage)) => format!("no secret with matching usage '{usage}'"),
        None => format!("no secret '{id}'"),
    };
    Error::new(Domain::Secret, Code::NoSecret, what)
}

/// TLS credentials and secrets that the chain's nodes refer to.
pub(in crate::command) fn credentials(b: &mut Builder, source: &StorageSource) -> Result<()> {
    if let Some(Some(backing)) = &source.backing {
        credentials(b, backing)?;
    }
    if let Some(group) = &source.fd_group {
        let detail = format!("file descriptor group '{group}' was not associated with the domain");
        return Err(Error::new(Domain::Qemu, Code::InvalidArg, detail));
    }
    let prefix = format!("libvirt-{}", source.index);
    if let Some(helper) = source.reservations.as_ref().filter(|r| r.managed != Some(true)) {
        let object = Props::object("pr-manager-helper", format!("pr-helper-{prefix}-storage"))
            .with("path", helper.path.clone().unwrap_or_default());
        b.object(&object);
    }
    if source.tls == Some(true) {
        let object = Props::object("tls-creds-x509", format!("obj{prefix}-storage_tls0"))
            .with("dir", "/etc/pki/qemu")
            .with("endpoint", "client")
            .with("verify-peer", true);
        b.object(&object);
    }
    let wanted = [
        (
            source.auth.is_some() && !matches!(source.protocol, Some(Protocol::Ssh)),
            format!("{prefix}-storage-auth-secret0"),
            source.auth.as_ref().map(|a| a.secret.clone()),
        ),
        (
            source.encryption.is_some(),
            format!("{prefix}-format-encryption-secret0"),
            source.encryption.as_ref().and_then(|e| e.secrets.first().cloned()),
        ),
        (!source.cookies.is_empty() && !b.inputs.shown_only, format!("{prefix}-storage-httpcookie-secret0"), None),
    ];
    for (_, id, reference) in wanted.into_iter().filter(|(needed, _, _)| *needed) {
        match b.inputs.secrets.get(&id) {
            Some(object) => b.object(object),
            None => return Err(no_secret(reference.as_ref(), &id)),
        }
    }
    Ok(())
}

/// Block nodes of a disk, the deepest first, its filters last.
pub fn nodes(disk: &DiskDef) -> Result<Vec<Props>> {
    if disk.source.is_empty() {
        return Ok(Vec::new());
    }
    let mut nodes = attach_nodes(&disk.source, Access::of(disk))?;
    let mut top = nodes_of(&disk.source).top;
    if disk.driver.copy_on_read == Some(true) {
        let name = format!("libvirt-CoR-{}", disk.dst);
        nodes.push(
            Props::driver("copy-on-read").with("node-name", name.clone()).with("file", top).with("discard", "unmap"),
        );
        top = name;
    }
    for (filter, number) in disk.throttle_filters.iter().zip(last_number(&disk.source) + 1..) {
        let name = format!("libvirt-{number}-filter");
        let group = format!("throttle-{}", filter.group);
        nodes.push(
            Props::driver("throttle").with("node-name", name.clone()).with("throttle-group", group).with("file", top),
        );
        top = name;
    }
    Ok(nodes)
}

/// The node that the device is connected to.
pub fn top_node(disk: &DiskDef) -> Option<String> {
    let nodes = nodes(disk).ok()?;
    nodes.last()?.get("node-name").and_then(Value::as_str).map(str::to_owned)
}

fn vhost_user(b: &mut Builder, disk: &DiskDef) -> Result<()> {
    use conf::domain::device::chardev::{Chardev, ChardevSource};
    let backend = Chardev::Unix {
        path: disk.source.path.clone(),
        listen: false,
        reconnect: disk.source.reconnect.unwrap_or_default(),
    };
    let source = ChardevSource { backend, log: None, labels: Vec::new() };
    chardev::build_as(b, &source, &alias(&disk.info), &format!("chr-vu-{}", alias(&disk.info)))
}

/// Whether the machine brings a floppy controller.
fn has_floppy_controller(def: &DomainDef) -> bool {
    let name = def.os.machine.as_deref().unwrap_or("");
    // q35 lost it with version 2.4.
    let old_q35 = machine::is_q35(def)
        && ["pc-q35-1.", "pc-q35-2.0", "pc-q35-2.1", "pc-q35-2.2", "pc-q35-2.3"].iter().any(|p| name.starts_with(p));
    !machine::is_q35(def) || old_q35
}

fn floppy_controller(b: &mut Builder) {
    let mut properties = Vec::new();
    let mut any = false;
    for (number, disk) in b.def.devices.disks.iter().enumerate().filter(|(_, d)| d.bus == Some(DiskBus::Fdc)) {
        any = true;
        let unit = if let Some(Address::Drive(drive)) = &disk.info.address { drive.unit } else { 0 };
        if let Some(index) = b.boot.disk(number) {
            properties.push((format!("bootindex{}", if unit == 0 { 'A' } else { 'B' }), index));
        }
    }
    if !any {
        return;
    }
    if has_floppy_controller(b.def) {
        for (name, index) in properties {
            b.option("-global", format!("isa-fdc.{name}={index}"));
        }
    } else {
        let props = properties.into_iter().fold(Props::driver("isa-fdc"), |p, (name, index)| p.with(&name, index));
        b.device(props);
    }
}

/// Properties of a disk's device.
pub fn props(def: &DomainDef, disk: &DiskDef, bootindex: Option<u32>) -> Result<Props> {
    let begin = match disk.bus {
        Some(DiskBus::Ide | DiskBus::Sata) => ide(def, disk)?,
        Some(DiskBus::Scsi) => scsi(def, disk)?,
        Some(DiskBus::Virtio) => address::place(virtio_blk(disk), def, &disk.info),
        Some(DiskBus::Usb) => {
            let driver = if disk.model == Some(DiskModel::UsbBot) { "usb-bot" } else { "usb-storage" };
            address::place(Props::driver(driver), def, &disk.info)
        }
        Some(DiskBus::Fdc) => {
            let unit = if let Some(Address::Drive(drive)) = &disk.info.address { drive.unit } else { 0 };
            Props::driver("floppy").with("unit", unit)
        }
        other => {
            return Err(unsupported(format!(
                "unsupported disk bus '{}'",
                other.map_or(String::new(), |b| b.to_string())
            )));
        }
    };
    let bootindex = bootindex.filter(|_| disk.bus != Some(DiskBus::Fdc));
    Ok(front_end(begin, disk, bootindex))
}

fn front_end(begin: Props, disk: &DiskDef, bootindex: Option<u32>) -> Props {
    let vhost_user = disk.source.kind == SourceKind::VhostUser;
    let removable = match disk.bus {
        Some(DiskBus::Usb) => Some(disk.removable.unwrap_or(false)),
        Some(DiskBus::Scsi) => disk.removable,
        _ => None,
    };
    let floppy = disk.bus == Some(DiskBus::Fdc);
    let props = begin
        .maybe("share-rw", disk.shareable.then_some(true))
        .maybe("drive", if vhost_user { None } else { top_node(disk) })
        .maybe("chardev", vhost_user.then(|| format!("chr-vu-{}", alias(&disk.info))))
        .with("id", alias(&disk.info))
        .maybe("bootindex", bootindex)
        .maybe("loadparm", disk.info.loadparm.clone().filter(|_| bootindex.is_some()))
        .nonzero("logical_block_size", disk.blockio.logical.unwrap_or(0))
        .nonzero("physical_block_size", disk.blockio.physical.unwrap_or(0))
        .maybe("discard_granularity", disk.blockio.discard_granularity)
        .maybe("wwn", disk.wwn.as_ref().and_then(|w| u64::from_str_radix(w.trim_start_matches("0x"), 16).ok()))
        .nonzero("rotation_rate", disk.rotation_rate.unwrap_or(0))
        .maybe("vendor", disk.vendor.clone())
        .maybe("product", disk.product.clone())
        .maybe("removable", removable)
        .maybe("write-cache", write_cache(disk).filter(|_| !floppy))
        .nonzero("cyls", disk.geometry.cylinders)
        .nonzero("heads", disk.geometry.heads)
        .nonzero("secs", disk.geometry.sectors)
        .maybe("bios-chs-trans", disk.geometry.translation.map(|t: GeometryTranslation| t.to_string()))
        .maybe("serial", disk.serial.clone());
    let (write, read) = policies(disk);
    let props = props.maybe("werror", write).maybe("rerror", read);
    let intervals: Vec<Value> = disk.driver.statistics.iter().map(|s| Value::from(*s)).collect();
    props.maybe("stats-intervals", (!intervals.is_empty()).then_some(intervals)).maybe("dpofua", disk.dpofua)
}

fn write_cache(disk: &DiskDef) -> Option<&'static str> {
    if disk.device == DiskDevice::Lun {
        return None;
    }
    match disk.driver.cache? {
        Cache::Default => None,
        Cache::None | Cache::Writeback | Cache::Unsafe => Some("on"),
        Cache::Writethrough | Cache::Directsync => Some("off"),
    }
}

fn policies(disk: &DiskDef) -> (Option<String>, Option<String>) {
    let word = |p: Option<ErrorPolicy>| match p? {
        ErrorPolicy::Default => None,
        ErrorPolicy::Enospace => Some("enospc".to_owned()),
        other => Some(other.to_string()),
    };
    let write = word(disk.driver.error_policy);
    let read = match disk.driver.rerror_policy {
        Some(policy) => word(Some(policy)),
        // What stops on writes stops on reads too, but for a full disk.
        None => write.clone().filter(|w| w != "enospc"),
    };
    (write, read)
}

fn drive(disk: &DiskDef) -> Result<conf::domain::device::info::DriveAddress> {
    match &disk.info.address {
        Some(Address::Drive(drive)) => Ok(*drive),
        other => {
            let kind = other.as_ref().map_or("none".into(), |a| a.kind().to_string());
            Err(unsupported(format!("unexpected address type '{kind}' for disk '{}'", disk.dst)))
        }
    }
}

fn ide(def: &DomainDef, disk: &DiskDef) -> Result<Props> {
    let at = drive(disk)?;
    let driver = if disk.device == DiskDevice::Cdrom { "ide-cd" } else { "ide-hd" };
    let kind = if disk.bus == Some(DiskBus::Ide) { ControllerKind::Ide } else { ControllerKind::Sata };
    let controller = address::controller_alias(def, kind, at.controller);
    let begin = Props::driver(driver);
    Ok(if kind == ControllerKind::Ide {
        begin.with("bus", format!("{controller}.{}", at.bus)).with("unit", at.unit)
    } else {
        begin.with("bus", format!("{controller}.{}", at.unit))
    })
}

fn scsi(def: &DomainDef, disk: &DiskDef) -> Result<Props> {
    let at = drive(disk)?;
    let driver = match disk.device {
        DiskDevice::Lun => "scsi-block",
        DiskDevice::Cdrom => "scsi-cd",
        _ => "scsi-hd",
    };
    let model = def
        .devices
        .controllers
        .iter()
        .find(|c| c.kind == ControllerKind::Scsi && c.number() == at.controller)
        .and_then(|c| c.model);
    let controller = address::controller_alias(def, ControllerKind::Scsi, at.controller);
    let begin = Props::driver(driver)
        .with("bus", format!("{controller}.{}", if model == Some(ControllerModel::LsiLogic) { at.bus } else { 0 }));
    let begin = if matches!(model, Some(ControllerModel::LsiLogic)) {
        begin.with("scsi-id", at.unit)
    } else {
        begin.with("channel", at.bus).with("scsi-id", at.target).with("lun", at.unit)
    };
    // What the guest reads as the device's identification (VPD page 0x83), kept from the days of -drive.
    let identity = match &disk.serial {
        Some(serial) => serial.chars().take(20).collect(),
        None => format!("drive-{}", alias(&disk.info)),
    };
    Ok(begin.maybe("device_id", (disk.device != DiskDevice::Lun).then_some(identity)))
}

fn virtio_blk(disk: &DiskDef) -> Props {
    let base = if disk.source.kind == SourceKind::VhostUser { "vhost-user-blk" } else { "virtio-blk" };
    virtio::begin(base, &disk.info, disk.virtio_model(), &disk.driver.virtio)
        .maybe("iothread", disk.driver.iothread.map(|n| format!("iothread{n}")))
        .maybe("ioeventfd", disk.driver.ioeventfd)
        .maybe("event_idx", disk.driver.event_idx)
        .nonzero("num-queues", disk.driver.queues.unwrap_or(0))
        .nonzero("queue-size", disk.driver.queue_size.unwrap_or(0))
        .maybe("iothread-vq-mapping", controller::mapping(&disk.driver.iothreads))
}
