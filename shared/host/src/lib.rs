//! The kernel's side of the suite: processes, locks, descriptors, accounts.
//!
//! This crate is the one home of `unsafe` code: everything else in the workspace is compiled with it denied.
//! Each unsafe block stands in a small function with a safe signature and carries its proof.
//!
//! | module | holds |
//! |---|---|
//! | [`process`] | [`Pid`]: a process named by pid, start time and pidfd |
//! | [`lock`] | byte range locks owned by the open file description |
//! | [`pid_file`] | pid files that stay locked as long as their process lives |
//! | [`descriptor`] | close-on-exec, dup, memfd, splice, tee, descriptors by number |
//! | [`socket`] | messages that carry descriptors; who is at the other end |
//! | [`fork`] | fork of a single-threaded process, daemonizing, exec over oneself |
//! | [`privilege`] | capabilities and identity that a child gives up before exec |
//! | [`account`] | users and groups by name or number |
//! | [`system`] | boot id, host name, environment, memory given back |
//! | [`tap`] | tap interfaces |
//! | [`bridge`] | bridge port, hardware address, MTU, up |
//! | [`xattr`] | extended attributes of an open file |
//! | [`block_device`] | size of a block device |
//! | [`clock`] | the time of day |
//! | [`clone_file`] | files that share their blocks |
//! | [`blocking`] | the one door to the pool of blocking threads |
#![allow(unsafe_code, reason = "the one home of unsafe: every block carries its proof")]
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod account;
pub mod block_device;
pub mod blocking;
pub mod bridge;
pub mod clock;
pub mod clone_file;
pub mod cpuid;
pub mod descriptor;
pub mod fork;
pub mod lock;
pub mod pid_file;
pub mod privilege;
pub mod process;
pub mod socket;
pub mod system;
pub mod tap;
pub mod xattr;

pub use blocking::run_blocking;
pub use process::Pid;
