//! From a definition to QEMU's command line.
//!
//! [`prepare`] fills in what only a starting guest has (aliases, block node numbers, aligned memory); [`plan`] then turns the
//! live definition, the emulator's abilities and what the driver already opened ([`LaunchInputs`]) into a [`LaunchPlan`].
//! Both are pure. Reading order: [`plan`] (the order of the options) → `machine`, `cpu`, `memory`, `boot`, `clock` (the board) →
//! `block` (image chains) → `device/` (one file a family) → [`native`] (the text of `domxml-to-native`).
//!
//! Invariants: a device's properties are built once, as an ordered JSON object, for argv and for hot-plug alike; the order of
//! options and of properties is libvirt's, because tools and people compare command lines.

mod block;
mod boot;
mod clock;
mod cpu;
pub mod device;
mod escape;
mod firmware;
mod inputs;
mod machine;
mod memory;
pub mod native;
pub mod need;
mod numa;
mod plan;
mod prepare;
mod props;

pub use block::{NodeNames, attach_nodes, nodes_of};
pub use inputs::{Endpoint, InterfaceFds, LaunchInputs};
pub use plan::{LaunchPlan, plan};
pub use prepare::prepare;
pub use props::Props;
