//! NVRAM device of pseries.

use error::Result;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;

/// `<nvram>` below `<devices>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NvramDef {
    pub info: DeviceInfo,
}

impl NvramDef {
    /// Reads `<nvram>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        Ok(Self { info: DeviceInfo::parse(node, ctx, Allow::default())? })
    }

    /// Writes `<nvram>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("nvram", |w| self.info.format(w, flags));
    }
}
