//! The virtual network driver daemon.

fn main() {}
