//! The storage pool and volume driver daemon.

fn main() {}
