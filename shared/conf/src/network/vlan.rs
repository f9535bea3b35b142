//! `<vlan>`: 802.1Q tags of a port.

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer, text_enum};

text_enum! {
    /// How frames of the native VLAN look on the wire.
    pub enum NativeMode { Tagged = "tagged", Untagged = "untagged" }
}

/// `<vlan>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vlan {
    /// More than one tag may pass.
    pub trunk: bool,
    /// Tags in order.
    pub tags: Vec<u16>,
    /// The tag that untagged frames belong to, and how they leave.
    pub native: Option<(u16, NativeMode)>,
}

fn fault(detail: impl Into<String>) -> Error {
    Error::new(Domain::None, Code::XmlError, detail)
}

impl Vlan {
    /// Reads element `<vlan>`.
    ///
    /// # Errors
    /// libvirt's texts, code XML_ERROR.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let tags_found: Vec<_> = node.children("tag").collect();
        if tags_found.is_empty() {
            return Err(fault("missing tag id - each <vlan> must have at least one <tag id='n'/> subelement"));
        }
        let mut vlan = Self { trunk: false, tags: Vec::new(), native: None };
        for n in &tags_found {
            n.required("id")?;
            let id = n.u32("id")?.unwrap_or(0);
            let id = u16::try_from(id)
                .ok()
                .filter(|id| *id <= 4095)
                .ok_or_else(|| fault(format!("vlan tag id {id} too large (maximum 4095)")))?;
            if let Some(mode) = n.word("nativeMode")? {
                if vlan.native.is_some() {
                    return Err(fault("duplicate native vlan setting"));
                }
                vlan.native = Some((id, mode));
            }
            vlan.tags.push(id);
        }
        vlan.trunk = vlan.tags.len() > 1 || vlan.native.is_some();
        if let Some(word) = node.attr("trunk") {
            let trunk = match word {
                "yes" => true,
                "no" => false,
                _ => return Err(fault(format!("invalid \"trunk='{word}'\" in <vlan> - must be yes or no"))),
            };
            if !trunk && vlan.native.is_some() {
                return Err(fault(
                    "invalid configuration in <vlan> - \"trunk='no'\" is not allowed with a native vlan id",
                ));
            }
            if !trunk && vlan.tags.len() > 1 {
                let detail = format!(
                    "invalid \"trunk='{word}'\" in <vlan> - trunk='yes' is required for more than one vlan tag"
                );
                return Err(fault(detail));
            }
            vlan.trunk = trunk;
        }
        Ok(vlan)
    }

    /// Writes element `<vlan>`.
    pub fn write(&self, w: &mut Writer) {
        w.element("vlan", |w| {
            if self.trunk {
                w.attr("trunk", "yes");
            }
            for tag in &self.tags {
                w.element("tag", |w| {
                    w.attr("id", tag);
                    if let Some((_, mode)) = self.native.filter(|(id, _)| id == tag) {
                        w.attr("nativeMode", mode);
                    }
                });
            }
        });
    }
}
