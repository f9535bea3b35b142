//! The richest processor that all of several can play.

use super::decode::{Policy, Purpose, UNKNOWN, decode};
use super::document::CpuDocument;
use super::feature;
use error::{Code, Domain, Error, Result};
use std::collections::BTreeSet;
use xml::Writer;

/// `VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES`: list the model's own features too.
pub const EXPAND_FEATURES: u32 = 1;
/// `VIR_CONNECT_BASELINE_CPU_MIGRATABLE`: leave out what stops migration.
pub const MIGRATABLE: u32 = 2;

/// Features that a guest cannot take along.
const NOT_MIGRATABLE: &[&str] = &["invtsc", "cmt"];
/// Bits that show what the running operating system has switched on, not what the processor has.
const OF_THE_SYSTEM: &[&str] = &["osxsave", "ospke"];

/// The `<cpu>` document for guests that run on all of `cpus`. `offered` restricts features and models to those of one
/// emulator.
///
/// # Errors
/// `VIR_ERR_OPERATION_FAILED` when the makers differ, `VIR_ERR_INTERNAL_ERROR` when a document has no model.
pub fn baseline(
    cpus: &[CpuDocument],
    flags: u32,
    offered: Option<(&BTreeSet<String>, &dyn Fn(&str) -> bool)>,
) -> Result<String> {
    let failed = |text: &str| Error::new(Domain::Cpu, Code::OperationFailed, text);
    let first = cpus.first().ok_or_else(|| failed("no CPUs given"))?;
    if let Some(at) = cpus.iter().position(|cpu| cpu.model.is_none()) {
        return Err(Error::new(Domain::Cpu, Code::OperationInvalid, format!("No CPU model specified at index {at}")));
    }
    let mut vendor: Option<&str> = None;
    for own in cpus.iter().filter_map(|cpu| cpu.vendor.as_deref()) {
        if vendor.is_some_and(|vendor| vendor != own) {
            return Err(failed("CPU vendors do not match"));
        }
        vendor = Some(own);
    }
    let mut features = first.required.clone();
    for cpu in &cpus[1..] {
        features.retain(|name| cpu.required.contains(name));
    }
    if let Some((provided, _)) = offered {
        features.retain(|name| provided.contains(name) || name.starts_with("vmx-"));
    }
    features.retain(|name| !OF_THE_SYSTEM.contains(&name.as_str()));
    if flags & MIGRATABLE != 0 {
        features.retain(|name| !NOT_MIGRATABLE.contains(&name.as_str()));
    }
    let known = |name: &str| offered.is_none_or(|(_, known)| known(name));
    let shared =
        first.model.filter(|model| cpus.iter().all(|cpu| cpu.model.is_some_and(|other| other.name == model.name)));
    // The model that all of them name is kept; otherwise the nearest one, for any maker when theirs is not named.
    let named = shared.filter(|model| known(model.name) && first.arch.is_some() && !is_host(cpus));
    let decoded = match named {
        Some(model) => {
            decode(&features, vendor.or(model.vendor), model.signature, Purpose::Guest, |name| name == model.name)
        }
        None => decode(&features, vendor.or_else(|| common_vendor(cpus)), UNKNOWN, Purpose::Guest, known),
    };
    let decoded = decoded.ok_or_else(|| failed("no CPU model describes these CPUs"))?;
    let forbid = shared.is_some_and(|model| model.name == decoded.model);
    let mut list = decoded.features.clone();
    if flags & EXPAND_FEATURES != 0 {
        let own = features.iter().filter_map(|name| feature::names().find(|known| known == name));
        list.extend(own.map(|name| (name, Policy::Require)));
        list.sort_by_key(|(name, _)| feature::rank(name));
        list.dedup_by_key(|(name, _)| *name);
    }
    let mut w = Writer::new();
    w.element("cpu", |w| {
        w.attr("mode", "custom");
        w.attr("match", "exact");
        w.leaf_with("model", |w| w.attr("fallback", if forbid { "forbid" } else { "allow" }), decoded.model);
        w.leaf_opt("vendor", vendor.filter(|_| cpus.iter().all(|cpu| cpu.vendor.is_some())));
        for (name, policy) in &list {
            w.element("feature", |w| {
                w.attr("policy", if *policy == Policy::Require { "require" } else { "disable" });
                w.attr("name", name);
            });
        }
    });
    Ok(w.finish())
}

/// A host's description names the nearest model without missing features, which is seldom what guests want.
fn is_host(cpus: &[CpuDocument]) -> bool {
    cpus.iter().any(|cpu| cpu.required.contains("hypervisor") || cpu.required.contains("osxsave"))
}

fn common_vendor(cpus: &[CpuDocument]) -> Option<&'static str> {
    let mut vendors = cpus.iter().map(|cpu| cpu.model.and_then(|model| model.vendor));
    let first = vendors.next()??;
    vendors.all(|vendor| vendor == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str], flags: u32) -> Result<String> {
        let cpus: Vec<CpuDocument> = texts.iter().map(|text| CpuDocument::parse(text).unwrap()).collect();
        baseline(&cpus, flags, None)
    }

    #[test]
    fn one_model_stays_itself() {
        let text = of(
            &["<cpu><arch>x86_64</arch><model>Haswell</model><feature name='x2apic'/><feature name='ss'/></cpu>"],
            0,
        )
        .unwrap();
        assert_eq!(
            text,
            "<cpu mode='custom' match='exact'>\n  <model fallback='forbid'>Haswell</model>\n  <feature policy='require' name='ss'/>\n</cpu>\n"
        );
    }

    #[test]
    fn what_stops_migration_is_left_out_on_request() {
        let text = of(
            &["<cpu><arch>x86_64</arch><model>Haswell</model><feature policy='require' name='invtsc'/></cpu>"],
            MIGRATABLE,
        )
        .unwrap();
        assert_eq!(text, "<cpu mode='custom' match='exact'>\n  <model fallback='forbid'>Haswell</model>\n</cpu>\n");
    }

    #[test]
    fn the_older_of_two() {
        let text = of(
            &[
                "<cpu><arch>x86_64</arch><model>Haswell</model><vendor>Intel</vendor></cpu>",
                "<cpu><arch>x86_64</arch><model>Skylake-Client</model><vendor>Intel</vendor></cpu>",
            ],
            0,
        );
        assert_eq!(
            text.unwrap(),
            "<cpu mode='custom' match='exact'>\n  <model fallback='allow'>Haswell</model>\n  <vendor>Intel</vendor>\n</cpu>\n"
        );
    }

    #[test]
    fn makers_do_not_mix() {
        let error = of(
            &[
                "<cpu><arch>x86_64</arch><model>Haswell</model><vendor>Intel</vendor></cpu>",
                "<cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor></cpu>",
            ],
            0,
        );
        assert_eq!(error.unwrap_err().message, "operation failed: CPU vendors do not match");
        let mixed = of(
            &[
                "<cpu><arch>x86_64</arch><model>Haswell</model></cpu>",
                "<cpu><arch>x86_64</arch><model>EPYC</model></cpu>",
            ],
            0,
        )
        .unwrap();
        assert!(mixed.contains(">kvm64</model>") && mixed.contains("name='avx2'"), "{mixed}");
    }

    #[test]
    fn expanded_lists_have_everything_once() {
        let text = of(&["<cpu><arch>x86_64</arch><model>kvm64</model></cpu>"], EXPAND_FEATURES).unwrap();
        assert_eq!(text.matches("name='sse2'").count(), 1);
    }
}
