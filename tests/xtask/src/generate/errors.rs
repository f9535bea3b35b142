//! Error codes with their message templates, and error domains.

use super::name::camel;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;

#[derive(Deserialize)]
struct Errors {
    domains: Vec<Row>,
    codes: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    code: i32,
    name: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    plain: Option<String>,
    #[serde(default)]
    info: Option<String>,
}

pub fn generate(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let errors: Errors = serde_json::from_str(&text)?;
    let mut out = String::new();
    out.push_str(&enumeration(
        "Domain",
        "VIR_FROM_",
        "`virErrorDomain`: the part of libvirt that an error comes from.",
        &errors.domains,
    )?);
    out.push_str("impl Domain {\n    /// The label that logs show.\n    pub fn label(self) -> &'static str {\n        match self {\n");
    for row in &errors.domains {
        writeln!(
            out,
            "            Domain::{} => {:?},",
            variant(row, "VIR_FROM_"),
            row.label.as_deref().unwrap_or_default()
        )?;
    }
    out.push_str("        }\n    }\n}\n");
    out.push_str(&enumeration("Code", "VIR_ERR_", "`virErrorNumber`: what went wrong.", &errors.codes)?);
    for (method, about, text) in [
        (
            "template",
            "The message with a place (`%s`) for the detail.",
            &(|row: &Row| row.info.clone()) as &dyn Fn(&Row) -> Option<String>,
        ),
        ("plain", "The message without a detail.", &|row: &Row| row.plain.clone()),
    ] {
        writeln!(
            out,
            "impl Code {{\n    /// {about}\n    pub fn {method}(self) -> &'static str {{\n        match self {{"
        )?;
        for row in &errors.codes {
            writeln!(out, "            Code::{} => {:?},", variant(row, "VIR_ERR_"), text(row).unwrap_or_default())?;
        }
        out.push_str("        }\n    }\n}\n");
    }
    Ok(out)
}

fn variant(row: &Row, prefix: &str) -> String {
    camel(row.name.strip_prefix(prefix).unwrap_or(&row.name))
}

fn enumeration(name: &str, prefix: &str, about: &str, rows: &[Row]) -> Result<String> {
    let mut out =
        format!("/// {about}\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\n#[repr(i32)]\npub enum {name} {{\n");
    for row in rows {
        writeln!(out, "    /// `{}`.\n    {} = {},", row.name, variant(row, prefix), row.code)?;
    }
    writeln!(
        out,
        "}}\n\nimpl {name} {{\n    /// The variant of a number, when it is known.\n    pub fn from_number(number: i32) -> Option<Self> {{\n        match number {{"
    )?;
    for row in rows {
        writeln!(out, "            {} => Some({name}::{}),", row.code, variant(row, prefix))?;
    }
    out.push_str("            _ => None,\n        }\n    }\n}\n");
    Ok(out)
}
