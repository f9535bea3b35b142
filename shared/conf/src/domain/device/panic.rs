//! Devices that report a guest's panic.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;

text_enum! {
    /// Model.
    pub enum PanicModel { Isa = "isa", Pseries = "pseries", Hyperv = "hyperv", S390 = "s390", Pvpanic = "pvpanic" }
}

/// `<panic>`
#[derive(Clone, Debug, PartialEq)]
pub struct PanicDef {
    /// `None` until post-parse chooses.
    pub model: Option<PanicModel>,
    pub info: DeviceInfo,
}

impl PanicDef {
    /// Reads `<panic>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        Ok(Self { model: node.word("model")?, info: DeviceInfo::parse(node, ctx, Allow::default())? })
    }

    /// Writes `<panic>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("panic", |w| {
            w.attr_opt("model", self.model);
            self.info.format(w, flags);
        });
    }
}
