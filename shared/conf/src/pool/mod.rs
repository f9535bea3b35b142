//! `<pool>`: a place that volumes live in.
//!
//! [`PoolDef::parse`] reads, fills defaults and validates as libvirt 11.3.0 does, in its order, so that a document with two faults
//! reports the same one; [`PoolDef::format`] prints libvirt's form. Reading order of the folder: `kind` (what each type of pool
//! needs), `source` with `adapter` and `auth`, `permissions`, `options` (foreign namespaces), then
//! `schema` (the check that clients ask for) and `capabilities`.
//!
//! Nothing here touches a file or knows how a pool is started.

mod adapter;
mod auth;
mod capabilities;
mod kind;
mod options;
mod permissions;
mod schema;
mod source;
#[cfg(test)]
mod tests;

pub use adapter::{Adapter, AdapterParent};
pub use auth::{Auth, AuthType, SecretLookup};
pub use capabilities::capabilities;
pub use kind::{PoolType, SourceFormat};
pub use options::{MountOptions, RbdOptions};
pub use permissions::Permissions;
pub use schema::{validate_pool, validate_volume};
pub(crate) use source::document;
pub use source::{Device, Host, PoolSource};

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer};

xml::text_enum! {
    /// How the allocation of a volume is found at refresh (RBD).
    pub enum RefreshAllocation { Default = "default", Capacity = "capacity" }
}

/// Definition of a pool, with the figures of its last refresh.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolDef {
    /// How the pool works.
    pub kind: PoolType,
    /// Unique name; no slash.
    pub name: String,
    /// Identity; drawn when the document has none.
    pub uuid: [u8; 16],
    /// Bytes the pool can hold, of the last refresh.
    pub capacity: u64,
    /// Bytes in use, of the last refresh.
    pub allocation: u64,
    /// Bytes free, of the last refresh.
    pub available: u64,
    /// `<features><cow/>`: copy on write wanted or not (btrfs).
    pub cow: Option<bool>,
    /// Where the storage comes from.
    pub source: PoolSource,
    /// Where it appears on this host.
    pub target_path: Option<String>,
    /// Mode and owner of the target.
    pub permissions: Permissions,
    /// `<refresh><volume allocation=''/>`.
    pub refresh_allocation: Option<RefreshAllocation>,
    /// `fs:mount_opts`.
    pub mount_options: MountOptions,
    /// `rbd:config_opts`.
    pub rbd_options: RbdOptions,
}

pub(crate) fn xml_error(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::XmlError, detail)
}

pub(crate) fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::ConfigUnsupported, detail)
}

/// Collapses repeated slashes and drops a trailing one; exactly two leading slashes stay, as POSIX allows them a meaning.
pub fn sanitize_path(path: &str) -> String {
    let leading = path.len() - path.trim_start_matches('/').len();
    let keep = if leading == 2 {
        "//"
    } else if leading > 0 {
        "/"
    } else {
        ""
    };
    let rest: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("{keep}{}", rest.join("/"))
}

impl PoolDef {
    /// Reads a pool document.
    ///
    /// # Errors
    /// As libvirt: `XML_DETAIL` for bad markup, `XML_ERROR` for a missing or malformed part, `CONFIG_UNSUPPORTED` for an unknown word.
    pub fn parse(text: &str) -> Result<Self> {
        let document = document(text)?;
        let root = document.root();
        if !root.is("pool") {
            let detail = format!("expecting root element of 'pool', not '{}'", root.name());
            return Err(Error::new(Domain::Xml, Code::XmlError, detail));
        }
        Self::from_node(root)
    }

