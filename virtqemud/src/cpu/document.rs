//! `<cpu>` documents as the comparing and baseline calls take them.

use super::feature;
use super::model::{self, Model};
use error::{Code, Domain, Error, Result};
use std::collections::BTreeSet;

/// How a guest's processor must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// At least this.
    AtLeast,
    /// Exactly this, nothing more.
    Strict,
}

/// A processor by model and features.
#[derive(Debug, Clone)]
pub struct CpuDocument {
    /// Only documents of hosts name an architecture.
    pub arch: Option<String>,
    /// The named model.
    pub model: Option<&'static Model>,
    /// The maker, when the document names one.
    pub vendor: Option<String>,
    /// How it must match.
    pub match_: Match,
    /// Features that must be there, those of the model included.
    pub required: BTreeSet<String>,
    /// Features that must not be there.
    pub forbidden: BTreeSet<String>,
}

impl CpuDocument {
    /// Reads a document.
    ///
    /// # Errors
    /// As libvirt: not XML, another root element, an unknown model, an unknown feature or policy.
    pub fn parse(text: &str) -> Result<CpuDocument> {
        let of_cpu = |error: Error| Error { domain: Domain::Cpu as i32, ..error };
        let document = xml::parse(text).map_err(of_cpu)?;
        let root = document.root();
        if !root.is("cpu") {
            return Err(Error::new(Domain::Cpu, Code::XmlError, "XML does not contain expected 'cpu' element"));
        }
        let name = root.child_text("model").filter(|name| !name.is_empty());
        let model = name.map(|name| {
            let unknown = || Error::new(Domain::Cpu, Code::InternalError, format!("Unknown CPU model {name}"));
            model::find(&name).ok_or_else(unknown)
        });
        let model = model.transpose()?;
        let mut required: BTreeSet<String> =
            model.iter().flat_map(|model| model.features.iter().map(|name| (*name).to_owned())).collect();
        let mut forbidden = BTreeSet::new();
        for node in root.children("feature") {
            let name =
                node.attr("name").ok_or_else(|| Error::new(Domain::Cpu, Code::XmlError, "Invalid CPU feature name"))?;
            if !known(name) {
                return Err(Error::new(Domain::Cpu, Code::InternalError, format!("Unknown CPU feature {name}")));
            }
            match node.attr("policy").unwrap_or("require") {
                "force" | "optional" => {}
                "require" => drop(required.insert(name.to_owned())),
                "disable" => drop(required.remove(name)),
                "forbid" => {
                    required.remove(name);
                    forbidden.insert(name.to_owned());
                }
                _ => return Err(Error::new(Domain::Cpu, Code::InternalError, "Invalid CPU feature policy")),
            }
        }
        let match_ = if root.attr("match") == Some("strict") { Match::Strict } else { Match::AtLeast };
        let vendor = root.child_text("vendor").filter(|name| !name.is_empty());
        Ok(CpuDocument { arch: root.child_text("arch"), model, vendor, match_, required, forbidden })
    }
}

fn known(name: &str) -> bool {
    feature::rank(name) != usize::MAX
        || name.starts_with("vmx-")
        || model::models().iter().any(|model| model.features.contains(name))
}
