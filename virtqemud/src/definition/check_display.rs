//! What QEMU's displays, and the buses that are not there, cannot be.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::disk::DiskBus;
use conf::domain::device::graphics::Graphics;
use conf::domain::device::hostdev::{HostdevSource, MdevModel};
use conf::domain::device::input::InputBus;
use conf::domain::device::sound::SoundModel;
use conf::domain::device::video::VideoModel;
use error::Result;

use super::{Facts, unsupported};
use crate::address::machine;

/// Longest password of VNC's own authentication.
const VNC_PASSWORD_MAX: usize = 8;
const VRAM_MIN_KIB: u32 = 1024;

/// Checks displays, host devices and USB.
pub(super) fn all(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    videos(def)?;
    for graphics in &def.devices.graphics {
        if let Graphics::Vnc(vnc) = &graphics.graphics
            && let Some(length) = vnc.auth.passwd.as_ref().map(String::len).filter(|l| *l > VNC_PASSWORD_MAX)
        {
            return Err(unsupported(format!(
                "VNC password is {length} characters long, only {VNC_PASSWORD_MAX} permitted"
            )));
        }
    }
    hostdevs(def, facts)?;
    usb(def)
}

fn videos(def: &DomainDef) -> Result<()> {
    for (at, video) in def.devices.videos.iter().enumerate() {
        let Some(model) = video.model else { continue };
        if at > 0 && matches!(model, VideoModel::Vga | VideoModel::Cirrus | VideoModel::Vmvga | VideoModel::Ramfb) {
            return Err(unsupported(format!("video type '{model}' is only valid as primary video device")));
        }
        if video.heads.is_some_and(|h| h > 1) && !matches!(model, VideoModel::Qxl | VideoModel::Virtio) {
            return Err(unsupported(format!("video type '{model}' doesn't support multiple 'heads'")));
        }
        if video.accel2d == Some(true) {
            return Err(unsupported("qemu does not support the accel2d setting"));
        }
        if video.accel3d == Some(true) && model != VideoModel::Virtio {
            return Err(unsupported("3d acceleration is supported only with 'virtio' video device"));
        }
        let old = matches!(model, VideoModel::Vga | VideoModel::Vmvga);
        if old && video.vram_kib.is_some_and(|v| v > 0 && v < VRAM_MIN_KIB) {
            return Err(unsupported("value for 'vram' must be at least 1 MiB (1024 KiB)"));
        }
    }
    Ok(())
}

fn hostdevs(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    let mut ap = 0;
    for hostdev in &def.devices.hostdevs {
        let boots = hostdev.info.boot_index.is_some();
        match &hostdev.source {
            HostdevSource::ScsiHost { .. } if boots => {
                return Err(unsupported("booting from assigned devices is not supported by vhost SCSI devices"));
            }
            HostdevSource::Mdev { model: MdevModel::VfioAp, .. } => {
                ap += 1;
                if !facts.capability.has_type("vfio-ap") {
                    return Err(unsupported("VFIO AP device assignment is not supported by this version of QEMU"));
                }
            }
            HostdevSource::Mdev { model: MdevModel::VfioCcw, .. } if !facts.capability.has_type("vfio-ccw") => {
                return Err(unsupported("VFIO CCW device assignment is not supported by this version of QEMU"));
            }
            _ => {}
        }
    }
    if ap > 1 {
        return Err(unsupported("Only one hostdev of model vfio-ap is supported"));
    }
    Ok(())
}

/// USB devices of a guest that has no USB.
fn usb(def: &DomainDef) -> Result<()> {
    let d = &def.devices;
    let mut controllers = d.controllers.iter().filter(|c| c.kind == ControllerKind::Usb).peekable();
    let absent = match controllers.peek() {
        None => machine::is_s390(def),
        Some(_) => controllers.all(|c| c.model == Some(ControllerModel::None)),
    };
    let devices = d.disks.iter().any(|x| x.bus == Some(DiskBus::Usb))
        || d.inputs.iter().any(|x| x.bus == Some(InputBus::Usb))
        || d.sounds.iter().any(|x| x.model == SoundModel::Usb)
        || d.hostdevs.iter().any(|x| matches!(x.source, HostdevSource::Usb(_)))
        || !d.redirdevs.is_empty()
        || !d.hubs.is_empty()
        || d.controllers.iter().any(|c| c.kind == ControllerKind::Ccid);
    if absent && devices {
        return Err(unsupported("USB is disabled for this domain, but USB devices are present in the domain XML"));
    }
    Ok(())
}
