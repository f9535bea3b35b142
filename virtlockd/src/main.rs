//! The disk lock daemon.

fn main() {}
