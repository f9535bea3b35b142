//! What generated codecs and dispatchers share.

use crate::Procedure;
use error::{Code, Domain, Error, Result};
use std::pin::Pin;
use xdr::{Decode, Encode, Reader};

/// Bytes left free at the front of an encoded reply: the length word and the 24 byte header. The
/// server fills them in, so that a reply is written from the buffer it was encoded into.
pub const FRAME_HEAD: usize = 28;

/// A call on its way to an encoded reply.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>;

/// Decodes the arguments of a call; bytes behind them are ignored.
pub fn decode<T: Decode>(payload: &[u8]) -> Result<T> {
    xdr::from_slice(payload).map_err(|_| Error::new(Domain::Rpc, Code::Rpc, "Unable to decode message payload"))
}

/// Encodes a result behind free space for the frame's head.
pub fn reply<T: Encode>(value: &T) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    out.resize(FRAME_HEAD, 0);
    value.encode(&mut out).map_err(|_| Error::new(Domain::Rpc, Code::Rpc, "Unable to encode message payload"))?;
    Ok(out)
}

/// The answer to a number outside the table. Clients match the text's beginning.
pub fn unknown_procedure(number: i32) -> Error {
    Error::new(Domain::Rpc, Code::Rpc, format!("unknown procedure: {number}"))
        .with_message(format!("unknown procedure: {number}"))
}

/// Finds a row by number; tables are sorted and nearly without gaps.
pub(crate) fn find(table: &'static [Procedure], number: i32) -> Option<&'static Procedure> {
    let at = table.binary_search_by_key(&number, |procedure| procedure.number).ok()?;
    table.get(at)
}

pub(crate) fn encode_strings(
    items: &[String],
    limit: usize,
    each: usize,
    out: &mut Vec<u8>,
) -> std::result::Result<(), xdr::Error> {
    let count = u32::try_from(items.len()).ok().filter(|_| items.len() <= limit);
    count.ok_or(xdr::Error::TooLong { length: items.len(), limit })?.encode(out)?;
    items.iter().try_for_each(|item| xdr::encode_string(item, each, out))
}

pub(crate) fn decode_strings(
    reader: &mut Reader<'_>,
    limit: usize,
    each: usize,
) -> std::result::Result<Vec<String>, xdr::Error> {
    let count = reader.length(limit)?;
    if count > reader.remaining() / 4 {
        return Err(xdr::Error::Truncated);
    }
    (0..count).map(|_| xdr::decode_string(reader, each)).collect()
}

pub(crate) fn encode_optional_string(
    item: &Option<String>,
    limit: usize,
    out: &mut Vec<u8>,
) -> std::result::Result<(), xdr::Error> {
    item.is_some().encode(out)?;
    item.as_deref().map_or(Ok(()), |text| xdr::encode_string(text, limit, out))
}

pub(crate) fn decode_optional_string(
    reader: &mut Reader<'_>,
    limit: usize,
) -> std::result::Result<Option<String>, xdr::Error> {
    Ok(if bool::decode(reader)? { Some(xdr::decode_string(reader, limit)?) } else { None })
}
