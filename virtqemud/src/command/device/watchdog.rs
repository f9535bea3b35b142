//! Watchdogs.

use conf::domain::device::watchdog::{WatchdogAction, WatchdogModel};
use error::Result;

use super::{address, alias};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All watchdogs, then what QEMU does when one fires.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for watchdog in &def.devices.watchdogs {
        if watchdog.model == WatchdogModel::Itco {
            // It is part of the chip set, which by default ignores it.
            b.option("-global", "ICH9-LPC.noreboot=off");
            continue;
        }
        let props = Props::driver(watchdog.model.to_string()).with("id", alias(&watchdog.info));
        b.device(address::place(props, def, &watchdog.info));
    }
    if let Some(watchdog) = def.devices.watchdogs.first() {
        let action = match watchdog.action {
            // The driver makes the dump itself.
            Some(WatchdogAction::Dump) => WatchdogAction::Pause,
            Some(action) => action,
            None => WatchdogAction::Reset,
        };
        b.option("-watchdog-action", action.to_string());
    }
    Ok(())
}
