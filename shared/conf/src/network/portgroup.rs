//! `<portgroup>`: a named set of settings that a guest's interface picks.

use error::Result;
use xml::{Node, Writer};

use super::{Bandwidth, VirtualPort, Vlan, xml_error};

/// `<portgroup>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortGroup {
    /// Unique name within the network.
    pub name: String,
    /// Taken by interfaces that name none.
    pub default: bool,
    /// Whether the host trusts receive filters that guests ask for.
    pub trust_guest_rx_filters: Option<bool>,
    /// VLAN tags.
    pub vlan: Option<Vlan>,
    /// Switch parameters.
    pub virtualport: Option<VirtualPort>,
    /// Limits of each port.
    pub bandwidth: Option<Bandwidth>,
}

impl PortGroup {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        Ok(Self {
            name: node.string("name").ok_or_else(|| xml_error("Missing required name attribute in portgroup"))?,
            default: node.attr("default") == Some("yes"),
            trust_guest_rx_filters: node.yes_no("trustGuestRxFilters")?,
            virtualport: node.child("virtualport").map(|n| VirtualPort::parse(n, true)).transpose()?,
            bandwidth: node.child("bandwidth").map(|n| Bandwidth::parse(n, false)).transpose()?.flatten(),
            vlan: node.child("vlan").map(Vlan::parse).transpose()?,
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.element("portgroup", |w| {
            w.attr("name", &self.name);
            if self.default {
                w.attr("default", "yes");
            }
            w.yes_no("trustGuestRxFilters", self.trust_guest_rx_filters);
            // libvirt closes this element with a tag of its own even when it is empty
            w.content();
            if let Some(vlan) = &self.vlan {
                vlan.write(w);
            }
            if let Some(virtualport) = &self.virtualport {
                virtualport.write(w);
            }
            if let Some(bandwidth) = &self.bandwidth {
                bandwidth.write(w);
            }
        });
    }
}
