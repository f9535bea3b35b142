//! Repository chores.
//!
//! - `cargo xtask generate` writes the Rust that comes from the fact tables;
//! - `cargo xtask procs` writes `docs/procedures.md`.
//!
//! With `--check` each fails when what is committed is not what it would write.

mod generate;
mod procs;

use anyhow::{Context, Result, bail};
use std::path::Path;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate"] => generate::run(generate::Mode::Write),
        ["generate", "--check"] => generate::run(generate::Mode::Check),
        ["procs"] => procedures(true),
        ["procs", "--check"] => procedures(false),
        _ => bail!("usage: cargo xtask generate|procs [--check]"),
    }
}

fn procedures(write: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("docs/procedures.md");
    let text = procs::page(&root)?;
    if write {
        return std::fs::write(&path, text).context("docs/procedures.md");
    }
    if std::fs::read_to_string(&path).unwrap_or_default() != text {
        bail!("docs/procedures.md is stale: run `cargo xtask procs`");
    }
    Ok(())
}
