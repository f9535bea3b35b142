//! `<networkport>`: the attachment of one interface of one guest to a network.

use error::{Code, Domain, Error, Result};
use xml::{Node, Vocabulary, Writer, text_enum};

use super::address::Mac;
use super::bridge::MacTableManager;
use super::forward::{DriverName, PciAddress, parse_pci};
use super::{Bandwidth, VirtualPort, Vlan, xml_error};

text_enum! {
    /// How a macvtap device relates to its lower device.
    pub enum DirectMode { Vepa = "vepa", Private = "private", Bridge = "bridge", Passthrough = "passthrough" }
}

/// `<networkport>`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPortDef {
    /// Identity of the port.
    pub uuid: Option<[u8; 16]>,
    /// Name of the domain.
    pub owner_name: String,
    /// Identity of the domain.
    pub owner_uuid: [u8; 16],
    /// Portgroup whose settings apply.
    pub group: Option<String>,
    /// Address of the guest's interface.
    pub mac: Mac,
    /// Switch parameters.
    pub virtualport: Option<VirtualPort>,
    /// Rate limits.
    pub bandwidth: Option<Bandwidth>,
    /// Traffic class of the guaranteed rate.
    pub class_id: Option<u32>,
    /// VLAN tags.
    pub vlan: Option<Vlan>,
    /// Cannot talk to other isolated ports.
    pub isolated: Option<bool>,
    /// Whether receive filters that the guest asks for are trusted.
    pub trust_guest_rx_filters: Option<bool>,
    /// Where to attach; given by the network.
    pub plug: Plug,
}

/// Where an interface attaches.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Plug {
    /// Not decided yet.
    #[default]
    None,
    /// A tap device on a bridge that the driver made.
    Network {
        /// The bridge.
        bridge: String,
        /// Who keeps its forwarding table.
        mac_table_manager: Option<MacTableManager>,
    },
    /// A tap device on the administrator's bridge.
    Bridge {
        /// The bridge.
        bridge: String,
        /// Who keeps its forwarding table.
        mac_table_manager: Option<MacTableManager>,
    },
    /// A macvtap device.
    Direct {
        /// Lower device.
        dev: String,
        /// Relation to it.
        mode: DirectMode,
    },
    /// A PCI function handed to the guest.
    HostdevPci {
        /// Detached from its driver by us.
        managed: bool,
        /// Driver it is bound to.
        driver: Option<DriverName>,
        /// The function.
        address: PciAddress,
    },
}

impl NetworkPortDef {
    /// Reads a document.
    ///
    /// # Errors
    /// libvirt's code and text for the first fault.
    pub fn parse(text: &str) -> Result<Self> {
        let document = super::document(text)?;
        Self::from_node(super::root(&document, "networkport")?)
    }

    fn from_node(root: Node<'_>) -> Result<Self> {
        let internal = |detail: &str| Error::new(Domain::Network, Code::InternalError, detail);
        let uuid = root.child_text("uuid").ok_or_else(|| internal("network port has no uuid"))?;
        let uuid = xml::parse_uuid(&uuid).ok_or_else(|| internal(&format!("Unable to parse UUID '{uuid}'")))?;
        let owner = root.child("owner");
        let owner_name =
            owner.and_then(|o| o.child_text("name")).ok_or_else(|| internal("network port has no owner name"))?;
        let owner_uuid =
            owner.and_then(|o| o.child_text("uuid")).ok_or_else(|| internal("network port has no owner UUID"))?;
        let owner_uuid =
            xml::parse_uuid(&owner_uuid).ok_or_else(|| internal(&format!("Unable to parse UUID '{owner_uuid}'")))?;
        let mac =
            root.child("mac").and_then(|n| n.attr("address")).ok_or_else(|| internal("network port has no mac"))?;
        let mac = Mac::parse(mac).ok_or_else(|| internal(&format!("Unable to parse MAC '{mac}'")))?;
        let bandwidth_node = root.child("bandwidth");
        Ok(Self {
            uuid: Some(uuid),
            owner_name,
            owner_uuid,
            group: root.child_text("group"),
            mac,
            virtualport: root.child("virtualport").map(|n| VirtualPort::parse(n, false)).transpose()?,
            class_id: bandwidth_node.map(|n| n.u32("classID")).transpose()?.flatten(),
            bandwidth: bandwidth_node.map(|n| Bandwidth::parse(n, true)).transpose()?.flatten(),
            vlan: root.child("vlan").map(Vlan::parse).transpose()?,
            isolated: root.child("port").map(|n| n.yes_no("isolated")).transpose()?.flatten(),
            trust_guest_rx_filters: root.child("rxfilters").map(|n| n.yes_no("trustGuest")).transpose()?.flatten(),
            plug: root.child("plug").map(Plug::parse).transpose()?.unwrap_or_default(),
        })
    }

