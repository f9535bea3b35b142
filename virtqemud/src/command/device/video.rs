//! Video cards.

use conf::domain::DomainDef;
use conf::domain::device::info::Address;
use conf::domain::device::video::{VideoBackend, VideoDef, VideoModel};
use error::{Code, Domain, Error, Result};

use super::{address, alias, unsupported, virtio};
use crate::capability::Capability;
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All video cards.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for video in &def.devices.videos {
        if video.model == Some(VideoModel::None) {
            continue;
        }
        if video.backend == Some(VideoBackend::VhostUser) {
            let id = alias(&video.info);
            let fd = b.inputs.fds.get(&format!("chr-vu-{id}")).copied();
            let fd = fd.ok_or_else(|| {
                Error::new(Domain::Qemu, Code::OperationFailed, "Unable to find a satisfying vhost-user-gpu")
            })?;
            b.option("-chardev", format!("socket,id=chr-vu-{id},fd={fd}"));
        }
        let props = props(def, video, b.capability)?;
        b.device(props);
    }
    Ok(())
}

fn driver(video: &VideoDef, capability: &Capability) -> Result<String> {
    let pci = matches!(video.info.address, Some(Address::Pci(_)) | None);
    // The first card shows VGA modes where QEMU has them.
    let vga = video.primary && pci && capability.has_type("virtio-vga");
    Ok(match video.model {
        Some(VideoModel::Vga) => "VGA".into(),
        Some(VideoModel::Cirrus) => "cirrus-vga".into(),
        Some(VideoModel::Vmvga) => "vmware-svga".into(),
        Some(VideoModel::Qxl) => if video.primary { "qxl-vga" } else { "qxl" }.into(),
        Some(VideoModel::Bochs) => "bochs-display".into(),
        Some(VideoModel::Ramfb) => "ramfb".into(),
        Some(VideoModel::Virtio) => {
            let gl = if video.accel3d == Some(true) { "-gl" } else { "" };
            if video.backend == Some(VideoBackend::VhostUser) {
                if vga { "vhost-user-vga".into() } else { virtio::name("vhost-user-gpu", &video.info, None) }
            } else if vga {
                format!("virtio-vga{gl}")
            } else {
                virtio::name(&format!("virtio-gpu{gl}"), &video.info, None)
            }
        }
        other => {
            return Err(unsupported(format!(
                "video type '{}' is not valid",
                other.map_or(String::new(), |m| m.to_string())
            )));
        }
    })
}

/// Properties of a video card.
pub fn props(def: &DomainDef, video: &VideoDef, capability: &Capability) -> Result<Props> {
    let begin = virtio::with_options(driver(video, capability)?, &video.virtio).with("id", alias(&video.info));
    let kib = |v: Option<u32>| u64::from(v.unwrap_or(0));
    let heads = video.heads.unwrap_or(0);
    let vhost_user = video.backend == Some(VideoBackend::VhostUser);
    let props = match video.model {
        Some(VideoModel::Virtio) => begin
            .nonzero("max_outputs", heads)
            .maybe("chardev", vhost_user.then(|| format!("chr-vu-{}", alias(&video.info))))
            .maybe("edid", video.edid)
            .maybe("blob", video.blob),
        Some(VideoModel::Qxl) => begin
            .nonzero("max_outputs", heads)
            .nonzero("ram_size", kib(video.ram_kib) * 1024)
            .nonzero("vram_size", kib(video.vram_kib) * 1024)
            .with("vram64_size_mb", kib(video.vram64_kib) / 1024)
            .nonzero("vgamem_mb", kib(video.vgamem_kib) / 1024),
        Some(VideoModel::Vga | VideoModel::Vmvga) => {
            begin.nonzero("vgamem_mb", kib(video.vram_kib) / 1024).maybe("edid", video.edid)
        }
        Some(VideoModel::Bochs) => begin.nonzero("vgamem", kib(video.vram_kib) * 1024).maybe("edid", video.edid),
        _ => begin,
    };
    let (x, y) = video.resolution.unwrap_or((0, 0));
    let props = props.nonzero("xres", x).nonzero("yres", y);
    Ok(address::place(props, def, &video.info))
}
