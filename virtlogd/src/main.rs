//! The log daemon.

mod chain;
mod cleanup;
mod log_file;
mod reader;

fn main() {}
