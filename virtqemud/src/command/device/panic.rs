//! Panic devices.

use conf::domain::device::info::{Address, IsaAddress};
use conf::domain::device::panic::PanicModel;
use error::Result;

use super::address;
use crate::command::plan::Builder;
use crate::command::props::Props;

/// Devices that have a part of their own; the others are features of the CPU or the machine.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for panic in &def.devices.panics {
        match panic.model {
            Some(PanicModel::Isa) => {
                let port = match &panic.info.address {
                    Some(Address::Isa(IsaAddress { iobase, .. })) => *iobase,
                    _ => None,
                };
                b.device(Props::driver("pvpanic").maybe("ioport", port));
            }
            Some(PanicModel::Pvpanic) => b.device(address::place(Props::driver("pvpanic-pci"), def, &panic.info)),
            _ => {}
        }
    }
    Ok(())
}
