//! libvirt's error as a message body (`virNetMessageError`).

use error::Error;
use protocol::FRAME_HEAD;
use xdr::{Encode, Reader};

/// Longest text of an error that we send. Names from a client end up in texts, and those may be megabytes.
const TEXT_MAX: usize = 64 * 1024;
/// Longest text of an error that we read: libvirt's limit.
const TEXT_READ_MAX: usize = 4_194_304;
const UUID_LENGTH: usize = 16;

/// The error as the body of a message, behind [`FRAME_HEAD`] free bytes.
pub fn encode_error(error: &Error) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + 2 * error.message.len().min(TEXT_MAX));
    out.resize(FRAME_HEAD, 0);
    // Clients such as go-libvirt cannot decode an absent message, so it is always there.
    write(&mut out, error).expect("texts are cut below the limit and have no NUL");
    out
}

fn write(out: &mut Vec<u8>, error: &Error) -> Result<(), xdr::Error> {
    error.code.encode(out)?;
    error.domain.encode(out)?;
    write_text(out, Some(&error.message))?;
    error.level.encode(out)?;
    false.encode(out)?; // dom: libvirt always leaves it out
    write_text(out, error.str1.as_deref())?;
    write_text(out, error.str2.as_deref())?;
    write_text(out, error.str3.as_deref())?;
    error.int1.encode(out)?;
    error.int2.encode(out)?;
    false.encode(out) // net
}

fn write_text(out: &mut Vec<u8>, text: Option<&str>) -> Result<(), xdr::Error> {
    let Some(text) = text else { return false.encode(out) };
    true.encode(out)?;
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    if text.contains('\0') {
        return xdr::encode_string(&text.replace('\0', "\u{fffd}"), usize::MAX, out);
    }
    xdr::encode_string(text, TEXT_MAX, out)
}

/// Reads an error that a peer sent.
pub fn decode_error(payload: &[u8]) -> Result<Error, xdr::Error> {
    use xdr::Decode;
    let reader = &mut Reader::new(payload);
    let code = i32::decode(reader)?;
    let domain = i32::decode(reader)?;
    let message = read_text(reader)?.unwrap_or_else(|| "unknown error".into());
    let level = i32::decode(reader)?;
    if bool::decode(reader)? {
        read_object(reader)?;
        i32::decode(reader)?;
    }
    let (str1, str2, str3) = (read_text(reader)?, read_text(reader)?, read_text(reader)?);
    let (int1, int2) = (i32::decode(reader)?, i32::decode(reader)?);
    Ok(Error { code, domain, level, message, str1, str2, str3, int1, int2 })
}

fn read_text(reader: &mut Reader<'_>) -> Result<Option<String>, xdr::Error> {
    use xdr::Decode;
    Ok(if bool::decode(reader)? { Some(xdr::decode_string(reader, TEXT_READ_MAX)?) } else { None })
}

fn read_object(reader: &mut Reader<'_>) -> Result<(), xdr::Error> {
    xdr::decode_string(reader, TEXT_READ_MAX)?;
    reader.bytes(UUID_LENGTH).map(drop)
}
