//! Whether a processor can stand in for another.

use super::document::{CpuDocument, Match};
use super::feature;
use error::{Code, Domain, Error, Result};
use std::collections::BTreeSet;

/// What the comparison says, with the numbers of `virCPUCompareResult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// A guest with this CPU cannot run here.
    Incompatible = 0,
    /// Same features.
    Identical = 1,
    /// This host has all of them and more.
    Superset = 2,
}

/// The side that has to provide the features.
#[derive(Debug, Clone)]
pub struct Provider<'a> {
    /// Its architecture.
    pub arch: &'a str,
    /// Its maker.
    pub vendor: Option<&'a str>,
    /// Its features.
    pub features: &'a BTreeSet<String>,
}

/// Compares a document with what is provided.
///
/// # Errors
/// With `fail` an incompatible CPU is an error that says why (`VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE`).
pub fn compare(cpu: &CpuDocument, provider: &Provider<'_>, fail: bool) -> Result<Comparison> {
    match obstacle(cpu, provider) {
        Some(reason) if fail => Err(Error::new(Domain::Cpu, Code::CpuIncompatible, reason)),
        Some(_) => Ok(Comparison::Incompatible),
        None if cpu.model.is_some() && !surplus(cpu, provider) => Ok(Comparison::Identical),
        None => Ok(Comparison::Superset),
    }
}

fn surplus(cpu: &CpuDocument, provider: &Provider<'_>) -> bool {
    provider.features.iter().any(|name| !cpu.required.contains(name))
}

fn obstacle(cpu: &CpuDocument, provider: &Provider<'_>) -> Option<String> {
    if let Some(arch) = cpu.arch.as_deref().filter(|arch| *arch != provider.arch) {
        return Some(format!("CPU arch {arch} does not match host arch"));
    }
    if let Some(vendor) = cpu.vendor.as_deref().filter(|vendor| Some(*vendor) != provider.vendor) {
        return Some(format!("host CPU vendor does not match required CPU vendor {vendor}"));
    }
    let listed = |names: Vec<&String>| {
        let mut names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        names.sort_by_key(|name| feature::rank(name));
        names.join(", ")
    };
    let forbidden: Vec<&String> = cpu.forbidden.intersection(provider.features).collect();
    if !forbidden.is_empty() {
        return Some(format!("Host CPU provides forbidden features: {}", listed(forbidden)));
    }
    // Sub-features of nested virtualisation are not part of the processor's own description.
    let missing: Vec<&String> =
        cpu.required.difference(provider.features).filter(|name| !name.starts_with("vmx-")).collect();
    if !missing.is_empty() {
        return Some(format!("Host CPU does not provide required features: {}", listed(missing)));
    }
    if cpu.match_ == Match::Strict && surplus(cpu, provider) {
        return Some("Host CPU does not strictly match guest CPU: it has extra features".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::model::find;

    fn check(text: &str, expected: Comparison) {
        let features: BTreeSet<String> =
            find("EPYC-Rome").unwrap().features.iter().map(|name| (*name).to_owned()).collect();
        let provider = Provider { arch: "x86_64", vendor: Some("AMD"), features: &features };
        let cpu = CpuDocument::parse(text).unwrap();
        assert_eq!(compare(&cpu, &provider, false).unwrap(), expected, "{text}");
        assert_eq!(compare(&cpu, &provider, true).is_err(), expected == Comparison::Incompatible, "{text}");
    }

    #[test]
    fn cases() {
        use Comparison::{Identical, Incompatible, Superset};
        check("<cpu><arch>x86_64</arch><model>EPYC-Rome</model></cpu>", Identical);
        check("<cpu match='exact'><model>kvm64</model></cpu>", Superset);
        check("<cpu match='strict'><model>kvm64</model></cpu>", Incompatible);
        check("<cpu match='minimum'><model>kvm64</model><feature policy='forbid' name='avx'/></cpu>", Incompatible);
        check("<cpu><arch>x86_64</arch><model>Haswell</model></cpu>", Incompatible);
        check("<cpu><arch>aarch64</arch></cpu>", Incompatible);
        check("<cpu><model>kvm64</model><vendor>Intel</vendor></cpu>", Incompatible);
        check("<cpu/>", Superset);
    }

    #[test]
    fn bad_documents_are_refused_with_libvirts_texts() {
        for (text, code, message) in [
            ("<foo/>", 27, "XML error: XML does not contain expected 'cpu' element"),
            ("<cpu><model>nosuch</model></cpu>", 1, "internal error: Unknown CPU model nosuch"),
        ] {
            let error = CpuDocument::parse(text).unwrap_err();
            assert_eq!((error.code, error.domain, error.message.as_str()), (code, 31, message));
        }
    }
}
