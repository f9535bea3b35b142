//! Channels between guest and host.

use conf::domain::DomainDef;
use conf::domain::device::chardev::{ChannelDef, ChannelTarget, Chardev};
use conf::domain::device::controller::ControllerKind;
use conf::domain::device::info::{Address, DeviceInfo};
use error::Result;

use super::{address, alias, chardev};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All channels.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for channel in &def.devices.channels {
        let mut source = channel.source.clone();
        if let Chardev::Unix { path: path @ None, listen, .. } = &mut source.backend {
            *path = Some(path_of(b, channel));
            *listen = true;
        }
        let id = chardev::build(b, &source, &alias(&channel.info))?;
        match &channel.target {
            ChannelTarget::Guestfwd { address, port } => {
                let rule = Props::default().with("str", format!("tcp:{address}:{port}-chardev:{id}"));
                let rules: Vec<serde_json::Value> = vec![rule.into()];
                b.json(
                    "-netdev",
                    &Props::default().with("type", "user").with("guestfwd", rules).with("id", alias(&channel.info)),
                );
            }
            ChannelTarget::Virtio { name, .. } => {
                // SPICE's agent finds its channel by this name.
                let fallback =
                    matches!(channel.source.backend, Chardev::Spicevmc).then(|| "com.redhat.spice.0".to_owned());
                let name = name.clone().or(fallback);
                b.device(port(def, "virtserialport", &channel.info, &id).maybe("name", name));
            }
            ChannelTarget::Xen { .. } => return Err(super::unsupported("xen channels are not supported by QEMU")),
        }
    }
    Ok(())
}

/// Where a channel's socket is when the definition names no place: the guest's own directory, by the channel's name.
fn path_of(b: &Builder, channel: &ChannelDef) -> String {
    let name = match &channel.target {
        ChannelTarget::Virtio { name, .. } | ChannelTarget::Xen { name, .. } => {
            name.clone().unwrap_or_else(|| alias(&channel.info))
        }
        ChannelTarget::Guestfwd { .. } => alias(&channel.info),
    };
    format!("{}/channel/{}/{name}", b.inputs.run_dir, b.inputs.short_name)
}

/// A port of a virtio-serial controller.
pub(super) fn port(def: &DomainDef, driver: &str, info: &DeviceInfo, chardev: &str) -> Props {
    let begin = Props::driver(driver);
    let begin = match &info.address {
        Some(Address::VirtioSerial(at)) => {
            let controller = address::controller_alias(def, ControllerKind::VirtioSerial, at.controller);
            begin.with("bus", format!("{controller}.{}", at.bus)).with("nr", at.port)
        }
        _ => begin,
    };
    begin.with("chardev", chardev).with("id", alias(info))
}
