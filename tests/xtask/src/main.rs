//! Repository chores: generate, check, bless, procs.

fn main() {}
