//! Host directories shared with the guest.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioModel, VirtioOptions};

text_enum! {
    /// Kind of source.
    pub enum FilesystemKind {
        Mount = "mount", Block = "block", File = "file", Template = "template", Ram = "ram", Bind = "bind", Volume = "volume",
    }
}
text_enum! {
    /// Driver.
    pub enum FilesystemDriver { Path = "path", Handle = "handle", Loop = "loop", Nbd = "nbd", Ploop = "ploop", VirtioFs = "virtiofs", Mtp = "mtp" }
}
text_enum! {
    /// How owners and modes are kept.
    pub enum AccessMode { Passthrough = "passthrough", Mapped = "mapped", Squash = "squash" }
}
text_enum! {
    /// Several devices below one export.
    pub enum Multidevs { Default = "default", Remap = "remap", Forbid = "forbid", Warn = "warn" }
}
text_enum! {
    /// virtiofsd's sandbox.
    pub enum Sandbox { Namespace = "namespace", Chroot = "chroot" }
}
text_enum! {
    /// virtiofsd's cache mode.
    pub enum VirtiofsCache { None = "none", Always = "always" }
}

/// `<binary>` of virtiofs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtiofsBinary {
    pub path: Option<String>,
    pub xattr: Option<bool>,
    pub cache: Option<VirtiofsCache>,
    pub posix_lock: Option<bool>,
    pub flock: Option<bool>,
    pub sandbox: Option<Sandbox>,
    pub open_files: Option<u64>,
    pub thread_pool: Option<i32>,
}

/// `<idmap>` range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdRange {
    pub start: u32,
    pub target: u32,
    pub count: u32,
}

/// `<filesystem>`
#[derive(Clone, Debug, PartialEq)]
pub struct FilesystemDef {
    pub kind: FilesystemKind,
    pub driver: Option<FilesystemDriver>,
    pub format: Option<super::source::ImageFormat>,
    pub write_policy_immediate: bool,
    pub access_mode: Option<AccessMode>,
    pub model: Option<VirtioModel>,
    pub multidevs: Option<Multidevs>,
    pub fmode: Option<u32>,
    pub dmode: Option<u32>,
    pub queue_size: Option<u64>,
    pub source: Option<String>,
    /// Size of a ram source in bytes.
    pub usage_bytes: Option<u64>,
    pub volume: Option<super::source::VolumeSource>,
    /// Socket of an already running virtiofsd.
    pub socket: Option<String>,
    pub target: String,
    pub readonly: bool,
    pub binary: VirtiofsBinary,
    pub uid_map: Vec<IdRange>,
    pub gid_map: Vec<IdRange>,
    pub space_hard_limit: Option<u64>,
    pub space_soft_limit: Option<u64>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}
