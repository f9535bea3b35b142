//! Watchdogs.

use xml::text_enum;

use super::info::DeviceInfo;

text_enum! {
    /// Model.
    pub enum WatchdogModel { I6300esb = "i6300esb", Ib700 = "ib700", Diag288 = "diag288", Itco = "itco" }
}
text_enum! {
    /// What happens when it fires.
    pub enum WatchdogAction {
        Reset = "reset", Shutdown = "shutdown", Poweroff = "poweroff", Pause = "pause", Dump = "dump", None = "none", InjectNmi = "inject-nmi",
    }
}

/// `<watchdog>`
#[derive(Clone, Debug, PartialEq)]
pub struct WatchdogDef {
    pub model: WatchdogModel,
    pub action: Option<WatchdogAction>,
    pub info: DeviceInfo,
}
