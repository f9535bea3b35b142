//! virtio sockets.

use conf::domain::device::info::VirtioModel;
use conf::domain::device::vsock::VsockModel;
use error::Result;

use super::{address, alias, virtio};
use crate::command::plan::Builder;

/// The socket device.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let Some(vsock) = &def.devices.vsock else { return Ok(()) };
    let flavour = match vsock.model {
        Some(VsockModel::Transitional) => Some(VirtioModel::Transitional),
        Some(VsockModel::NonTransitional) => Some(VirtioModel::NonTransitional),
        _ => None,
    };
    let id = alias(&vsock.info);
    let fd = b.inputs.fds.get(&id).copied().unwrap_or(-1);
    let props = virtio::begin("vhost-vsock", &vsock.info, flavour, &vsock.virtio)
        .with("id", id)
        .with("guest-cid", vsock.cid.unwrap_or(0))
        .with("vhostfd", fd.to_string());
    b.device(address::place(props, def, &vsock.info));
    Ok(())
}
