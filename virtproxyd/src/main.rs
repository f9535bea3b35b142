//! The proxy daemon: routes legacy and remote clients to the driver daemons.

fn main() {}
