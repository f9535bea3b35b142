//! libvirt's public constants.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

pub struct Constants {
    enums: Map<String, Value>,
    strings: Map<String, Value>,
    macros: Map<String, Value>,
    by_name: BTreeMap<String, i64>,
}

impl Constants {
    pub fn read(path: &Path) -> Result<Constants> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut top: Map<String, Value> = serde_json::from_str(&text)?;
        let mut take = |key: &str| match top.remove(key) {
            Some(Value::Object(map)) => Ok(map),
            _ => anyhow::bail!("{key} is missing"),
        };
        let (enums, strings, macros) = (take("enums")?, take("strings")?, take("macros")?);
        let values = enums.values().filter_map(Value::as_object).flatten();
        let by_name = values.filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect();
        Ok(Constants { enums, strings, macros, by_name })
    }

    /// The value of a flag.
    pub fn flag(&self, name: &str) -> Result<u32> {
        let value = self.by_name.get(name).with_context(|| format!("unknown flag {name}"))?;
        Ok(u32::try_from(*value)?)
    }

    pub fn generate(&self) -> String {
        let mut out = String::new();
        for (name, values) in &self.enums {
            let values: Vec<(&String, i64)> = values
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(constant, value)| Some((constant, value.as_i64()?)))
                // Error codes are an enum of their own in the error crate.
                .filter(|_| !matches!(name.as_str(), "virErrorDomain" | "virErrorNumber" | "virErrorLevel"))
                .collect();
            let flags = name.contains("Flag")
                || name.ends_with("Impact")
                || name.ends_with("StatsTypes")
                || matches!(name.as_str(), "virDomainGuestInfoTypes");
            let unsigned = flags && values.iter().all(|(_, value)| u32::try_from(*value).is_ok());
            let kind = if unsigned { "u32" } else { "i32" };
            for (constant, value) in values {
                let _ = writeln!(out, "/// `{name}`.\npub const {constant}: {kind} = {value};");
            }
        }
        for (name, value) in &self.macros {
            if let Some(number) = value.as_i64() {
                let kind = if i32::try_from(number).is_ok() { "i32" } else { "i64" };
                let _ = writeln!(out, "/// `{name}`.\npub const {name}: {kind} = {number};");
            }
        }
        for (name, value) in &self.strings {
            if let Some(text) = value.as_str() {
                let _ = writeln!(out, "/// `{name}`.\npub const {name}: &str = {text:?};");
            }
        }
        out
    }
}
