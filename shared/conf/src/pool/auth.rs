//! `<auth>`: which secret opens the source.

use error::{Code, Domain, Error};
use xml::{Node, Vocabulary, Writer};

use super::{unsupported, xml_error};

xml::text_enum! {
    /// Protocol of the credentials.
    pub enum AuthType { Chap = "chap", Ceph = "ceph" }
}

/// How the secret is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretLookup {
    /// By identity.
    Uuid([u8; 16]),
    /// By usage.
    Usage(String),
}

/// Credentials of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Protocol.
    pub kind: AuthType,
    /// User.
    pub username: String,
    /// `type` of the secret element.
    pub secret_type: Option<String>,
    /// The secret.
    pub secret: SecretLookup,
}

impl Auth {
    pub(crate) fn from_node(node: Node<'_>) -> error::Result<Self> {
        let username = node.string("username").ok_or_else(|| xml_error("missing username for auth"))?;
        let kind = match node.attr("type") {
            Some(word) => {
                Some(AuthType::from_word(word).ok_or_else(|| unsupported(format!("unknown auth type '{word}'")))?)
            }
            None => None,
        };
        let secret_node = node.child("secret").ok_or_else(|| xml_error("Missing <secret> element in auth"))?;
        let secret = SecretLookup::from_node(secret_node)?;
        let kind = kind.ok_or_else(|| unsupported("storage pool missing auth type"))?;
        Ok(Auth { kind, username, secret_type: secret_node.string("type"), secret })
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.element("auth", |w| {
            w.attr("type", self.kind);
            w.attr("username", &self.username);
            w.element("secret", |w| {
                w.attr_opt("type", self.secret_type.as_deref());
                self.secret.write(w);
            });
        });
    }
}

impl SecretLookup {
    /// Reads the `uuid` or `usage` attribute of `node`.
    ///
    /// # Errors
    /// `XML_ERROR` unless exactly one of them is there.
    pub(crate) fn from_node(node: Node<'_>) -> error::Result<Self> {
        // libvirt reports these without a domain
        let fail = |detail: String| Error::new(Domain::None, Code::XmlError, detail);
        match (node.attr("uuid"), node.attr("usage")) {
            (None, None) => Err(fail("missing secret uuid or usage attribute".into())),
            (Some(_), Some(_)) => Err(fail("either secret uuid or usage expected".into())),
            (Some(uuid), None) => xml::parse_uuid(uuid)
                .map(SecretLookup::Uuid)
                .ok_or_else(|| fail(format!("invalid secret uuid '{uuid}'"))),
            (None, Some(usage)) => Ok(SecretLookup::Usage(usage.to_owned())),
        }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        match self {
            SecretLookup::Uuid(uuid) => w.attr("uuid", xml::format_uuid(uuid)),
            SecretLookup::Usage(usage) => w.attr("usage", usage),
        }
    }
}
