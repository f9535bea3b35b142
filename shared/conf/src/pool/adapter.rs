//! `<adapter>`: the SCSI or Fibre Channel host of a pool.

use error::{Code, Domain, Error};
use xml::{Node, Writer};

use super::xml_error;

xml::text_enum! {
    /// Kind of host.
    enum AdapterType { ScsiHost = "scsi_host", FcHost = "fc_host" }
}

/// A SCSI host found by the PCI device that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterParent {
    /// Which of the hosts on that device.
    pub unique_id: i64,
    /// PCI domain, bus, slot, function.
    pub address: (u32, u32, u32, u32),
}

/// Host of a `scsi` pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// By name, `hostN` or `scsi_hostN`.
    Name(String),
    /// By its parent device.
    Parent(AdapterParent),
    /// A virtual Fibre Channel host.
    FcHost {
        /// Node name to create on.
        parent: Option<String>,
        /// The same by world wide names and fabric.
        parent_wwnn: Option<String>,
        /// World wide port name of the parent.
        parent_wwpn: Option<String>,
        /// Fabric of the parent.
        parent_fabric_wwn: Option<String>,
        /// Whether it is removed when the pool stops.
        managed: Option<bool>,
        /// World wide node name.
        wwnn: String,
        /// World wide port name.
        wwpn: String,
    },
}

impl Adapter {
    /// Reads the element; `None` when it names nothing.
    pub(crate) fn from_node(node: Node<'_>) -> error::Result<Option<Self>> {
        match node.word::<AdapterType>("type")? {
            Some(AdapterType::ScsiHost) => scsi_host(node).map(Some),
            Some(AdapterType::FcHost) => fc_host(node).map(Some),
            None => untyped(node),
        }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.element("adapter", |w| match self {
            Adapter::Name(name) => {
                w.attr("type", AdapterType::ScsiHost);
                w.attr("name", name);
            }
            Adapter::Parent(parent) => {
                w.attr("type", AdapterType::ScsiHost);
                w.element("parentaddr", |w| {
                    w.attr("unique_id", parent.unique_id);
                    let (domain, bus, slot, function) = parent.address;
                    w.element("address", |w| {
                        w.attr("domain", format_args!("0x{domain:04x}"));
                        w.attr("bus", format_args!("0x{bus:02x}"));
                        w.attr("slot", format_args!("0x{slot:02x}"));
                        w.attr("function", format_args!("0x{function:x}"));
                    });
                });
            }
            Adapter::FcHost { parent, parent_wwnn, parent_wwpn, parent_fabric_wwn, managed, wwnn, wwpn } => {
                w.attr("type", AdapterType::FcHost);
                w.attr_opt("parent", parent.as_deref());
                w.attr_opt("parent_wwnn", parent_wwnn.as_deref());
                w.attr_opt("parent_wwpn", parent_wwpn.as_deref());
                w.attr_opt("parent_fabric_wwn", parent_fabric_wwn.as_deref());
                w.yes_no("managed", *managed);
                w.attr("wwnn", wwnn);
                w.attr("wwpn", wwpn);
            }
        });
    }
}

/// The form of libvirt before adapters had types: a name alone.
fn untyped(node: Node<'_>) -> error::Result<Option<Adapter>> {
    if node.attr("wwnn").is_some() || node.attr("wwpn").is_some() || node.attr("parent").is_some() {
        let detail = "Use of 'wwnn', 'wwpn', and 'parent' attributes requires use of the adapter 'type'";
        return Err(xml_error(detail));
    }
    if node.child("parentaddr").is_some() {
        return Err(xml_error("Use of 'parentaddr' element requires use of the adapter 'type'"));
    }
    Ok(node.string("name").map(Adapter::Name))
}

fn scsi_host(node: Node<'_>) -> error::Result<Adapter> {
    let name = node.string("name");
    let Some(parent) = node.child("parentaddr") else {
        let missing = "Either 'name' or 'parent' must be specified for the 'scsi_host' adapter";
        return name.map(Adapter::Name).ok_or_else(|| xml_error(missing));
    };
    if name.is_some() {
        return Err(xml_error("Both 'name' and 'parent' cannot be specified for the 'scsi_host' adapter"));
    }
    let unique_id = parent.attr("unique_id").and_then(|text| xml::parse_i64(text, 10));
    let unique_id = unique_id.ok_or_else(|| xml_error("Missing or invalid scsi adapter 'unique_id' value"))?;
    let address = parent.child("address").ok_or_else(|| xml_error("Missing scsi_host PCI address element"))?;
    let part = |name: &str| Ok::<u32, Error>(address.u32_base(name, 0)?.unwrap_or(0));
    let address = (part("domain")?, part("bus")?, part("slot")?, part("function")?);
    Ok(Adapter::Parent(AdapterParent { unique_id, address }))
}

fn fc_host(node: Node<'_>) -> error::Result<Adapter> {
    let managed = node.yes_no("managed")?;
    let (Some(wwnn), Some(wwpn)) = (node.string("wwnn"), node.string("wwpn")) else {
        return Err(xml_error("'wwnn' and 'wwpn' must be specified for adapter type 'fchost'"));
    };
    for wwn in [Some(&wwnn), Some(&wwpn), node.string("parent_wwnn").as_ref(), node.string("parent_wwpn").as_ref()]
        .into_iter()
        .flatten()
    {
        if wwn.len() != 16 || !wwn.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::new(Domain::None, Code::InternalError, format!("Malformed wwn: {wwn}")));
        }
    }
    Ok(Adapter::FcHost {
        parent: node.string("parent"),
        parent_wwnn: node.string("parent_wwnn"),
        parent_wwpn: node.string("parent_wwpn"),
        parent_fabric_wwn: node.string("parent_fabric_wwn"),
        managed,
        wwnn,
        wwpn,
    })
}