    /// Reads a `<pool>` element, such as the one inside a state file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_node(root: Node<'_>) -> Result<Self> {
        let kind: PoolType = root.required_word("type")?;
        let mut source = match root.child("source") {
            Some(node) => PoolSource::from_node(node, kind)?,
            None => PoolSource::empty(kind),
        };
        let name = root.child_text("name").or_else(|| source.name.clone().filter(|_| kind.needs().name));
        let name = name.ok_or_else(|| xml_error("missing pool source name element"))?;
        if name.contains('/') {
            return Err(xml_error(format!("name {name} cannot contain '/'")));
        }
        let uuid = match root.child_text("uuid") {
            Some(text) => xml::parse_uuid(&text).ok_or_else(|| xml_error("malformed uuid element"))?,
            None => *uuid::Uuid::new_v4().as_bytes(),
        };
        let cow = match root.path(&["features", "cow"]) {
            Some(node) => node.yes_no("state")?,
            None => None,
        };
        if cow.is_some() && !matches!(kind, PoolType::Fs | PoolType::Dir) {
            let detail = "cow feature may only be used for 'fs' and 'dir' pools";
            return Err(Error::new(Domain::Storage, Code::NoSupport, detail));
        }
        source.complete(kind, &name)?;
        let target = root.child("target");
        let target_path = target_path(kind, &source, target)?;
        let permissions = match target.and_then(|t| t.child("permissions")).filter(|_| kind.has_target()) {
            Some(node) => Permissions::from_node(node)?,
            None => Permissions::default(),
        };
        Ok(PoolDef {
            kind,
            name,
            uuid,
            capacity: 0,
            allocation: 0,
            available: 0,
            cow,
            source,
            target_path,
            permissions,
            refresh_allocation: refresh_allocation(root)?,
            mount_options: if kind.mounts() { MountOptions::from_node(root)? } else { MountOptions::default() },
            rbd_options: if kind == PoolType::Rbd { RbdOptions::from_node(root)? } else { RbdOptions::default() },
        })
    }

    /// The document in libvirt's form.
    pub fn format(&self) -> String {
        let mut w = Writer::new();
        self.write(&mut w);
        w.finish()
    }

    /// Adds the `<pool>` element to `w`.
    pub fn write(&self, w: &mut Writer) {
        w.element("pool", |w| {
            w.attr("type", self.kind);
            self.mount_options.declare(w);
            self.rbd_options.declare(w);
            w.leaf("name", &self.name);
            w.leaf("uuid", xml::format_uuid(&self.uuid));
            let bytes = |w: &mut Writer| w.attr("unit", "bytes");
            w.leaf_with("capacity", bytes, self.capacity);
            w.leaf_with("allocation", bytes, self.allocation);
            w.leaf_with("available", bytes, self.available);
            if let Some(cow) = self.cow {
                w.element("features", |w| w.element("cow", |w| w.yes_no("state", Some(cow))));
            }
            self.source.write(w, self.kind);
            if self.kind.has_target() {
                w.element("target", |w| {
                    w.leaf_opt("path", self.target_path.as_deref());
                    self.permissions.write(w);
                });
            }
            if let Some(allocation) = self.refresh_allocation {
                w.element("refresh", |w| w.element("volume", |w| w.attr("allocation", allocation)));
            }
            self.mount_options.write(w);
            self.rbd_options.write(w);
        });
    }

    /// The target's path, "" for a pool without one.
    pub fn target(&self) -> &str {
        self.target_path.as_deref().unwrap_or("")
    }
}

fn target_path(kind: PoolType, source: &PoolSource, target: Option<Node<'_>>) -> Result<Option<String>> {
    let source_name = source.name.as_deref().unwrap_or("");
    match kind {
        PoolType::Logical => Ok(Some(format!("/dev/{source_name}"))),
        PoolType::Zfs => Ok(Some(format!("/dev/zvol/{source_name}"))),
        _ if !kind.has_target() => Ok(None),
        _ => match target.and_then(|t| t.child_text("path")) {
            Some(path) => Ok(Some(sanitize_path(&path))),
            None => Err(xml_error("missing storage pool target path")),
        },
    }
}

fn refresh_allocation(root: Node<'_>) -> Result<Option<RefreshAllocation>> {
    let Some(node) = root.path(&["refresh", "volume"]) else { return Ok(None) };
    let Some(word) = node.non_empty("allocation") else { return Ok(None) };
    let found = <RefreshAllocation as xml::Vocabulary>::from_word(&word);
    found.map(Some).ok_or_else(|| unsupported(format!("unknown storage pool volume refresh allocation type {word}")))
}
