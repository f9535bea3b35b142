//! The QEMU/KVM driver daemon.

fn main() {}
