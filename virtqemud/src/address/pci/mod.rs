//! PCI addresses.
//!
//! Way of data: [`connect`] (what kind of slot each device wants) → [`set`] (buses and their free slots; grows in the first,
//! dry pass) → [`chipset`] (places that a chip set fixes) → [`assign`] (devices in libvirt's order).
//!
//! Two passes, as libvirt does: the first one only finds out how many controllers are needed and adds them to the definition;
//! the second one gives out the addresses.

mod assign;
mod bus;
mod chipset;
pub mod connect;
mod options;
mod set;

pub use assign::assign;

use error::{Code, Domain, Error};

pub(super) fn internal(detail: impl Into<String>) -> Error {
    Error::new(Domain::Domain, Code::InternalError, detail.into())
}

pub(super) fn xml_error(detail: impl Into<String>) -> Error {
    Error::new(Domain::Domain, Code::XmlError, detail.into())
}

pub(super) fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(Domain::Qemu, Code::ConfigUnsupported, detail.into())
}
