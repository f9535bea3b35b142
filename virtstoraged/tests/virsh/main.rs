//! The daemon in a private root, driven by an unmodified virsh.
//!
//! `harness` starts and kills the daemon; `life` walks through pools and volumes; `stream` moves bytes; `hostile` puts traps into a
//! pool; `crash` kills the daemon; `mode` watches its system calls; `full` fills disks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod crash;
mod full;
mod harness;
mod hostile;
mod life;
mod mode;
mod stream;
