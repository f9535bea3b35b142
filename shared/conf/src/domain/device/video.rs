//! Video cards.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioOptions};

text_enum! {
    /// Model.
    pub enum VideoModel {
        Default = "default", Vga = "vga", Cirrus = "cirrus", Vmvga = "vmvga", Xen = "xen", Vbox = "vbox", Qxl = "qxl", Parallels = "parallels",
        Virtio = "virtio", Gop = "gop", None = "none", Bochs = "bochs", Ramfb = "ramfb",
    }
}
text_enum! {
    /// Backend.
    pub enum VideoBackend { Qemu = "qemu", VhostUser = "vhostuser" }
}
text_enum! {
    /// VGA configuration of bhyve.
    pub enum VgaConf { Io = "io", On = "on", Off = "off" }
}

/// `<video>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoDef {
    /// `None` until post-parse chooses.
    pub model: Option<VideoModel>,
    pub ram_kib: Option<u32>,
    pub vram_kib: Option<u32>,
    pub vram64_kib: Option<u32>,
    pub vgamem_kib: Option<u32>,
    pub heads: Option<u32>,
    pub primary: bool,
    pub edid: Option<bool>,
    pub blob: Option<bool>,
    pub accel2d: Option<bool>,
    pub accel3d: Option<bool>,
    pub rendernode: Option<String>,
    pub resolution: Option<(u32, u32)>,
    pub backend: Option<VideoBackend>,
    pub vgaconf: Option<VgaConf>,
    /// Path of the vhost-user GPU binary, of a running guest.
    pub vhost_user_binary: Option<String>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}
