//! Character back ends: `-chardev`.

use std::fmt::Write;

use conf::domain::device::chardev::{Chardev, ChardevSource, MouseMode, TcpProtocol};
use error::Result;

use crate::command::escape::{comma, on_off};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// Number in QEMU of the descriptor for a use of a back end, if the driver opened one.
pub fn log_fd(b: &Builder, id: &str, use_: &str) -> Option<i32> {
    b.inputs.fds.get(&format!("{id}{use_}")).copied()
}

/// Adds the back end of a device; returns its id.
pub fn build(b: &mut Builder, source: &ChardevSource, alias: &str) -> Result<String> {
    let id = format!("char{alias}");
    build_as(b, source, alias, &id)?;
    Ok(id)
}

/// Adds a back end under an id of its own.
pub fn build_as(b: &mut Builder, source: &ChardevSource, alias: &str, id: &str) -> Result<()> {
    let mut text = match &source.backend {
        Chardev::Null => format!("null,id={id}"),
        Chardev::Vc => format!("vc,id={id}"),
        Chardev::Stdio => format!("stdio,id={id}"),
        Chardev::Pty { .. } => format!("pty,id={id}"),
        Chardev::Dev { path } => format!(
            "{},id={id},path={}",
            if alias.starts_with("parallel") { "parallel" } else { "serial" },
            comma(path)
        ),
        Chardev::File { path, append } => {
            let mut text = format!("file,id={id}");
            file(b, &mut text, id, "path", path, *append);
            text
        }
        Chardev::Pipe { path } => format!("pipe,id={id},path={}", comma(path)),
        Chardev::Nmdm { .. } => return Err(super::unsupported("unsupported chardev 'nmdm'")),
        Chardev::Unix { path, listen, reconnect } => unix(
            b,
            id,
            path.as_deref().unwrap_or(""),
            *listen,
            reconnect.timeout.filter(|_| reconnect.enabled == Some(true)),
        ),
        Chardev::Tcp { host, service, listen, protocol, tls, reconnect, .. } => {
            let telnet = if *protocol == TcpProtocol::Telnet { ",telnet=on" } else { "" };
            let mut text = format!("socket,id={id},host={},port={}{telnet}", comma(host), comma(service));
            if *listen {
                text.push_str(",server=on,wait=off");
            }
            reconnect_after(b, &mut text, reconnect.timeout.filter(|_| reconnect.enabled == Some(true)));
            if *tls == Some(true) {
                let credentials = format!("obj{id}_tls0");
                let dir = b.inputs.chardev_tls_dir.clone().unwrap_or_else(|| "/etc/pki/qemu".into());
                let props = Props::object("tls-creds-x509", credentials.clone())
                    .with("dir", dir)
                    .with("endpoint", if *listen { "server" } else { "client" })
                    .with("verify-peer", true);
                b.object(&props);
                let _ = write!(text, ",tls-creds={credentials}");
            }
            text
        }
        Chardev::Udp { bind_host, bind_service, connect_host, connect_service } => {
            let word = |w: &Option<String>| w.as_deref().unwrap_or("").to_owned();
            let mut text =
                format!("udp,id={id},host={},port={}", comma(&word(connect_host)), comma(&word(connect_service)));
            let local = bind_service.clone().unwrap_or_else(|| "0".into());
            let _ = write!(text, ",localaddr={},localport={}", comma(&word(bind_host)), comma(&local));
            text
        }
        Chardev::Spicevmc => format!("spicevmc,id={id},name={}", spice_name(alias)),
        Chardev::Spiceport { channel } => format!("spiceport,id={id},name={}", comma(channel)),
        Chardev::QemuVdagent { clipboard, mouse } => {
            let mut text = format!("qemu-vdagent,id={id},name=vdagent");
            if let Some(clipboard) = clipboard {
                let _ = write!(text, ",clipboard={}", on_off(*clipboard));
            }
            if let Some(mouse) = mouse {
                let _ = write!(text, ",mouse={}", on_off(*mouse == MouseMode::Client));
            }
            text
        }
        Chardev::Dbus { channel } => {
            let fallback = if alias.starts_with("redir") { "org.qemu.usbredir" } else { "" };
            format!("dbus,id={id},name={}", comma(channel.as_deref().unwrap_or(fallback)))
        }
    };
    if let Some(log) = &source.log {
        file(b, &mut text, &format!("{id}-log"), "logfile", &log.file, None);
        // A log without a word on appending is continued only by virtlogd, which always appends.
        let append = log.append.or_else(|| b.inputs.fds.contains_key(&format!("{id}-log")).then_some(true));
        if let Some(append) = append {
            let _ = write!(text, ",logappend={}", on_off(append));
        }
    }
    b.option("-chardev", text);
    Ok(())
}

/// SPICE's own name of a channel, by what the guest sees.
fn spice_name(alias: &str) -> &'static str {
    if alias.starts_with("redir") {
        "usbredir"
    } else if alias.starts_with("smartcard") {
        "smartcard"
    } else {
        "vdagent"
    }
}

/// A file: by the descriptor that the driver opened, else by path.
fn file(b: &mut Builder, text: &mut String, id: &str, key: &str, path: &str, append: Option<bool>) {
    let opened = b.inputs.fds.get(id).or_else(|| b.inputs.fds.get(&format!("{id}-source"))).copied();
    match opened {
        Some(fd) => {
            let set = next_fdset(b);
            b.option("-add-fd", format!("set={set},fd={fd},opaque={id}"));
            let _ = write!(text, ",{key}=/dev/fdset/{set}");
            if key == "path" {
                text.push_str(",append=on");
            }
        }
        None => {
            let _ = write!(text, ",{key}={}", comma(path));
            if let Some(append) = append {
                let _ = write!(text, ",append={}", on_off(append));
            }
        }
    }
}

fn next_fdset(b: &Builder) -> usize {
    b.count("-add-fd")
}

fn unix(b: &Builder, id: &str, path: &str, listen: bool, reconnect: Option<u32>) -> String {
    let mut text = match b.inputs.fds.get(id).filter(|_| listen) {
        Some(fd) => format!("socket,id={id},fd={fd}"),
        None => format!("socket,id={id},path={}", comma(path)),
    };
    if listen {
        text.push_str(",server=on,wait=off");
    }
    reconnect_after(b, &mut text, reconnect);
    text
}

fn reconnect_after(b: &Builder, text: &mut String, seconds: Option<u32>) {
    if let Some(seconds) = seconds {
        // Milliseconds since QEMU 9.2.
        let _ = if b.capability.version >= 9_002_000 {
            write!(text, ",reconnect-ms={}", u64::from(seconds) * 1000)
        } else {
            write!(text, ",reconnect={seconds}")
        };
    }
}
