//! The named x86 models: `x86_models.tsv`, written by `tests/tools/cpu_models.py`.

use std::collections::BTreeSet;
use std::sync::OnceLock;

/// A named processor model.
#[derive(Debug)]
pub struct Model {
    /// Name.
    pub name: &'static str,
    /// `Intel`, `AMD` ...; `None`: runs on any.
    pub vendor: Option<&'static str>,
    /// Family and model number of the processor that it stands for.
    pub signature: (u32, u32),
    /// Features, in libvirt's names.
    pub features: BTreeSet<&'static str>,
}

impl Model {
    /// A numbered version (`EPYC-v2`) of another model.
    pub fn is_version(&self) -> bool {
        self.name
            .rsplit_once("-v")
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    }
}

/// All x86 models, in the order in which libvirt lists them.
pub fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| include_str!("x86_models.tsv").lines().filter_map(row).collect())
}

/// A model by its name.
pub fn find(name: &str) -> Option<&'static Model> {
    models().iter().find(|model| model.name == name)
}

fn row(line: &'static str) -> Option<Model> {
    let mut cells = line.split('\t');
    let name = cells.next()?;
    let vendor = cells.next().filter(|vendor| *vendor != "-");
    let signature = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
    let features = cells.nth(1)?.split(' ').filter(|name| !name.is_empty()).collect();
    Some(Model { name, vendor, signature, features })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_whole() {
        assert_eq!(models().len(), include_str!("x86_models.tsv").lines().count());
        let genoa = find("EPYC-Genoa").unwrap();
        assert_eq!((genoa.vendor, genoa.signature), (Some("AMD"), (25, 17)));
        assert!(genoa.features.contains("avx512-bf16") && !genoa.is_version());
        assert!(find("EPYC-v2").unwrap().is_version());
        assert!(find("kvm64").unwrap().vendor.is_none());
    }
}
