//! What an interface asks of the switch port behind it, and forwarded ports of user networking.

use xml::text_enum;

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
