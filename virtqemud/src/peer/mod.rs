//! Sibling daemons that a guest's life needs: locks, logs, networks. Each is reached over libvirt's RPC, so that any of
//! them may be libvirt's own.

pub mod lock;
pub mod log;
pub mod network;
