//! Watchdogs.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;

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

impl WatchdogDef {
    /// Reads `<watchdog>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let model = node.required_word("model")?;
        let action = node.word("action")?.unwrap_or(WatchdogAction::Reset);
        Ok(Self { model, action: Some(action), info: DeviceInfo::parse(node, ctx, Allow::default())? })
    }

    /// Writes `<watchdog>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("watchdog", |w| {
            w.attr("model", self.model);
            w.attr_opt("action", self.action);
            self.info.format(w, flags);
        });
    }
}
