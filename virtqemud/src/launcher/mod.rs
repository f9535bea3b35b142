//! The launcher: a small process with one thread that forks guests on the daemon's behalf.
//!
//! Between fork and exec the future QEMU registers itself with the lock daemon and takes its locks,
//! which is not safe in a process with threads; and a guest whose parent is the launcher is reaped
//! at once. Reading order: `message` (what is said), `service` (the process), `child` (from fork to
//! exec), `client` (the daemon's end).
//!
//! ```text
//! daemon                       launcher            child, later QEMU
//!   │ LaunchSpec + descriptors ──▶│ fork ─────────────▶│ register, lock
//!   │◀──────────── pid + pidfd ───│                    │
//!   │◀───────────────────── gate: Ready or Refused ────│
//!   │  (labels, cgroup, status document)               │
//!   │────────────────────── gate: "go" ───────────────▶│ drop privileges, exec
//!   │◀───────── gate: end of file (running) or Refused │
//! ```
//!
//! The gate is one end of a socket pair made for each start. When the daemon dies before "go" the
//! child sees its end and exits, so no guest starts that nobody knows of. When the launcher dies,
//! guests live on and the daemon starts another launcher for the next one.
//!
//! Never here: XML, decisions, threads in the launcher.

mod child;
mod client;
mod lease;
mod message;
mod service;

pub use client::{Launched, Launcher};
pub use message::{LaunchSpec, Lease, Limit, Owner, Resource, User};
pub use service::{ARGUMENT, serve};
