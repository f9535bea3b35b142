//! libvirt's RPC programs as Rust: types with codecs, procedure tables, service traits.
//!
//! The facts are the JSON tables in `tables/`; `cargo xtask generate` turns each into a file of
//! `generated/`, which is committed and proven fresh by a test. This file holds what the generated
//! code leans on. Nothing here knows of sockets: a service trait is generic over the context `C`
//! that a call travels with.

#[allow(clippy::all, reason = "generated code is judged by its generator")]
mod generated {
    pub mod admin;
    pub mod constants;
    pub mod keepalive;
    pub mod lock;
    pub mod log;
    pub mod net;
    pub mod qemu;
    pub mod remote;

    use super::codec::{
        decode, decode_optional_string, decode_strings, encode_optional_string, encode_strings, find, reply,
        unknown_procedure,
    };
    pub use super::{Class, Direction, EventInfo, Kind, Procedure, ReadOnly, ReplyFuture, StreamInfo};
}

mod codec;
mod procedure;
mod typed_param;

pub use codec::{FRAME_HEAD, ReplyFuture, decode, reply, unknown_procedure};
pub use generated::{admin, constants, keepalive, lock, log, net, qemu, remote};
pub use procedure::{Class, Direction, EventInfo, Kind, Procedure, ReadOnly, StreamInfo};
