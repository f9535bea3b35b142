//! What an interface asks of the switch port behind it, and forwarded ports of user networking.

use error::{Code, Domain, Error, Result};
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use crate::domain::fault::{unsupported, xml_error};

text_enum! {
    /// Kind of virtual port.
    pub enum VirtualPortKind { Qbg = "802.1Qbg", Qbh = "802.1Qbh", OpenVSwitch = "openvswitch", Midonet = "midonet" }
}

/// `<virtualport>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtualPort {
    /// Absent: taken from the network.
    pub kind: Option<VirtualPortKind>,
    pub manager_id: Option<u8>,
    pub type_id: Option<u32>,
    pub type_id_version: Option<u8>,
    pub instance_id: Option<[u8; 16]>,
    pub profile_id: Option<String>,
    pub interface_id: Option<[u8; 16]>,
}

text_enum! {
    /// Native VLAN mode.
    pub enum NativeMode { Tagged = "tagged", Untagged = "untagged" }
}

/// `<vlan>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vlan {
    pub trunk: Option<bool>,
    pub tags: Vec<(u32, Option<NativeMode>)>,
}

text_enum! {
    /// Transport protocol.
    pub enum ForwardProtocol { Tcp = "tcp", Udp = "udp" }
}

/// `<range>` of a port forward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortRange {
    pub start: u32,
    pub end: Option<u32>,
    pub to: Option<u32>,
    pub exclude: Option<bool>,
}

/// `<portForward>`
#[derive(Clone, Debug, PartialEq)]
pub struct PortForward {
    pub protocol: ForwardProtocol,
    pub address: Option<std::net::IpAddr>,
    pub dev: Option<String>,
    pub ranges: Vec<PortRange>,
}

impl VirtualPort {
    /// Reads `<virtualport>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let kind = match node.attr("type") {
            None => None,
            Some(word) => {
                let unknown =
                    || Error::new(Domain::None, Code::ConfigUnsupported, format!("unknown virtualport type {word}"));
                Some(VirtualPortKind::from_word(word).ok_or_else(unknown)?)
            }
        };
        let mut port = Self { kind, ..Self::default() };
        let Some(p) = node.child("parameters") else { return port.checked() };
        let number = |name: &str, max: u32| match p.attr(name) {
            None => Ok(None),
            Some(text) => match xml::parse_u64(text, 0).and_then(|n| u32::try_from(n).ok()) {
                None => Err(xml_error(format!("cannot parse value of {} parameter", name.to_lowercase()))),
                Some(n) if n > max => Err(xml_error(format!("value of {} out of range", name.to_lowercase()))),
                n => Ok(n),
            },
        };
        let uuid = |name: &str| match p.attr(name) {
            None => Ok(None),
            Some(text) => xml::parse_uuid(text)
                .map(Some)
                .ok_or_else(|| xml_error(format!("cannot parse {name} parameter as a uuid"))),
        };
        port.manager_id = number("managerid", 255)?.map(|n| n as u8);
        port.type_id = number("typeid", 0xff_ffff)?;
        port.type_id_version = number("typeidversion", 255)?.map(|n| n as u8);
        port.instance_id = uuid("instanceid")?;
        port.profile_id = p.string("profileid");
        port.interface_id = uuid("interfaceid")?;
        if port.profile_id.as_ref().is_some_and(|p| p.len() > 39 && port.kind == Some(VirtualPortKind::Qbh)) {
            return Err(unsupported("profileid parameter too long"));
        }
        port.checked()
    }

    /// Refuses a port that lacks what its kind cannot do without.
    fn checked(self) -> Result<Self> {
        if self.kind == Some(VirtualPortKind::Qbh) && self.profile_id.is_none() {
            return Err(Error::new(Domain::Net, Code::XmlError, "missing profileid in <virtualport type='802.1Qbh'>"));
        }
        Ok(self)
    }

    /// Writes `<virtualport>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("virtualport", |w| {
            w.attr_opt("type", self.kind);
            w.element_if_any("parameters", |w| {
                w.attr_opt("managerid", self.manager_id);
                w.attr_opt("typeid", self.type_id);
                w.attr_opt("typeidversion", self.type_id_version);
                w.attr_opt("instanceid", self.instance_id.map(|u| xml::format_uuid(&u)));
                w.attr_opt("interfaceid", self.interface_id.map(|u| xml::format_uuid(&u)));
                w.attr_opt("profileid", self.profile_id.as_deref());
            });
        });
    }
}

impl Vlan {
    /// Reads `<vlan>`; one without tags is none.
    ///
    /// # Errors
    /// `XML_ERROR` for a tag outside 0 to 4095.
    pub fn parse(node: Node<'_>) -> Result<Option<Self>> {
        let mut tags = Vec::new();
        for tag in node.children("tag") {
            let id = tag.u32("id")?.ok_or_else(|| xml_error("missing or invalid vlan tag id attribute"))?;
            if id > 4095 {
                return Err(Error::new(
                    Domain::None,
                    Code::XmlError,
                    format!("vlan tag id {id} too large (maximum 4095)"),
                ));
            }
            tags.push((id, tag.word("nativeMode")?));
        }
        if tags.is_empty() {
            return Ok(None);
        }
        let trunk = node.attr("trunk").map(|t| t == "yes");
        if tags.len() > 1 && trunk == Some(false) {
            return Err(xml_error(
                "invalid \"trunk='no'\" in <vlan> - trunk='yes' is required for more than one vlan tag",
            ));
        }
        let trunk = (trunk == Some(true) || tags.len() > 1).then_some(true);
        Ok(Some(Self { trunk, tags }))
    }

    /// Writes `<vlan>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("vlan", |w| {
            w.yes_no("trunk", self.trunk);
            for (id, mode) in &self.tags {
                w.element("tag", |w| {
                    w.attr("id", id);
                    w.attr_opt("nativeMode", *mode);
                });
            }
        });
    }
}

impl PortForward {
    /// Reads `<portForward>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let protocol = node.required_word("proto")?;
        let address = match node.attr("address") {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|_| xml_error(format!("Invalid address '{text}' in <portForward>")))?)
            }
        };
        let mut ranges = Vec::new();
        for range in node.children("range") {
            ranges.push(PortRange {
                start: range.u32_nonzero("start")?.ok_or_else(|| xml::missing_attribute(range, "start"))?,
                end: range.u32_nonzero("end")?,
                to: range.u32_nonzero("to")?,
                exclude: range.yes_no("exclude")?,
            });
        }
        Ok(Self { protocol, address, dev: node.string("dev"), ranges })
    }

    /// Writes `<portForward>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("portForward", |w| {
            w.attr("proto", self.protocol);
            w.attr_opt("address", self.address);
            w.attr_opt("dev", self.dev.as_deref());
            for range in &self.ranges {
                w.element("range", |w| {
                    w.attr("start", range.start);
                    w.attr_opt("end", range.end);
                    w.attr_opt("to", range.to);
                    w.yes_no("exclude", range.exclude);
                });
            }
        });
    }
}
