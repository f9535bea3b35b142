//! Messages as bytes: what arrives is cut into [`Frame`]s, what leaves is a [`Packet`].
//!
//! - `header`: the 24 byte header.
//! - `reader`: bytes and descriptors in, frames out. Pure: it never touches a socket.
//! - `packet`: frames to be written.
//! - `failure`: libvirt's error as a message body.
//!
//! A body is decoded by whoever serves the program, never here.

mod failure;
mod header;
mod packet;
mod reader;

pub use failure::{decode_error, encode_error};
pub(crate) use header::SERIAL_OFFSET;
pub use header::{FRAME_LENGTH_MAX, FRAME_LENGTH_MAX_ANONYMOUS, HEADER_LENGTH, Header, MessageType, Status};
pub use packet::Packet;
pub use reader::{Broken, DESCRIPTORS_PER_FRAME_MAX, Frame, FrameReader};

#[cfg(test)]
mod tests;
