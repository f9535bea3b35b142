//! From a set of features to the named model that describes it best.

use super::feature;
use super::model::{Model, models};
use std::collections::BTreeSet;

/// What the description is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The host itself: a model must not have a feature that the host lacks.
    Host,
    /// A guest: lacking features are switched off by name.
    Guest,
}

/// Whether a feature is there beside the model's own, or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// There.
    Require,
    /// Missing.
    Disable,
}

/// A model and how the processor differs from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The model's name.
    pub model: &'static str,
    /// Required features first, then disabled ones, each in libvirt's printing order.
    pub features: Vec<(&'static str, Policy)>,
}

impl Decoded {
    fn disabled(&self) -> usize {
        self.features.iter().filter(|(_, policy)| *policy == Policy::Disable).count()
    }
}

/// Signature of a processor that nobody has told.
pub const UNKNOWN: (u32, u32) = (0, 0);

/// Finds the model with the shortest list of differences. A model of the processor's own family and model number
/// goes before all others; models of another vendor are left out, as are those that `known` refuses.
///
/// # Errors
/// `None` when no model fits, which on a real processor does not happen.
pub fn decode(
    features: &BTreeSet<String>,
    vendor: Option<&str>,
    signature: (u32, u32),
    purpose: Purpose,
    known: impl Fn(&str) -> bool,
) -> Option<Decoded> {
    let mut best: Option<(&Model, Decoded)> = None;
    // libvirt looks at the newest models first, and keeps the first of equals.
    for model in models().iter().rev() {
        let of_vendor = model.vendor.is_none() || model.vendor == vendor;
        // Two models of an old distribution are there for guests that name them, not to describe processors.
        let retired = model.name.starts_with("cpu64-rhel");
        if !of_vendor || retired || !known(model.name) || (purpose == Purpose::Guest && model.is_version()) {
            continue;
        }
        let candidate = difference(model, features);
        if purpose == Purpose::Host && candidate.disabled() > 0 {
            continue;
        }
        let better = best.as_ref().is_none_or(|(current, found)| {
            let same = |model: &Model| signature != UNKNOWN && model.signature == signature;
            let (has, had) = (same(model), same(current));
            if has != had { has } else { cost(&candidate) < cost(found) }
        });
        if better {
            best = Some((model, candidate));
        }
    }
    best.map(|(_, decoded)| decoded)
}

/// All differences count, and those that are missing twice, as libvirt 11.3.0 weighs them.
fn cost(decoded: &Decoded) -> usize {
    decoded.features.len() + decoded.disabled()
}

fn difference(model: &Model, features: &BTreeSet<String>) -> Decoded {
    let required = feature::names().filter(|name| features.contains(*name) && !model.features.contains(name));
    let mut list: Vec<_> = required.map(|name| (name, Policy::Require)).collect();
    // What a model has of nested virtualisation (vmx-*) says nothing about the processor.
    let lacking = feature::names().filter(|name| !features.contains(*name) && model.features.contains(name));
    list.extend(lacking.map(|name| (name, Policy::Disable)));
    Decoded { model: model.name, features: list }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::model::find;

    fn features_of(name: &str, more: &[&str], less: &[&str]) -> BTreeSet<String> {
        let own = find(name).unwrap().features.iter().copied();
        own.chain(more.iter().copied()).filter(|name| !less.contains(name)).map(str::to_owned).collect()
    }

    #[test]
    fn a_model_describes_itself() {
        let decoded =
            decode(&features_of("EPYC-Rome", &[], &[]), Some("AMD"), (23, 49), Purpose::Guest, |_| true).unwrap();
        assert_eq!(decoded, Decoded { model: "EPYC-Rome", features: vec![] });
    }

    #[test]
    fn extra_features_are_required_and_missing_ones_disabled() {
        let features = features_of("Skylake-Client", &["hypervisor"], &["hle"]);
        let decoded =
            decode(&features, Some("Intel"), (6, 94), Purpose::Guest, |name| name == "Skylake-Client").unwrap();
        assert_eq!(decoded.features, [("hypervisor", Policy::Require), ("hle", Policy::Disable)]);
    }

    #[test]
    fn the_host_never_lacks_a_feature_of_its_model() {
        let features = features_of("EPYC-Genoa", &[], &["svm", "pku"]);
        let decoded = decode(&features, Some("AMD"), (25, 17), Purpose::Host, |_| true).unwrap();
        assert!(decoded.features.iter().all(|(_, policy)| *policy == Policy::Require));
        assert_ne!(decoded.model, "EPYC-Genoa");
    }

    #[test]
    fn other_vendors_are_left_out() {
        let decoded = decode(&features_of("EPYC", &[], &[]), Some("Intel"), (6, 1), Purpose::Guest, |_| true).unwrap();
        assert!(find(decoded.model).unwrap().vendor != Some("AMD"));
    }
}
