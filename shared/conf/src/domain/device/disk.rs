//! Disks, CD-ROMs, floppies and LUNs.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer, invalid_value};

use super::disk_driver::parse_mirror;
use super::encryption::Encryption;
use super::info::Allow;
use super::info::{DeviceInfo, VirtioModel, VirtioOptions};
use super::iotune::IoTune;
use super::source::StorageSource;
use super::source::{Auth, ImageFormat, SourceKind, parse_metadata_cache};
use super::throttle::ThrottleFilter;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{unsupported, xml_error};

text_enum! {
    /// What the guest sees.
    pub enum DiskDevice { Disk = "disk", Cdrom = "cdrom", Floppy = "floppy", Lun = "lun" }
}
text_enum! {
    /// Bus of the guest.
    pub enum DiskBus {
        Ide = "ide", Fdc = "fdc", Scsi = "scsi", Virtio = "virtio", Xen = "xen", Usb = "usb", Uml = "uml", Sata = "sata", Sd = "sd",
        Nvme = "nvme",
    }
}
text_enum! {
    /// Host page cache mode.
    pub enum Cache {
        Default = "default", None = "none", Writethrough = "writethrough", Writeback = "writeback", Directsync = "directsync", Unsafe = "unsafe",
    }
}
text_enum! {
    /// What happens on an I/O error.
    pub enum ErrorPolicy { Default = "default", Stop = "stop", Report = "report", Ignore = "ignore", Enospace = "enospace" }
}
text_enum! {
    /// Asynchronous I/O method.
    pub enum DiskIo { Default = "default", Native = "native", Threads = "threads", IoUring = "io_uring" }
}
text_enum! {
    /// Discard requests.
    pub enum Discard { Default = "default", Unmap = "unmap", Ignore = "ignore" }
}
text_enum! {
    /// Detection of zero writes.
    pub enum DetectZeroes { Default = "default", Off = "off", On = "on", Unmap = "unmap" }
}
text_enum! {
    /// What to do when the medium is missing at start.
    pub enum StartupPolicy { Default = "default", Mandatory = "mandatory", Requisite = "requisite", Optional = "optional" }
}
text_enum! {
    /// Unprivileged SCSI commands.
    pub enum Sgio { Default = "default", Filtered = "filtered", Unfiltered = "unfiltered" }
}
text_enum! {
    /// Snapshot mode.
    pub enum SnapshotMode { No = "no", Internal = "internal", External = "external", Manual = "manual" }
}
text_enum! {
    /// Model of the disk device.
    pub enum DiskModel {
        Virtio = "virtio", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional",
        UsbStorage = "usb-storage", UsbBot = "usb-bot",
    }
}
text_enum! {
    /// State of a drive's tray.
    pub enum Tray { Closed = "closed", Open = "open" }
}
text_enum! {
    /// CHS translation.
    pub enum GeometryTranslation { None = "none", Auto = "auto", Lba = "lba" }
}
text_enum! {
    /// Kind of block job behind a mirror.
    pub enum MirrorJob { Copy = "copy", ActiveCommit = "active-commit" }
}
text_enum! {
    /// State of a mirror.
    pub enum MirrorState { None = "none", Ready = "yes", Abort = "abort", Pivot = "pivot" }
}

/// One iothread of `<driver><iothreads>` with the queues it serves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IothreadMapping {
    pub id: u32,
    pub queues: Vec<u32>,
}

/// `<driver>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskDriver {
    pub name: Option<String>,
    pub cache: Option<Cache>,
    pub error_policy: Option<ErrorPolicy>,
    pub rerror_policy: Option<ErrorPolicy>,
    pub io: Option<DiskIo>,
    pub ioeventfd: Option<bool>,
    pub event_idx: Option<bool>,
    pub copy_on_read: Option<bool>,
    pub discard: Option<Discard>,
    pub discard_no_unref: Option<bool>,
    pub detect_zeroes: Option<DetectZeroes>,
    pub iothread: Option<u32>,
    pub iothreads: Vec<IothreadMapping>,
    pub queues: Option<u32>,
    pub queue_size: Option<u32>,
    pub virtio: VirtioOptions,
    /// `<statistics><statistic interval=>` in seconds.
    pub statistics: Vec<u32>,
}

