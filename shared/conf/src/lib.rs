//! Definitions of libvirt's objects: parse, defaults, validate, format.
//!
//! Pure: no file, no clock, no QEMU. What depends on an emulator or on the host is passed in as facts by the driver.
//! `domain` is the largest family; the small value types that all families share stand beside it.

pub mod bitmap;
pub mod domain;
pub mod mac;
pub mod network;
pub mod pool;
pub mod size;
pub mod volume;

pub use bitmap::Bitmap;
pub use mac::Mac;

/// What a document may contain and how it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FormatFlags {
    /// The definition of the next boot: no ids, generated aliases or live details (`VIR_DOMAIN_XML_INACTIVE`).
    pub inactive: bool,
    /// Passwords included (`VIR_DOMAIN_XML_SECURE`).
    pub secure: bool,
    /// What another host can take (`VIR_DOMAIN_XML_MIGRATABLE`).
    pub migratable: bool,
    /// Inside a status document: everything needed to take the guest back after a restart.
    pub status: bool,
}
