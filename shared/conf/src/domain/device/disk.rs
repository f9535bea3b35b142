//! Disks, CD-ROMs, floppies and LUNs.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioModel, VirtioOptions};
use super::iotune::IoTune;
use super::source::StorageSource;
use super::throttle::ThrottleFilter;

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
