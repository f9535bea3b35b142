//! The memory balloon.

use conf::domain::device::info::VirtioModel;
use conf::domain::device::memballoon::MemballoonModel;
use error::Result;

use super::{address, alias, virtio};
use crate::command::plan::Builder;

/// The balloon, unless there is none.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let Some(balloon) = &def.devices.memballoon else { return Ok(()) };
    let flavour = match balloon.model {
        MemballoonModel::None | MemballoonModel::Xen => return Ok(()),
        MemballoonModel::Virtio => None,
        MemballoonModel::Transitional => Some(VirtioModel::Transitional),
        MemballoonModel::NonTransitional => Some(VirtioModel::NonTransitional),
    };
    let props = virtio::begin("virtio-balloon", &balloon.info, flavour, &balloon.virtio)
        .with("id", alias(&balloon.info))
        .maybe("deflate-on-oom", balloon.autodeflate)
        .maybe("free-page-reporting", balloon.free_page_reporting);
    b.device(address::place(props, def, &balloon.info));
    Ok(())
}
