//! Repository chores: `cargo xtask generate` writes the Rust that comes from the fact tables,
//! `cargo xtask generate --check` fails when the committed code is not what the tables say.

mod generate;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate"] => generate::run(generate::Mode::Write),
        ["generate", "--check"] => generate::run(generate::Mode::Check),
        _ => bail!("usage: cargo xtask generate [--check]"),
    }
}
