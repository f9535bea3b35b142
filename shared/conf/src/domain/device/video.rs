//! Video cards.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::{DeviceInfo, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::xml_error;

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

impl VideoDef {
    /// Reads `<video>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let mut def = Self::default();
        if let Some(driver) = node.child("driver") {
            def.virtio = VirtioOptions::parse(Some(driver))?;
            def.backend = driver.word("name")?;
            def.vgaconf = driver.word("vgaconf")?;
        }
        if let Some(model) = node.child("model") {
            def.model = model.word("type")?.filter(|m| *m != VideoModel::Default);
            def.ram_kib = model.u32("ram")?;
            def.vram_kib = model.u32("vram")?;
            def.vram64_kib = model.u32("vram64")?;
            def.vgamem_kib = model.u32("vgamem")?;
            def.heads = model.u32("heads")?;
            def.primary = model.yes_no("primary")?.unwrap_or(false);
            def.blob = model.on_off("blob")?;
            def.edid = model.on_off("edid")?;
            if let Some(acceleration) = model.child("acceleration") {
                def.accel3d = acceleration.yes_no("accel3d")?;
                def.accel2d = acceleration.yes_no("accel2d")?;
                def.rendernode = acceleration.string("rendernode");
            }
            if let Some(resolution) = model.child("resolution") {
                def.resolution = match (resolution.u32("x")?, resolution.u32("y")?) {
                    (Some(x), Some(y)) => Some((x, y)),
                    _ => return Err(xml_error("missing values for resolution")),
                };
            }
        }
        def.info = DeviceInfo::parse(node, ctx, Allow { boot: false, rom: true })?;
        Ok(def)
    }

    /// Writes `<video>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("video", |w| {
            w.element_if_any("driver", |w| {
                self.virtio.format(w);
                w.attr_opt("name", self.backend.filter(|b| *b != VideoBackend::Qemu));
                w.attr_opt("vgaconf", self.vgaconf);
            });
            w.element("model", |w| {
                w.attr_opt("type", self.model);
                for (name, kib) in [
                    ("ram", self.ram_kib),
                    ("vram", self.vram_kib),
                    ("vram64", self.vram64_kib),
                    ("vgamem", self.vgamem_kib),
                ] {
                    w.attr_opt(name, kib.filter(|n| *n > 0));
                }
                w.attr_opt("heads", self.heads.filter(|h| *h > 0));
                w.yes_no("primary", self.primary.then_some(true));
                w.on_off("blob", self.blob);
                w.on_off("edid", self.edid);
                w.element_if_any("acceleration", |w| {
                    w.yes_no("accel3d", self.accel3d);
                    w.yes_no("accel2d", self.accel2d);
                    w.attr_opt("rendernode", self.rendernode.as_deref());
                });
                if let Some((x, y)) = self.resolution {
                    w.element("resolution", |w| {
                        w.attr("x", x);
                        w.attr("y", y);
                    });
                }
            });
            self.info.format(w, flags);
        });
    }
}
