//! Parallel ports.

use error::Result;

use super::{alias, chardev};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All parallel ports.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for parallel in &def.devices.parallels {
        let id = chardev::build(b, &parallel.source, &alias(&parallel.info))?;
        b.device(Props::driver("isa-parallel").with("chardev", id).with("id", alias(&parallel.info)));
    }
    Ok(())
}
