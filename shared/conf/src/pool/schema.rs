//! The check that a client asks for with the validate flags: no element where libvirt's schema has none.
//!
//! libvirt runs its RELAX NG schemas here. What they protect users from is the misspelt or misplaced element that a parser ignores,
//! and that is what this looks for.

use error::{Code, Domain, Error, Result};
use xml::Node;

/// Elements and what may stand in them.
type Grammar = &'static [(&'static str, &'static [&'static str])];

const PERMISSIONS: (&str, &[&str]) = ("permissions", &["mode", "owner", "group", "label"]);
const TIMESTAMPS: (&str, &[&str]) = ("timestamps", &["atime", "mtime", "ctime", "btime"]);

const POOL: Grammar = &[
    ("pool", &["name", "uuid", "capacity", "allocation", "available", "features", "source", "target", "refresh"]),
    ("features", &["cow"]),
    (
        "source",
        &["host", "device", "dir", "adapter", "name", "initiator", "format", "protocol", "auth", "vendor", "product"],
    ),
    ("device", &["freeExtent"]),
    ("adapter", &["parentaddr"]),
    ("parentaddr", &["address"]),
    ("initiator", &["iqn"]),
    ("auth", &["secret"]),
    ("target", &["path", "permissions"]),
    PERMISSIONS,
    ("refresh", &["volume"]),
];

const VOLUME: Grammar = &[
    ("volume", &["name", "key", "source", "capacity", "allocation", "physical", "target", "backingStore"]),
    ("source", &["device"]),
    ("device", &["extent"]),
    (
        "target",
        &["path", "format", "permissions", "timestamps", "encryption", "compat", "nocow", "clusterSize", "features"],
    ),
    ("backingStore", &["path", "format", "permissions", "timestamps"]),
    ("encryption", &["secret", "cipher", "ivgen"]),
    ("features", &["lazy_refcounts", "extended_l2", "data_file"]),
    PERMISSIONS,
    TIMESTAMPS,
];

/// Refuses a pool document with an element of no meaning.
///
/// # Errors
/// `XML_INVALID_SCHEMA`; syntax errors as from parsing.
pub fn validate_pool(text: &str) -> Result<()> {
    check(super::document(text)?.root(), POOL, "storagepool.rng")
}

/// Refuses a volume document with an element of no meaning.
///
/// # Errors
/// As [`validate_pool`].
pub fn validate_volume(text: &str) -> Result<()> {
    check(super::document(text)?.root(), VOLUME, "storagevol.rng")
}

fn check(node: Node<'_>, grammar: Grammar, schema: &str) -> Result<()> {
    let allowed = grammar.iter().find(|(name, _)| *name == node.name()).map_or(&[][..], |(_, allowed)| *allowed);
    for child in node.elements().filter(|child| child.namespace().is_none()) {
        if !allowed.contains(&child.name()) {
            let detail = format!(
                "Unable to validate doc against /usr/share/libvirt/schemas/{schema}\nExtra element {} in interleave\n\
                 Element {} failed to validate content\n",
                child.name(),
                node.name()
            );
            return Err(Error::new(Domain::Xml, Code::XmlInvalidSchema, detail));
        }
        check(child, grammar, schema)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_out_of_place() {
        let pool =
            |inner: &str| format!("<pool type='dir'><name>a</name>{inner}<target><path>/a</path></target></pool>");
        validate_pool(&pool("<source><host name='h'/></source><fs:mount_opts xmlns:fs='x'/>")).unwrap();
        for inner in ["<foo/>", "<path>/b</path>", "<source><targett/></source>", "<name><b/></name>"] {
            let e = validate_pool(&pool(inner)).unwrap_err();
            assert_eq!((e.code, e.domain), (92, 5), "{inner}");
        }
        validate_volume("<volume><name>a</name><capacity>1</capacity><target><features><lazy_refcounts/></features></target></volume>").unwrap();
        assert_eq!(validate_volume("<volume><foo/><name>a</name></volume>").unwrap_err().code, 92);
    }
}
