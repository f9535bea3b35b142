//! USB hubs.

use error::Result;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;

/// `<hub type='usb'>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HubDef {
    pub info: DeviceInfo,
}

impl HubDef {
    /// Reads `<hub>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let kind = node.required("type")?;
        if kind != "usb" {
            return Err(xml::invalid_value(node, "type", kind, ""));
        }
        Ok(Self { info: DeviceInfo::parse(node, ctx, Allow::default())? })
    }

    /// Writes `<hub>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("hub", |w| {
            w.attr("type", "usb");
            self.info.format(w, flags);
        });
    }
}
