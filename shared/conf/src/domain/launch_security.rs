//! Confidential guests.

use error::Result;
use xml::{Node, Writer, missing_attribute};

use super::fault::xml_error;

/// `<launchSecurity>`
#[derive(Clone, Debug, PartialEq)]
pub enum LaunchSecurity {
    Sev {
        common: SevCommon,
        policy: u32,
        dh_cert: Option<String>,
        session: Option<String>,
    },
    SevSnp {
        common: SevCommon,
        policy: u64,
        guest_visible_workarounds: Option<String>,
        id_block: Option<String>,
        id_auth: Option<String>,
        host_data: Option<String>,
        author_key: Option<bool>,
        vcek: Option<bool>,
    },
    S390Pv,
}

/// What both generations share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SevCommon {
    pub cbitpos: Option<u32>,
    pub reduced_phys_bits: Option<u32>,
    pub kernel_hashes: Option<bool>,
}

fn hex<T: TryFrom<u64>>(node: Node<'_>, name: &str) -> Result<T> {
    let child = node.child(name).ok_or_else(|| xml_error(format!("failed to get launch security {name}")))?;
    let value = xml::parse_u64(child.text().trim(), 16).and_then(|n| T::try_from(n).ok());
    value.ok_or_else(|| xml_error(format!("failed to get launch security {name}")))
}

impl SevCommon {
    fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name: &str, base: u32| match node.child(name) {
            None => Ok(None),
            Some(n) => xml::parse_u64(n.text().trim(), base)
                .and_then(|n| u32::try_from(n).ok())
                .map(Some)
                .ok_or_else(|| xml_error(format!("Invalid format for launch security {name}"))),
        };
        Ok(Self {
            cbitpos: number("cbitpos", 0)?,
            reduced_phys_bits: number("reducedPhysBits", 10)?,
            kernel_hashes: node.yes_no("kernelHashes")?,
        })
    }

    fn format(&self, w: &mut Writer) {
        w.leaf_opt("cbitpos", self.cbitpos);
        w.leaf_opt("reducedPhysBits", self.reduced_phys_bits);
    }
}

impl LaunchSecurity {
    /// Reads `<launchSecurity>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        let text = |name: &str| node.child_text(name);
        match node.attr("type") {
            None => Err(missing_attribute(node, "type")),
            Some("s390-pv") => Ok(Self::S390Pv),
            Some("sev") => Ok(Self::Sev {
                common: SevCommon::parse(node)?,
                policy: hex(node, "policy")?,
                dh_cert: text("dhCert"),
                session: text("session"),
            }),
            Some("sev-snp") => Ok(Self::SevSnp {
                common: SevCommon::parse(node)?,
                policy: hex(node, "policy")?,
                guest_visible_workarounds: text("guestVisibleWorkarounds"),
                id_block: text("idBlock"),
                id_auth: text("idAuth"),
                host_data: text("hostData"),
                author_key: node.yes_no("authorKey")?,
                vcek: node.yes_no("vcek")?,
            }),
            Some(word) => Err(xml::invalid_value(node, "type", word, "")),
        }
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element("launchSecurity", |w| match self {
            Self::S390Pv => w.attr("type", "s390-pv"),
            Self::Sev { common, policy, dh_cert, session } => {
                w.attr("type", "sev");
                w.yes_no("kernelHashes", common.kernel_hashes);
                common.format(w);
                w.leaf("policy", format_args!("0x{policy:04x}"));
                w.leaf_opt("dhCert", dh_cert.as_deref());
                w.leaf_opt("session", session.as_deref());
            }
            Self::SevSnp {
                common,
                policy,
                guest_visible_workarounds,
                id_block,
                id_auth,
                host_data,
                author_key,
                vcek,
            } => {
                w.attr("type", "sev-snp");
                w.yes_no("kernelHashes", common.kernel_hashes);
                w.yes_no("authorKey", *author_key);
                w.yes_no("vcek", *vcek);
                common.format(w);
                w.leaf("policy", format_args!("0x{policy:08x}"));
                w.leaf_opt("guestVisibleWorkarounds", guest_visible_workarounds.as_deref());
                w.leaf_opt("idBlock", id_block.as_deref());
                w.leaf_opt("idAuth", id_auth.as_deref());
                w.leaf_opt("hostData", host_data.as_deref());
            }
        });
    }
}
