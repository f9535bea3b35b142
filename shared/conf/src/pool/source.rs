//! `<source>`: what a pool is made from.

use error::{Code, Domain, Error, Result};
use xml::{Document, Node, Writer};

use super::{Adapter, Auth, PoolType, sanitize_path, unsupported, xml_error};

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name or address.
    pub name: String,
    /// Port; 0 = the protocol's own.
    pub port: i32,
}

/// A device or target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its path or name.
    pub path: String,
    /// Whether a `p` stands between the disk's name and a partition's number.
    pub part_separator: Option<bool>,
}

/// Where the storage of a pool comes from. Which parts count depends on the pool's type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSource {
    /// Servers.
    pub hosts: Vec<Host>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Exported directory.
    pub dir: Option<String>,
    /// SCSI host.
    pub adapter: Option<Adapter>,
    /// Volume group, Ceph pool, gluster volume, cluster.
    pub name: Option<String>,
    /// Name of the iSCSI initiator.
    pub initiator_iqn: Option<String>,
    /// Word of `<format>`, for the types that have one.
    pub format: Option<&'static str>,
    /// Version of the network protocol.
    pub protocol_version: Option<String>,
    /// Credentials.
    pub auth: Option<Auth>,
    /// Vendor of the storage.
    pub vendor: Option<String>,
    /// Product name of the storage.
    pub product: Option<String>,
}

/// Parses a document of the storage driver: syntax errors carry its domain.
pub(crate) fn document(text: &str) -> Result<Document<'_>> {
    xml::parse(text).map_err(|e| match e.code() {
        Some(Code::XmlDetail) => Error { domain: Domain::Storage as i32, ..e },
        _ => e,
    })
}

impl PoolSource {
    pub(crate) fn empty(kind: PoolType) -> Self {
        PoolSource { format: kind.source_formats().map(|f| f.default), ..Self::default() }
    }

    /// Reads the element in libvirt's order.
    pub(crate) fn from_node(node: Node<'_>, kind: PoolType) -> Result<Self> {
        let name = node.child_text("name");
        if kind == PoolType::Rbd && name.is_none() {
            return Err(xml_error("element 'name' is mandatory for RBD pool"));
        }
        let format = format(node, kind)?;
        let mut hosts = Vec::new();
        for host in node.children("host") {
            let name = host.string("name").ok_or_else(|| xml_error("missing storage pool host name"))?;
            hosts.push(Host { name, port: host.i32("port")?.unwrap_or(0) });
        }
        let initiator_iqn = node.path(&["initiator", "iqn"]).and_then(|iqn| iqn.non_empty("name"));
        let mut devices = Vec::new();
        for device in node.children("device") {
            let path = device.string("path").ok_or_else(|| xml_error("missing storage pool source device path"))?;
            devices.push(Device { path, part_separator: device.yes_no("part_separator")? });
        }
        let dir = node.child("dir").and_then(|dir| dir.non_empty("path")).map(|path| sanitize_path(&path));
        let adapter = node.child("adapter").map(Adapter::from_node).transpose()?.flatten();
        let auth = node.child("auth").map(Auth::from_node).transpose()?;
        let protocol_version = node.child("protocol").and_then(|p| p.non_empty("ver"));
        if let Some(version) = protocol_version.as_deref().filter(|v| v.contains(',')) {
            let detail = format!("storage pool protocol ver '{version}' must not contain ','");
            return Err(Error::new(Domain::Storage, Code::XmlDetail, detail));
        }
        let word = |element: &str| node.child(element).and_then(|n| n.non_empty("name"));
        let (vendor, product) = (word("vendor"), word("product"));
        Ok(PoolSource {
            hosts,
            devices,
            dir,
            adapter,
            name,
            initiator_iqn,
            format,
            protocol_version,
            auth,
            vendor,
            product,
        })
    }

    /// Checks what the type requires, and fills what may be left out.
    pub(crate) fn complete(&mut self, kind: PoolType, pool_name: &str) -> Result<()> {
        let needs = kind.needs();
        if needs.host && self.hosts.is_empty() {
            return Err(xml_error("missing storage pool source host name"));
        }
        if kind == PoolType::Gluster && self.dir.is_none() {
            self.dir = Some("/".into());
        }
        if needs.dir && self.dir.is_none() {
            return Err(xml_error("missing storage pool source path"));
        }
        if needs.name && self.name.is_none() {
            self.name = Some(pool_name.to_owned());
        }
        if needs.adapter && self.adapter.is_none() {
            return Err(xml_error("missing storage pool source adapter"));
        }
        if needs.device_required && self.devices.is_empty() {
            return Err(xml_error("missing storage pool source device name"));
        }
        if kind == PoolType::IscsiDirect && self.initiator_iqn.is_none() {
            return Err(unsupported("missing initiator IQN"));
        }
        if self.protocol_version.is_some() && !(kind == PoolType::Netfs && self.format == Some("nfs")) {
            let detail = format!(
                "storage pool protocol ver unsupported for pool type '{}'",
                self.format.unwrap_or(xml::Vocabulary::word(kind))
            );
            return Err(unsupported(detail));
        }
        Ok(())
    }

    pub(crate) fn write(&self, w: &mut Writer, kind: PoolType) {
        let needs = kind.needs();
        w.element_split("source", |w| {
            for host in self.hosts.iter().filter(|_| needs.host) {
                w.element("host", |w| {
                    w.attr("name", &host.name);
                    w.attr_opt("port", Some(host.port).filter(|port| *port != 0));
                });
            }
            for device in self.devices.iter().filter(|_| needs.device) {
                w.element("device", |w| {
                    w.attr("path", &device.path);
                    w.yes_no("part_separator", device.part_separator);
                });
            }
            if let Some(dir) = self.dir.as_deref().filter(|_| needs.dir) {
                w.element("dir", |w| w.attr("path", dir));
            }
            if let Some(adapter) = self.adapter.as_ref().filter(|_| needs.adapter) {
                adapter.write(w);
            }
            w.leaf_opt("name", self.name.as_deref().filter(|_| needs.name));
            if let Some(iqn) = self.initiator_iqn.as_deref().filter(|_| needs.initiator) {
                w.element("initiator", |w| w.element("iqn", |w| w.attr("name", iqn)));
            }
            if let Some(format) = self.format {
                w.element("format", |w| w.attr("type", format));
            }
            if let Some(version) = &self.protocol_version {
                w.element("protocol", |w| w.attr("ver", version));
            }
            if let Some(auth) = &self.auth {
                auth.write(w);
            }
            for (element, name) in [("vendor", &self.vendor), ("product", &self.product)] {
                if let Some(name) = name {
                    w.element(element, |w| w.attr("name", name));
                }
            }
        });
    }
}

fn format(node: Node<'_>, kind: PoolType) -> Result<Option<&'static str>> {
    let Some(formats) = kind.source_formats() else { return Ok(None) };
    let Some(word) = node.child("format").and_then(|f| f.non_empty("type")) else { return Ok(Some(formats.default)) };
    let known = formats.words.iter().find(|w| **w == word).copied();
    known.map(Some).ok_or_else(|| unsupported(format!("unknown pool format type {word}")))
}
