//! The proxy daemon: a daemon without a class of its own.
//!
//! ```text
//!  client ─▶ CONNECT_OPEN "qemu:///system" ─▶ target.rs: which daemon? ─▶ Router ─▶ virtqemud
//!         ─▶ any other call ─▶ proxy.rs: whose class? ─▶ Router ─▶ virtqemud, virtnetworkd, ...
//! ```
//!
//! It serves the legacy sockets (`libvirt-sock`). Only what concerns the client's own connection is answered here; every
//! other frame goes to the daemon that serves it, undecoded, and its reply, events and streams come back the same way.

mod proxy;
mod target;

pub use proxy::programs;
