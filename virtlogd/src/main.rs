//! The guest console and QEMU log daemon.

fn main() {}