/// `<geometry>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Geometry {
    pub cylinders: u32,
    pub heads: u32,
    pub sectors: u32,
    pub translation: Option<GeometryTranslation>,
}

/// `<blockio>` in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlockIo {
    pub logical: Option<u32>,
    pub physical: Option<u32>,
    pub discard_granularity: Option<u32>,
}

/// `<mirror>`: the destination of a running block job.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub job: MirrorJob,
    pub state: Option<MirrorState>,
    pub source: StorageSource,
}

/// `<disk>`
#[derive(Clone, Debug, PartialEq)]
pub struct DiskDef {
    pub device: DiskDevice,
    pub bus: Option<DiskBus>,
    /// Target name: `vda`.
    pub dst: String,
    pub model: Option<DiskModel>,
    pub source: StorageSource,
    pub driver: DiskDriver,
    pub rawio: Option<bool>,
    pub sgio: Option<Sgio>,
    pub snapshot: Option<SnapshotMode>,
    pub startup_policy: Option<StartupPolicy>,
    pub readonly: bool,
    pub shareable: bool,
    pub transient: bool,
    pub transient_share_backing: Option<bool>,
    pub tray: Option<Tray>,
    pub removable: Option<bool>,
    pub rotation_rate: Option<u32>,
    pub dpofua: Option<bool>,
    pub geometry: Geometry,
    pub blockio: BlockIo,
    pub iotune: IoTune,
    pub throttle_filters: Vec<ThrottleFilter>,
    pub mirror: Option<Mirror>,
    pub backend_domain: Option<String>,
    pub serial: Option<String>,
    pub wwn: Option<String>,
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub info: DeviceInfo,
}

impl DiskDef {
    /// The virtio flavour its model names.
    pub fn virtio_model(&self) -> Option<VirtioModel> {
        match self.model? {
            DiskModel::Virtio => Some(VirtioModel::Virtio),
            DiskModel::Transitional => Some(VirtioModel::Transitional),
            DiskModel::NonTransitional => Some(VirtioModel::NonTransitional),
            _ => None,
        }
    }

    /// Whether the medium can be changed.
    pub fn is_removable(&self) -> bool {
        matches!(self.device, DiskDevice::Cdrom | DiskDevice::Floppy)
    }
}

impl Geometry {
    fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name| node.u32(name).and_then(|n| n.ok_or_else(|| xml::missing_attribute(node, name)));
        Ok(Self {
            cylinders: number("cyls")?,
            heads: number("heads")?,
            sectors: number("secs")?,
            translation: node.word("trans")?,
        })
    }
}