    /// The document.
    pub fn format(&self) -> String {
        let mut w = Writer::new();
        w.element("networkport", |w| {
            w.leaf_opt("uuid", self.uuid.as_ref().map(xml::format_uuid));
            w.element("owner", |w| {
                w.leaf("name", &self.owner_name);
                w.leaf("uuid", xml::format_uuid(&self.owner_uuid));
            });
            w.leaf_opt("group", self.group.as_deref());
            w.element("mac", |w| w.attr("address", self.mac));
            if let Some(virtualport) = &self.virtualport {
                virtualport.write(w);
            }
            if let Some(bandwidth) = &self.bandwidth {
                bandwidth.write(w);
            }
            if let Some(vlan) = &self.vlan {
                vlan.write(w);
            }
            if self.isolated.is_some() {
                w.element("port", |w| w.yes_no("isolated", self.isolated));
            }
            if self.trust_guest_rx_filters.is_some() {
                w.element("rxfilters", |w| w.yes_no("trustGuest", self.trust_guest_rx_filters));
            }
            self.plug.write(w);
        });
        w.finish()
    }
}

impl Plug {
    fn parse(node: Node<'_>) -> Result<Self> {
        let missing = |what: &str| xml_error(format!("Missing network port {what}"));
        let manager = || -> Result<Option<MacTableManager>> {
            let Some(word) = node.non_empty("macTableManager") else { return Ok(None) };
            let wrong = || xml_error(format!("Invalid macTableManager setting '{word}' in network port"));
            MacTableManager::from_word(&word).map(Some).ok_or_else(wrong)
        };
        let bridge = || node.string("bridge").ok_or_else(|| missing("bridge name"));
        Ok(match node.attr("type") {
            None | Some("none") => Self::None,
            Some("network") => Self::Network { bridge: bridge()?, mac_table_manager: manager()? },
            Some("bridge") => Self::Bridge { bridge: bridge()?, mac_table_manager: manager()? },
            Some("direct") => {
                let dev = node.string("dev").ok_or_else(|| missing("link device name"))?;
                let mode = match node.attr("mode") {
                    None => DirectMode::Vepa,
                    Some(word) => DirectMode::from_word(word)
                        .ok_or_else(|| xml_error(format!("Invalid mode setting '{word}' in network port")))?,
                };
                Self::Direct { dev, mode }
            }
            Some("hostdev-pci") => {
                let address = node.child("address").ok_or_else(|| missing("PCI address"))?;
                let driver = node.child("driver").map(|n| n.word("name")).transpose()?.flatten();
                Self::HostdevPci { managed: node.attr("managed") == Some("yes"), driver, address: parse_pci(address)? }
            }
            Some(other) => return Err(xml_error(format!("Invalid network port plug type '{other}'"))),
        })
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::None => {}
            Self::Network { bridge, mac_table_manager } | Self::Bridge { bridge, mac_table_manager } => {
                w.element("plug", |w| {
                    w.attr("type", if matches!(self, Self::Network { .. }) { "network" } else { "bridge" });
                    w.attr("bridge", bridge);
                    w.attr_opt("macTableManager", *mac_table_manager);
                })
            }
            Self::Direct { dev, mode } => w.element("plug", |w| {
                w.attr("type", "direct");
                w.attr("dev", dev);
                w.attr("mode", mode);
            }),
            Self::HostdevPci { managed, driver, address } => w.element("plug", |w| {
                w.attr("type", "hostdev-pci");
                if *managed {
                    w.attr("managed", "yes");
                }
                if let Some(driver) = driver {
                    w.element("driver", |w| w.attr("name", driver));
                }
                w.element("address", |w| {
                    w.attr("domain", format_args!("{:#06x}", address.domain));
                    w.attr("bus", format_args!("{:#04x}", address.bus));
                    w.attr("slot", format_args!("{:#04x}", address.slot));
                    w.attr("function", format_args!("{:#x}", address.function));
                });
            }),
        }
    }
}
