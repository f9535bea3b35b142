//! `docs/procedures.md`: every procedure of the remote and qemu programs, and whether a daemon overrides it.
//!
//! "Done" is read off the source: a service method of that name in the daemon that owns the class.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Which sources serve a class.
const SERVERS: [(&str, &str); 9] = [
    ("hypervisor", "virtqemud"),
    ("network", "virtnetworkd"),
    ("storage", "virtstoraged"),
    ("connection", "shared/rpc"),
    ("auth", "shared/rpc"),
    ("secret", "-"),
    ("nodedev", "-"),
    ("interface", "-"),
    ("nwfilter", "-"),
];

/// The page's text.
pub fn page(root: &Path) -> Result<String> {
    let mut out = String::from(
        "# Procedures\n\nEvery call of libvirt 11.3.0's remote and qemu programs, written by `cargo xtask procs`. A call that is *open* answers\n\
         `VIR_ERR_NO_SUPPORT`; classes without a daemon here are routed to libvirt's own daemon when its socket exists.\n",
    );
    for program in ["remote", "qemu"] {
        let text = std::fs::read_to_string(root.join(format!("shared/protocol/tables/{program}.json")))?;
        let table: Value = serde_json::from_str(&text)?;
        let rows = table["procedures"].as_array().context("procedures")?;
        for (class, server) in SERVERS {
            let calls: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "call" && row["class"] == class).collect();
            if calls.is_empty() {
                continue;
            }
            let methods = methods(&root.join(server))?;
            let done = |row: &Value| row["name"].as_str().is_some_and(|name| methods.contains(name));
            let count = calls.iter().filter(|row| done(row)).count();
            writeln!(out, "\n## {program}: {class} ({count} of {} done, {server})\n", calls.len())?;
            out.push_str("| no. | procedure | function | read-only | state |\n|--:|---|---|---|---|\n");
            for row in calls {
                let word = |key: &str| row[key].as_str().unwrap_or("-");
                let read_only = if row["ro_deny_if"].is_array() { "by flags" } else { word("ro") };
                let state = if server == "-" {
                    "routed"
                } else if done(row) {
                    "done"
                } else {
                    "open"
                };
                writeln!(out, "| {} | {} | {} | {read_only} | {state} |", row["num"], word("name"), word("api"))?;
            }
        }
    }
    Ok(out)
}

/// Names of all functions below a folder, and of the rows of a dispatch list (`name(Args) -> Ret = handler;`).
fn methods(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries: Vec<PathBuf> =
                std::fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
            open.extend(entries);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path)?;
            for line in text.lines().map(str::trim_start) {
                let functions = line.match_indices("fn ").map(|(at, word)| &line[at + word.len()..]);
                let row = Some(line).filter(|line| line.contains(" = ") && line.ends_with(';'));
                let names = functions.chain(row).filter_map(|rest| rest.split(['(', '<', ' ']).next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    Ok(found)
}
