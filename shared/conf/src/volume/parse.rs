//! Reading a `<volume>` document.

use error::{Code, Domain, Error, Result};
use xml::{Node, Vocabulary};

use super::{VolumeBacking, VolumeDef, VolumeEncryption, VolumeFeature, VolumeFormat, VolumeTarget, VolumeType};
use crate::pool::{Permissions, PoolType, unsupported, xml_error};

/// What the document may leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Leniency {
    capacity: bool,
}

impl VolumeDef {
    /// Reads the document that creates a volume in a pool of type `pool`.
    ///
    /// # Errors
    /// As libvirt: `XML_ERROR` for a missing or malformed part, `CONFIG_UNSUPPORTED` for an unknown word.
    pub fn parse(text: &str, pool: PoolType) -> Result<Self> {
        Self::parse_with(text, pool, Leniency::default())
    }

    /// Reads the document of a clone, whose capacity may come from the original.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_clone(text: &str, pool: PoolType) -> Result<Self> {
        Self::parse_with(text, pool, Leniency { capacity: true })
    }

    fn parse_with(text: &str, pool: PoolType, leniency: Leniency) -> Result<Self> {
        let document = crate::pool::document(text)?;
        let root = document.root();
        if !root.is("volume") {
            let detail = format!("expecting root element of 'volume', not '{}'", root.name());
            return Err(Error::new(Domain::Xml, Code::XmlError, detail));
        }
        let name = root.child_text("name").ok_or_else(|| xml_error("missing volume name element"))?;
        let kind = match root.attr("type") {
            Some(word) => {
                VolumeType::from_word(word).ok_or_else(|| unsupported(format!("unknown volume type '{word}'")))?
            }
            None => VolumeType::File,
        };
        let backing = root.child("backingStore").map(backing).transpose()?.filter(|b| b.path.is_some());
        let capacity = match root.child("capacity").filter(|n| !n.text().is_empty()) {
            Some(node) => size(node)?,
            None if leniency.capacity || backing.is_some() => 0,
            None => return Err(xml_error("missing capacity element")),
        };
        let allocation = root.child("allocation").filter(|n| !n.text().is_empty()).map(size).transpose()?;
        let target = match root.child("target") {
            Some(node) => target(node, pool)?,
            None => VolumeTarget { format: pool.holds_files().then_some(VolumeFormat::Raw), ..VolumeTarget::default() },
        };
        Ok(VolumeDef {
            name,
            key: None,
            kind,
            capacity,
            allocation: allocation.unwrap_or(capacity),
            has_allocation: allocation.is_some(),
            physical: 0,
            target,
            backing,
        })
    }
}

/// A size with its unit, in bytes.
fn size(node: Node<'_>) -> Result<u64> {
    let value = xml::parse_u64(&node.text(), 10).ok_or_else(|| xml_error("malformed capacity element"))?;
    scaled(value, node.non_empty("unit").as_deref())
}

fn scaled(value: u64, unit: Option<&str>) -> Result<u64> {
    let unit = unit.unwrap_or("bytes");
    let factor = xml::scale(unit)
        .ok_or_else(|| Error::new(Domain::None, Code::InvalidArg, format!("unknown suffix '{unit}'")))?;
    let bytes = value.checked_mul(factor).filter(|bytes| *bytes <= i64::MAX as u64);
    bytes.ok_or_else(|| Error::new(Domain::None, Code::Overflow, format!("value too large: {value}{unit}")))
}

fn format(node: Node<'_>) -> Result<Option<VolumeFormat>> {
    let Some(word) = node.child("format").and_then(|f| f.non_empty("type")) else { return Ok(None) };
    let found = VolumeFormat::from_word(&word).filter(|f| *f != VolumeFormat::None);
    found.map(Some).ok_or_else(|| unsupported(format!("unknown volume format type {word}")))
}

fn permissions(node: Node<'_>) -> Result<Permissions> {
    node.child("permissions").map_or(Ok(Permissions::default()), Permissions::from_node)
}

fn backing(node: Node<'_>) -> Result<VolumeBacking> {
    // an overlay whose document names no format means raw: it is never probed
    let format = format(node)?.or(Some(VolumeFormat::Raw));
    Ok(VolumeBacking { path: node.child_text("path"), format, permissions: permissions(node)?, timestamps: None })
}

fn target(node: Node<'_>, pool: PoolType) -> Result<VolumeTarget> {
    let format = if pool.holds_files() { format(node)?.or(Some(VolumeFormat::Raw)) } else { None };
    let permissions = permissions(node)?;
    let encryption = node.child("encryption").map(VolumeEncryption::from_node).transpose()?;
    let mut compat = node.child_text("compat");
    if compat.as_deref().is_some_and(|c| !c.bytes().all(|b| b.is_ascii_digit() || b == b'.')) {
        return Err(xml_error("forbidden characters in 'compat' attribute"));
    }
    let cluster_size = match node.child("clusterSize") {
        Some(child) => {
            let text = child.text();
            let value = xml::parse_u64(&text, 10).ok_or_else(|| {
                let detail = format!("Invalid value '{text}' for element or attribute './target/clusterSize'");
                Error::new(Domain::Xml, Code::XmlError, detail)
            })?;
            Some(scaled(value, child.non_empty("unit").as_deref())?)
        }
        None => None,
    };
    let mut features = None;
    if let Some(list) = node.child("features") {
        compat.get_or_insert_with(|| "1.1".into());
        let mut found = Vec::new();
        for feature in list.elements() {
            let known = VolumeFeature::from_word(feature.name());
            found.push(known.ok_or_else(|| unsupported(format!("unsupported feature {}", feature.name())))?);
        }
        found.sort_unstable();
        found.dedup();
        features = Some(found);
    }
    Ok(VolumeTarget {
        path: None,
        format,
        permissions,
        timestamps: None,
        encryption,
        compat,
        nocow: node.child("nocow").is_some(),
        cluster_size,
        features,
    })
}
