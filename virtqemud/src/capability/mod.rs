//! What emulators and the host can do.
//!
//! Reading order: [`emulator`] (the facts of one QEMU binary, pure data and questions to it) → [`probe`] (asking a
//! binary over QMP) → [`cache`] (asked once, kept in memory and on disk by the binary's identity) →
//! [`host`] (CPU, memory, topology of this machine) → [`firmware`] (descriptor files) → [`document`] (the XML).
//!
//! Invariants: nothing is probed before somebody asks; a broken or stale cache file is probed anew, never trusted.

pub mod cache;
pub mod document;
pub mod domain_capabilities;
pub mod emulator;
pub mod error;
pub mod firmware;
pub mod host;
pub mod host_devices;
pub mod host_model;
pub mod means;
pub mod probe;

pub use cache::CapabilityCache;
pub use emulator::{Accelerated, Capability, Machine, VirtType};
pub use error::CapabilityError;
