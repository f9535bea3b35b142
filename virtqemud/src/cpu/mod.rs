//! Processors: what this host has, and which named model with which features describes it best.
//!
//! Reading order: [`feature`] (names and where CPUID and MSRs show them) → [`model`] (the named models) →
//! [`host`] (reading this machine) → [`decode`] (features → model and differences, pure).
//!
//! Names of features are libvirt's; [`feature::from_qemu`] and [`feature::to_qemu`] translate.

pub mod baseline;
pub mod compare;
pub mod decode;
pub mod document;
pub mod feature;
pub mod host;
pub mod model;

pub use decode::{Decoded, Policy, Purpose, decode};
pub use host::HostCpu;
pub use model::{Model, models};