impl DiskDef {
    /// Reads `<disk>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let kind = node.word("type")?.unwrap_or(SourceKind::File);
        let device = node.word("device")?.unwrap_or(DiskDevice::Disk);
        let source_node = node.child("source");
        let mut source = StorageSource::parse(kind, source_node)?;
        source.backing = StorageSource::parse_backing(node)?;
        let target = node.child("target");
        let dst = target.and_then(|t| t.string("dev"));
        let mut driver = DiskDriver::default();
        if let Some(element) = node.child("driver") {
            driver = DiskDriver::parse(element)?;
            if let Some(word) = element.attr("type") {
                // aio is what xen's tap driver calls raw
                let format = if word == "aio" { Some(ImageFormat::Raw) } else { ImageFormat::from_word(word) };
                source.format = Some(
                    format
                        .filter(|f| *f != ImageFormat::None)
                        .ok_or_else(|| unsupported(format!("unknown driver format value '{word}'")))?,
                );
            }
            source.metadata_cache_bytes = parse_metadata_cache(element)?;
        }
        if let Some(auth) = node.child("auth") {
            if source.auth.is_some() {
                return Err(unsupported("an <auth> definition already found for disk source"));
            }
            source.auth = Some(Auth::parse(auth)?);
            source.auth_at_disk = true;
        }
        if let Some(encryption) = node.child("encryption") {
            if source.encryption.is_some() {
                return Err(unsupported("an <encryption> definition already found for disk source"));
            }
            source.encryption = Some(Encryption::parse(encryption)?);
            source.encryption_at_disk = true;
        }
        let iotune = node.child("iotune").map(IoTune::parse).transpose()?.unwrap_or_default();
        let transient = node.child("transient");
        let allow = Allow { boot: true, rom: false };
        let text = |name: &str| node.child(name).map(|n| n.text());
        let bus: Option<DiskBus> = target.map(|t| t.word("bus")).transpose()?.flatten();
        let model: Option<DiskModel> = node.word("model")?;
        // words newer than the API level that we speak
        if let (Some(t), Some(DiskBus::Nvme)) = (target, bus) {
            return Err(invalid_value(t, "bus", "nvme", ""));
        }
        if let Some(new @ (DiskModel::UsbStorage | DiskModel::UsbBot)) = model {
            return Err(invalid_value(node, "model", new.word(), ""));
        }
        let mut disk = Self {
            device,
            bus,
            dst: dst.unwrap_or_default(),
            model,
            driver,
            rawio: node.yes_no("rawio")?,
            sgio: node.word("sgio")?.filter(|s| *s != Sgio::Default),
            snapshot: node.word("snapshot")?,
            startup_policy: source_node
                .map(|s| s.word("startupPolicy"))
                .transpose()?
                .flatten()
                .filter(|p| *p != StartupPolicy::Default),
            readonly: node.child("readonly").is_some(),
            shareable: node.child("shareable").is_some(),
            transient: transient.is_some(),
            transient_share_backing: transient.map(|t| t.yes_no("shareBacking")).transpose()?.flatten(),
            tray: target.map(|t| t.word("tray")).transpose()?.flatten(),
            removable: target.map(|t| t.on_off("removable")).transpose()?.flatten(),
            rotation_rate: target.map(|t| t.u32("rotation_rate")).transpose()?.flatten(),
            dpofua: None,
            geometry: node.child("geometry").map(Geometry::parse).transpose()?.unwrap_or_default(),
            blockio: match node.child("blockio") {
                None => BlockIo::default(),
                Some(b) => BlockIo {
                    logical: b.u32("logical_block_size")?,
                    physical: b.u32("physical_block_size")?,
                    discard_granularity: b.u32("discard_granularity")?,
                },
            },
            iotune,
            throttle_filters: match node.child("throttlefilters") {
                None => Vec::new(),
                Some(list) => list
                    .children("throttlefilter")
                    .map(|f| Ok(ThrottleFilter { group: f.required("group")?.to_owned() }))
                    .collect::<Result<_>>()?,
            },
            mirror: if ctx.live { node.child("mirror").map(parse_mirror).transpose()? } else { None },
            backend_domain: node.child("backenddomain").and_then(|b| b.string("name")),
            serial: text("serial"),
            wwn: text("wwn"),
            vendor: text("vendor"),
            product: text("product"),
            info: DeviceInfo::parse(node, ctx, allow)?,
            source,
        };
        disk.check_strings()?;
        disk.settle();
        if disk.dst.is_empty() {
            let path = disk.source.volume.map(|v| v.volume).or(disk.source.path).unwrap_or_default();
            return Err(error::Error::new(error::Domain::Domain, error::Code::NoTarget, path));
        }
        Ok(disk)
    }

    fn check_strings(&self) -> Result<()> {
        if let Some(wwn) = &self.wwn
            && !(wwn.len() == 16 && wwn.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(error::Error::new(
                error::Domain::None,
                error::Code::InternalError,
                format!("Malformed wwn: {wwn}"),
            ));
        }
        for (name, text, max) in [("vendor", &self.vendor, 8), ("product", &self.product, 16)] {
            if let Some(text) = text {
                if text.len() > max {
                    return Err(unsupported(format!("disk {name} is more than {max} characters")));
                }
                if !text.chars().all(|c| (' '..='~').contains(&c)) {
                    return Err(xml_error(format!("disk {name} is not printable string")));
                }
            }
        }
        Ok(())
    }

    /// What follows from the element itself.
    fn settle(&mut self) {
        // accepted on SCSI, where QEMU has no such property
        if self.bus == Some(DiskBus::Scsi) {
            self.removable = None;
        }
        // an empty drive is a drive for files
        if self.is_removable() && self.source.is_empty() {
            self.source.kind = SourceKind::File;
        }
        if self.device == DiskDevice::Cdrom {
            self.readonly = true;
        }
        if self.source.kind == SourceKind::Network && self.source.protocol == Some(super::source::Protocol::Sheepdog) {
            self.source.readahead = None;
        }
    }

    /// Writes `<disk>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("disk", |w| {
            w.attr("type", self.source.kind);
            w.attr("device", self.device);
            w.attr_opt("model", self.model);
            w.yes_no("rawio", self.rawio);
            w.attr_opt("sgio", self.sgio);
            w.attr_opt("snapshot", self.snapshot.filter(|s| !(*s == SnapshotMode::No && self.readonly)));
            self.driver.format(w, &self.source);
            if let Some(auth) = self.source.auth.as_ref().filter(|_| self.source.auth_at_disk) {
                auth.format(w);
            }
            self.source.format(w, flags, |w| w.attr_opt("startupPolicy", self.startup_policy));
            self.source.format_backing(w, flags);
            w.element_if_any("backenddomain", |w| w.attr_opt("name", self.backend_domain.as_deref()));
            self.format_layout(w);
            if let Some(mirror) = self.mirror.as_ref().filter(|_| !flags.inactive) {
                mirror.format(w, flags);
            }
            w.element("target", |w| {
                w.attr("dev", &self.dst);
                w.attr_opt("bus", self.bus);
                w.attr_opt("tray", self.tray.filter(|t| self.is_removable() && *t == Tray::Open));
                w.on_off("removable", self.removable);
                w.attr_opt("rotation_rate", self.rotation_rate.filter(|r| *r > 0));
                w.on_off("dpofua", self.dpofua);
            });
            w.element_if_any("iotune", |w| self.iotune.format(w));
            w.element_if_any("throttlefilters", |w| {
                self.throttle_filters.iter().for_each(|f| w.element("throttlefilter", |w| w.attr("group", &f.group)));
            });
            if self.readonly {
                w.empty("readonly");
            }
            if self.shareable {
                w.empty("shareable");
            }
            if self.transient {
                w.element("transient", |w| w.yes_no("shareBacking", self.transient_share_backing.filter(|s| *s)));
            }
            for (name, text) in
                [("serial", &self.serial), ("wwn", &self.wwn), ("vendor", &self.vendor), ("product", &self.product)]
            {
                w.leaf_opt(name, text.as_deref());
            }
            if let Some(encryption) = self.source.encryption.as_ref().filter(|_| self.source.encryption_at_disk) {
                encryption.format(w);
            }
            self.info.format(w, flags);
        });
    }

    fn format_layout(&self, w: &mut Writer) {
        let g = &self.geometry;
        if g.cylinders > 0 && g.heads > 0 && g.sectors > 0 {
            w.element("geometry", |w| {
                w.attr("cyls", g.cylinders);
                w.attr("heads", g.heads);
                w.attr("secs", g.sectors);
                w.attr_opt("trans", g.translation.filter(|t| *t != GeometryTranslation::None));
            });
        }
        w.element_if_any("blockio", |w| {
            w.attr_opt("logical_block_size", self.blockio.logical.filter(|n| *n > 0));
            w.attr_opt("physical_block_size", self.blockio.physical.filter(|n| *n > 0));
            w.attr_opt("discard_granularity", self.blockio.discard_granularity);
        });
    }
}
