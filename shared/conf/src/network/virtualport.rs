//! `<virtualport>`: what a smart switch must be told when a port attaches.

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer, text_enum};

text_enum! {
    /// Kind of switch.
    pub enum VirtualPortKind {
        None = "none", Qbg = "802.1Qbg", Qbh = "802.1Qbh", OpenVSwitch = "openvswitch", Midonet = "midonet",
    }
}

/// `<virtualport>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtualPort {
    /// Kind of switch; left out where another level names it.
    pub kind: Option<VirtualPortKind>,
    /// 802.1Qbg: database of the type.
    pub manager_id: Option<u8>,
    /// 802.1Qbg: type, 24 bits.
    pub type_id: Option<u32>,
    /// 802.1Qbg: version of the type.
    pub type_id_version: Option<u8>,
    /// 802.1Qbg: identity of the station instance.
    pub instance_id: Option<[u8; 16]>,
    /// Open vSwitch, Midonet: identity of the port.
    pub interface_id: Option<[u8; 16]>,
    /// 802.1Qbh, Open vSwitch: port profile.
    pub profile_id: Option<String>,
}

fn fault(detail: impl Into<String>) -> Error {
    Error::new(Domain::None, Code::XmlError, detail)
}

impl VirtualPort {
    /// Reads element `<virtualport>`.
    ///
    /// # Errors
    /// libvirt's texts; `require_type`: an element without a type is refused.
    pub fn parse(node: Node<'_>, require_type: bool) -> Result<Self> {
        let unknown =
            |word: &str| Error::new(Domain::None, Code::ConfigUnsupported, format!("unknown virtualport type {word}"));
        let kind: Option<VirtualPortKind> = match node.attr("type") {
            None if require_type => return Err(fault("missing required virtualport type")),
            None => None,
            Some(word) => {
                let kind = xml::Vocabulary::from_word(word).filter(|k| *k != VirtualPortKind::None);
                Some(kind.ok_or_else(|| unknown(word))?)
            }
        };
        let mut port = Self { kind, ..Self::default() };
        let Some(node) = node.child("parameters") else { return Ok(port) };
        let number = |name: &str, max: u64| -> Result<Option<u64>> {
            let Some(text) = node.attr(name) else { return Ok(None) };
            let value =
                xml::parse_u64(text, 0).ok_or_else(|| fault(format!("cannot parse value of {name} parameter")))?;
            if value > max {
                return Err(fault(format!("value of {name} out of range")));
            }
            Ok(Some(value))
        };
        let uuid = |name: &str| -> Result<Option<[u8; 16]>> {
            let Some(text) = node.attr(name) else { return Ok(None) };
            xml::parse_uuid(text).map(Some).ok_or_else(|| fault(format!("cannot parse {name} parameter as a uuid")))
        };
        port.manager_id = number("managerid", 0xff)?.and_then(|n| u8::try_from(n).ok());
        port.type_id = number("typeid", 0xff_ffff)?.and_then(|n| u32::try_from(n).ok());
        port.type_id_version = number("typeidversion", 0xff)?.and_then(|n| u8::try_from(n).ok());
        port.instance_id = uuid("instanceid")?;
        port.interface_id = uuid("interfaceid")?;
        port.profile_id = node.string("profileid");
        if let Some(profile) = &port.profile_id
            && profile.len() >= 40
        {
            return Err(fault("profileid parameter too long"));
        }
        port.check_extra()?;
        Ok(port)
    }

    /// Refuses parameters that the kind does not have.
    fn check_extra(&self) -> Result<()> {
        let Some(kind) = self.kind else { return Ok(()) };
        use VirtualPortKind::{Midonet, OpenVSwitch, Qbg, Qbh};
        let rows = [
            ("managerid", self.manager_id.is_some(), kind == Qbg),
            ("typeid", self.type_id.is_some(), kind == Qbg),
            ("typeidversion", self.type_id_version.is_some(), kind == Qbg),
            ("instanceid", self.instance_id.is_some(), kind == Qbg),
            ("profileid", self.profile_id.is_some(), matches!(kind, Qbh | OpenVSwitch)),
            ("interfaceid", self.interface_id.is_some(), matches!(kind, OpenVSwitch | Midonet)),
        ];
        match rows.iter().find(|(_, given, allowed)| *given && !allowed) {
            Some((name, ..)) => {
                let detail = format!("extra {name} unsupported in <virtualport type='{kind}'>");
                Err(Error::new(Domain::Net, Code::XmlError, detail))
            }
            None => Ok(()),
        }
    }

    /// Writes element `<virtualport>`.
    pub fn write(&self, w: &mut Writer) {
        if self.kind == Some(VirtualPortKind::None) || *self == Self::default() {
            return;
        }
        w.element("virtualport", |w| {
            w.attr_opt("type", self.kind);
            w.element_if_any("parameters", |w| {
                w.attr_opt("managerid", self.manager_id);
                w.attr_opt("typeid", self.type_id);
                w.attr_opt("typeidversion", self.type_id_version);
                w.attr_opt("instanceid", self.instance_id.as_ref().map(xml::format_uuid));
                w.attr_opt("interfaceid", self.interface_id.as_ref().map(xml::format_uuid));
                w.attr_opt("profileid", self.profile_id.as_deref());
            });
        });
    }

    /// This port with what `outer` says where this one is silent.
    pub fn merged(&self, outer: Option<&Self>) -> Self {
        let Some(outer) = outer else { return self.clone() };
        Self {
            kind: self.kind.or(outer.kind),
            manager_id: self.manager_id.or(outer.manager_id),
            type_id: self.type_id.or(outer.type_id),
            type_id_version: self.type_id_version.or(outer.type_id_version),
            instance_id: self.instance_id.or(outer.instance_id),
            interface_id: self.interface_id.or(outer.interface_id),
            profile_id: self.profile_id.clone().or_else(|| outer.profile_id.clone()),
        }
    }
}
