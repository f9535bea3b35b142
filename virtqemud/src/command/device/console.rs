//! Consoles that are not serial ports.

use conf::domain::device::chardev::ConsoleType;
use error::Result;

use super::{alias, chardev, unsupported};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All consoles; the ones that are a serial port once more were built there.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for console in &def.devices.consoles {
        let name = match console.target {
            Some(ConsoleType::Virtio) => "virtconsole",
            Some(ConsoleType::Sclp) => "sclpconsole",
            Some(ConsoleType::SclpLm) => "sclplmconsole",
            Some(ConsoleType::Serial) | None => continue,
            Some(other) => return Err(unsupported(format!("unsupported console target type {other}"))),
        };
        let id = chardev::build(b, &console.source, &alias(&console.info))?;
        let props = Props::driver(name).with("chardev", id).with("id", alias(&console.info));
        b.device(props);
    }
    Ok(())
}
