//! XDR (RFC 4506) encoding and decoding with limits.
//!
//! Everything on libvirt's wire is XDR: big-endian words of four bytes, strings and opaque data
//! padded to a multiple of four. Small integers (`char`, `short`) take a full word each.
//!
//! Decoding never allocates more than a small multiple of the bytes that really arrived: a length
//! is checked against its limit and against the bytes that remain before any memory is taken.

mod reader;
mod value;

pub use reader::Reader;
pub use value::{Decode, Encode};
pub use value::{
    decode_array, decode_array_fixed, decode_opaque, decode_opaque_fixed, decode_string, encode_array,
    encode_array_fixed, encode_opaque, encode_opaque_fixed, encode_string,
};

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The buffer ended inside a value.
    #[error("data ends inside a value")]
    Truncated,
    /// A variable length is above the limit of its field.
    #[error("length {length} is above the limit of {limit}")]
    TooLong {
        /// The length found, in elements (bytes for strings and opaque data).
        length: usize,
        /// The largest length allowed for the field.
        limit: usize,
    },
    /// A boolean or optional marker is neither 0 nor 1.
    #[error("{0} is not a boolean")]
    NotBoolean(u32),
    /// A small integer does not fit its type.
    #[error("{0} is out of range for a small integer")]
    OutOfRange(i64),
    /// A union discriminant or an enum has an unknown value.
    #[error("{0} is not a known discriminant")]
    UnknownDiscriminant(i32),
    /// A string is not UTF-8.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// A string contains a NUL byte, which no C client can read back.
    #[error("string contains a NUL byte")]
    NulInString,
}

/// Encodes one value into a new buffer.
pub fn to_vec<T: Encode + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    value.encode(&mut out)?;
    Ok(out)
}

/// Decodes one value from the front of `bytes`; what follows it is ignored, as libvirt does.
pub fn from_slice<T: Decode>(bytes: &[u8]) -> Result<T, Error> {
    T::decode(&mut Reader::new(bytes))
}
