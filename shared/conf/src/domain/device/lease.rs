//! Leases of a lock manager.

use error::Result;
use xml::{Node, Writer};

use crate::domain::fault::xml_error;

/// `<lease>`
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseDef {
    pub lockspace: Option<String>,
    pub key: String,
    pub path: String,
    pub offset: u64,
}

impl LeaseDef {
    /// Reads `<lease>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let key = node.child_text("key").ok_or_else(|| xml_error("Missing 'key' element for lease"))?;
        let target = node.child("target");
        let path =
            target.and_then(|t| t.string("path")).ok_or_else(|| xml_error("Missing 'target' element for lease"))?;
        let offset = target.map(|t| t.u64("offset")).transpose()?.flatten().unwrap_or_default();
        Ok(Self { lockspace: node.child_text("lockspace"), key, path, offset })
    }

    /// Writes `<lease>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("lease", |w| {
            w.leaf_opt("lockspace", self.lockspace.as_deref());
            w.leaf("key", &self.key);
            w.element("target", |w| {
                w.attr("path", &self.path);
                w.attr_opt("offset", Some(self.offset).filter(|o| *o > 0));
            });
        });
    }
}
