//! USB hubs.

use error::Result;

use super::{address, alias};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All hubs.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for hub in &def.devices.hubs {
        let props = Props::driver("usb-hub").with("id", alias(&hub.info));
        b.device(address::place(props, def, &hub.info));
    }
    Ok(())
}
