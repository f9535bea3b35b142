//! Serial ports.

use conf::domain::device::chardev::{SerialDef, SerialModel};
use error::Result;

use super::{address, alias, chardev};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All serial ports.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for serial in &def.devices.serials {
        let id = chardev::build(b, &serial.source, &alias(&serial.info))?;
        match device(serial) {
            Some(name) => {
                let isa = matches!(name, "isa-serial" | "isa-debugcon");
                let index = serial.port.filter(|p| name == "isa-serial" && *p >= 0 && serial.info.address.is_none());
                let props = Props::driver(name)
                    .with("chardev", id)
                    .with("id", alias(&serial.info))
                    .maybe("index", index.filter(|_| isa));
                b.device(address::place(props, def, &serial.info));
            }
            // The board has it already.
            None => b.option("-serial", format!("chardev:{id}")),
        }
    }
    Ok(())
}

fn device(serial: &SerialDef) -> Option<&'static str> {
    match serial.model? {
        SerialModel::Isa => Some("isa-serial"),
        SerialModel::Usb => Some("usb-serial"),
        SerialModel::Pci => Some("pci-serial"),
        SerialModel::SpaprVty => Some("spapr-vty"),
        SerialModel::SclpConsole => Some("sclpconsole"),
        SerialModel::SclpLmConsole => Some("sclplmconsole"),
        SerialModel::IsaDebugcon => Some("isa-debugcon"),
        SerialModel::Pl011 | SerialModel::Uart16550a => None,
    }
}
