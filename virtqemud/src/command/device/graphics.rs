//! Displays: VNC, SPICE, SDL, D-Bus, headless OpenGL.

use std::fmt::Write;

use conf::domain::DomainDef;
use conf::domain::device::chardev::MouseMode;
use conf::domain::device::graphics::{
    DbusDisplay, Graphics, GraphicsDef, ListenKind, Sdl, Spice, SpiceChannelMode, Vnc,
};
use error::{Domain, Error, Result};

use super::unsupported;
use crate::command::escape::{comma, host, on_off};
use crate::command::plan::Builder;

/// First port of VNC displays.
const VNC_FIRST: i32 = 5900;

/// All displays.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for graphics in &def.devices.graphics {
        match &graphics.graphics {
            Graphics::Sdl(sdl) => {
                let text = sdl_text(sdl);
                b.option("-display", text);
            }
            Graphics::Vnc(vnc) => {
                let text = vnc_text(b, graphics, vnc);
                b.option("-vnc", text);
                if let Some(keymap) = &vnc.keymap {
                    b.option("-k", keymap.clone());
                }
            }
            Graphics::Spice(spice) => {
                let text = spice_text(b, graphics, spice);
                b.option("-spice", text);
                if let Some(keymap) = &spice.keymap {
                    b.option("-k", keymap.clone());
                }
            }
            Graphics::EglHeadless { rendernode } => {
                let node = match rendernode.as_ref().or(b.inputs.host.render_node.as_ref()) {
                    Some(node) => comma(node).into_owned(),
                    None => {
                        let gone = std::io::Error::from_raw_os_error(nix::errno::Errno::ENOENT as i32);
                        return Err(Error::system(Domain::None, &gone, "cannot open directory '/dev/dri'"));
                    }
                };
                b.option("-display", format!("egl-headless,rendernode={node}"));
            }
            Graphics::Dbus(dbus) => {
                let text = dbus_text(dbus);
                b.option("-display", text);
            }
            Graphics::Rdp(_) | Graphics::Desktop { .. } => return Err(unsupported("unsupported graphics type")),
        }
    }
    Ok(())
}

/// What SDL needs in QEMU's environment.
pub fn environment(def: &DomainDef) -> Vec<(String, String)> {
    let mut env = Vec::new();
    for graphics in &def.devices.graphics {
        if let Graphics::Sdl(sdl) = &graphics.graphics {
            env.extend(sdl.xauth.clone().map(|x| ("XAUTHORITY".to_owned(), x)));
            env.extend(sdl.display.clone().map(|d| ("DISPLAY".to_owned(), d)));
        }
    }
    env
}

fn sdl_text(sdl: &Sdl) -> String {
    let mut text = String::from("sdl");
    if let Some(gl) = sdl.gl {
        let _ = write!(text, ",gl={}", on_off(gl));
    }
    if sdl.fullscreen == Some(true) {
        text.push_str(",full-screen=on");
    }
    text
}

fn audio_of(b: &Builder, id: Option<u32>) -> Option<String> {
    id.or_else(|| b.def.devices.audios.first().map(|a| a.id)).map(|id| format!("audio{id}"))
}

fn vnc_text(b: &Builder, graphics: &GraphicsDef, vnc: &Vnc) -> String {
    let listen = graphics.listens.first();
    let mut text = match listen.map(|l| l.kind) {
        Some(ListenKind::Socket) => {
            // A socket that nobody named is made in the guest's own directory.
            let made = format!("{}/vnc.sock", b.inputs.domain_dir);
            format!("vnc=unix:{}", comma(listen.and_then(|l| l.socket.as_deref()).unwrap_or(&made)))
        }
        Some(ListenKind::None) => "none".into(),
        _ => {
            let address = listen.and_then(|l| l.address.as_deref()).unwrap_or(&b.inputs.vnc_listen);
            let display = if vnc.port > 0 { vnc.port - VNC_FIRST } else { 0 };
            format!("{}:{display}", host(address))
        }
    };
    match vnc.websocket {
        Some(port) if port != 0 => {
            let _ = write!(text, ",websocket={port}");
        }
        _ => {}
    }
    if let Some(policy) = vnc.share_policy {
        let _ = write!(text, ",share={policy}");
    }
    if vnc.auth.passwd.is_some() {
        text.push_str(",password=on");
    }
    if let Some(power) = vnc.power_control {
        let _ = write!(text, ",power-control={}", on_off(power));
    }
    if let Some(audio) = audio_of(b, graphics.audio_id) {
        let _ = write!(text, ",audiodev={audio}");
    }
    text
}

