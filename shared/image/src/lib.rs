//! Disk image headers: what a bounded look at the first bytes of a file says about it.
//!
//! - [`Format`] names the formats and finds one by its magic (`format`);
//! - [`Metadata::read`] takes the header apart: capacity, backing file, features, encryption (`metadata`, `qcow2`);
//! - every number is read through a checked cursor (`bytes`), so that no header can make us read, allocate or loop more than
//!   [`HEADER_MAX`] bytes are worth.
//!
//! Nothing here opens a file named inside an image, follows a chain or decides what a raw disk "really" is: a guest may have
//! written any header it likes, so callers that know the format must say it.

mod bytes;
mod format;
mod metadata;
mod qcow2;

pub use format::Format;
pub use metadata::{Backing, Encryption, Metadata};

use std::io::Read;

/// Most bytes of a file that are ever looked at.
pub const HEADER_MAX: usize = 0x8200;

/// Reads at most [`HEADER_MAX`] bytes from the start of `source`.
///
/// # Errors
/// Those of reading.
pub fn read_header(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(4096);
    source.take(HEADER_MAX as u64).read_to_end(&mut header)?;
    Ok(header)
}
