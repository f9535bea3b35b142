//! `<permissions>`: mode, owner, group and label of a pool's target or a volume.

use xml::{Node, Writer};

use super::xml_error;

/// What a file or directory shall have, or has. Absent = not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Mode bits, at most 0777.
    pub mode: Option<u32>,
    /// User id.
    pub owner: Option<u32>,
    /// Group id.
    pub group: Option<u32>,
    /// SELinux label.
    pub label: Option<String>,
}

impl Permissions {
    /// Reads the element. An owner of -1 counts as absent.
    ///
    /// # Errors
    /// `XML_ERROR` for a mode that is not octal or wider than 0777, or an id that is not one.
    pub(crate) fn from_node(node: Node<'_>) -> error::Result<Self> {
        let mode = match node.child_text("mode") {
            Some(text) => {
                let mode = xml::parse_u64(&text, 8).filter(|mode| *mode <= 0o777);
                Some(mode.ok_or_else(|| xml_error("malformed octal mode"))? as u32)
            }
            None => None,
        };
        Ok(Permissions { mode, owner: id(node, "owner")?, group: id(node, "group")?, label: node.child_text("label") })
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.element_if_any("permissions", |w| {
            w.leaf_opt("mode", self.mode.map(|mode| format!("0{mode:o}")));
            w.leaf_opt("owner", self.owner);
            w.leaf_opt("group", self.group);
            w.leaf_opt("label", self.label.as_deref());
        });
    }
}

fn id(node: Node<'_>, name: &str) -> error::Result<Option<u32>> {
    let Some(child) = node.child(name) else { return Ok(None) };
    let text = child.text();
    let malformed = || xml_error(format!("malformed {name} element"));
    match text.trim().parse::<i64>().map_err(|_| malformed())? {
        -1 | 0xffff_ffff => Ok(None),
        n => u32::try_from(n).map(Some).map_err(|_| malformed()),
    }
}
