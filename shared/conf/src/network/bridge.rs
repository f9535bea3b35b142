//! `<bridge>` and `<mac>`: the host side switch.

use error::Result;
use xml::{Node, Writer, text_enum};

use super::address::Mac;
use super::xml_error;

text_enum! {
    /// Who keeps the bridge's forwarding table.
    pub enum MacTableManager { Kernel = "kernel", Libvirt = "libvirt" }
}

/// `<bridge>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bridge {
    /// Device name; `None` lets the driver choose (virbrN), `%d` in it is a template.
    pub name: Option<String>,
    /// firewalld zone.
    pub zone: Option<String>,
    /// Spanning tree protocol; always known for a bridge that the driver makes.
    pub stp: Option<bool>,
    /// Forward delay in seconds.
    pub delay: u64,
    /// Who keeps the forwarding table.
    pub mac_table_manager: Option<MacTableManager>,
}

impl Bridge {
    pub(super) fn parse(node: Option<Node<'_>>, network: &str) -> Result<Self> {
        let Some(node) = node else { return Ok(Self::default()) };
        let delay = match node.attr("delay") {
            None => 0,
            Some(text) => xml::parse_u64(text, 10)
                .ok_or_else(|| xml_error(format!("Invalid delay value in network '{network}'")))?,
        };
        let mac_table_manager = match node.non_empty("macTableManager") {
            None => None,
            Some(word) => Some(xml::Vocabulary::from_word(&word).ok_or_else(|| {
                xml_error(format!("Invalid macTableManager setting '{word}' in network '{network}'"))
            })?),
        };
        Ok(Self {
            name: node.non_empty("name"),
            zone: node.non_empty("zone"),
            stp: node.attr("stp").map(|word| word != "off"),
            delay,
            mac_table_manager,
        })
    }

    pub(super) fn write(&self, w: &mut Writer, own: bool) {
        w.element("bridge", |w| {
            w.attr_opt("name", self.name.as_deref());
            w.attr_opt("zone", self.zone.as_deref());
            if own {
                w.on_off("stp", Some(self.stp != Some(false)));
                w.attr("delay", self.delay);
            }
            w.attr_opt("macTableManager", self.mac_table_manager);
        });
    }
}

pub(super) fn parse_mac(text: &str, network: &str) -> Result<Mac> {
    let mac = Mac::parse(text)
        .ok_or_else(|| xml_error(format!("Invalid bridge mac address '{text}' in network '{network}'")))?;
    if mac.is_multicast() {
        return Err(xml_error(format!("Invalid multicast bridge mac address '{text}' in network '{network}'")));
    }
    Ok(mac)
}
