//! Ports of displays.

use conf::domain::DomainDef;
use conf::domain::device::graphics::Graphics;
use error::{Code, Domain, Error};

use crate::driver::Driver;

/// Gives each display without a port of its own a free one.
///
/// # Errors
/// INTERNAL_ERROR when none is left.
pub fn reserve(driver: &Driver, def: &mut DomainDef) -> error::Result<()> {
    for display in &mut def.devices.graphics {
        match &mut display.graphics {
            Graphics::Vnc(vnc) if vnc.autoport && vnc.port <= 0 => vnc.port = take(driver, "VNC")?,
            Graphics::Spice(spice) if spice.autoport && spice.port <= 0 => spice.port = take(driver, "SPICE")?,
            _ => {}
        }
    }
    Ok(())
}

fn take(driver: &Driver, what: &str) -> error::Result<i32> {
    let (first, last) = driver.settings.display_ports;
    let none = || {
        Error::new(
            Domain::None,
            Code::InternalError,
            format!("Unable to find an unused port in range '{what}' ({first}-{last})"),
        )
    };
    driver.take_port(driver.settings.display_ports).map(i32::from).ok_or_else(none)
}