fn spice_text(b: &Builder, graphics: &GraphicsDef, spice: &Spice) -> String {
    let listen = graphics.listens.first();
    let mut text = String::new();
    match listen.map(|l| l.kind) {
        Some(ListenKind::Socket) => {
            let made = format!("{}/spice.sock", b.inputs.domain_dir);
            let _ = write!(text, "unix=on,addr={},", comma(listen.and_then(|l| l.socket.as_deref()).unwrap_or(&made)));
        }
        Some(ListenKind::None) => text.push_str("port=0,"),
        _ => {
            if spice.port > 0 {
                let _ = write!(text, "port={},", spice.port);
            }
            if spice.tls_port > 0 {
                let _ = write!(text, "tls-port={},", spice.tls_port);
            }
            if spice.port > 0 || spice.tls_port > 0 {
                let address = listen.and_then(|l| l.address.as_deref()).unwrap_or(&b.inputs.spice_listen);
                let _ = write!(text, "addr={},", comma(address));
            } else {
                // QEMU insists on a port.
                text.push_str("port=0,");
            }
        }
    }
    if spice.auth.passwd.is_none() {
        text.push_str("disable-ticketing=on,");
    }
    if let Some(mode) = spice.mouse {
        let _ = write!(text, "agent-mouse={},", on_off(mode == MouseMode::Client));
    }
    match spice.default_mode {
        Some(SpiceChannelMode::Secure) => text.push_str("tls-channel=default,"),
        Some(SpiceChannelMode::Insecure) => text.push_str("plaintext-channel=default,"),
        Some(SpiceChannelMode::Any) | None => {}
    }
    for (channel, mode) in &spice.channels {
        match mode {
            SpiceChannelMode::Secure => {
                let _ = write!(text, "tls-channel={channel},");
            }
            SpiceChannelMode::Insecure => {
                let _ = write!(text, "plaintext-channel={channel},");
            }
            SpiceChannelMode::Any => {}
        }
    }
    spice_quality(&mut text, spice);
    text.push_str("seamless-migration=on");
    text
}

fn spice_quality(text: &mut String, spice: &Spice) {
    if let Some(image) = spice.image {
        let _ = write!(text, "image-compression={image},");
    }
    if let Some(jpeg) = spice.jpeg {
        let _ = write!(text, "jpeg-wan-compression={jpeg},");
    }
    if let Some(zlib) = spice.zlib {
        let _ = write!(text, "zlib-glz-wan-compression={zlib},");
    }
    if let Some(playback) = spice.playback {
        let _ = write!(text, "playback-compression={},", on_off(playback));
    }
    if let Some(streaming) = spice.streaming {
        let _ = write!(text, "streaming-video={streaming},");
    }
    if spice.clipboard == Some(false) {
        text.push_str("disable-copy-paste=on,");
    }
    if spice.filetransfer == Some(false) {
        text.push_str("disable-agent-file-xfer=on,");
    }
    if let Some(gl) = spice.gl {
        let _ = write!(text, "gl={},", on_off(gl));
        if let Some(node) = &spice.rendernode {
            let _ = write!(text, "rendernode={},", comma(node));
        }
    }
}

fn dbus_text(dbus: &DbusDisplay) -> String {
    let mut text = String::from("dbus");
    if dbus.p2p == Some(true) {
        text.push_str(",p2p=on");
    } else if let Some(address) = &dbus.address {
        let _ = write!(text, ",addr={}", comma(address));
    }
    if let Some(gl) = dbus.gl {
        let _ = write!(text, ",gl={}", on_off(gl));
    }
    if let Some(node) = &dbus.rendernode {
        let _ = write!(text, ",rendernode={}", comma(node));
    }
    if let Some(id) = dbus.audio_id {
        let _ = write!(text, ",audiodev=audio{id}");
    }
    text
}
