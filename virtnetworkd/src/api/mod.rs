//! The calls of class network.
//!
//! Each checks its flags, finds the object, makes one call of the driver and converts the answer. Names and texts are those of libvirt's functions.

mod network;
mod port;

pub use network::Service;

use error::{Domain, Error, Result};
use protocol::remote;

use crate::network::Network;

/// What a client holds of a network.
fn wire(network: &Network) -> remote::NonnullNetwork {
    remote::NonnullNetwork { name: network.name().to_owned(), uuid: *network.uuid().as_bytes() }
}

/// Refuses flags that `function` does not know.
fn check_flags(function: &str, flags: u32, known: u32) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Error::unsupported_flags(Domain::Network, function, unknown)),
    }
}

/// A count as the wire has it.
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
