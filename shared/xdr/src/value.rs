//! The two traits and the encodings of the basic types.

use crate::{Error, Reader};

/// A value that has an XDR form.
pub trait Encode {
    /// Appends the XDR form to `out`. Fails only when a variable length is above its limit.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error>;
}

/// A value that can be read back from its XDR form.
pub trait Decode: Sized {
    /// Takes the value from the reader.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error>;
}

macro_rules! word {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}
word!(i32, u32, i64, u64, f64);

impl Decode for u32 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.word()
    }
}

impl Decode for i32 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(reader.word()?.cast_signed())
    }
}

impl Decode for u64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.double_word()
    }
}

impl Decode for i64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(reader.double_word()?.cast_signed())
    }
}

impl Decode for f64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(f64::from_bits(reader.double_word()?))
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        u32::from(*self).encode(out)
    }
}

impl Decode for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.word()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::NotBoolean(other)),
        }
    }
}

macro_rules! small {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
                i32::from(*self).encode(out)
            }
        }
        impl Decode for $type {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
                let word = i32::decode(reader)?;
                <$type>::try_from(word).map_err(|_| Error::OutOfRange(word.into()))
            }
        }
    )*};
}
small!(u8, u16, i16);

impl Encode for i8 {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        i32::from(*self).encode(out)
    }
}

impl Decode for i8 {
    /// Peers with an unsigned `char` send 0..255 for the same eight bits: both forms are taken.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let word = i32::decode(reader)?;
        match word {
            -128..=255 => Ok(word as u8 as i8),
            _ => Err(Error::OutOfRange(word.into())),
        }
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.is_some().encode(out)?;
        self.as_ref().map_or(Ok(()), |value| value.encode(out))
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(if bool::decode(reader)? { Some(T::decode(reader)?) } else { None })
    }
}

impl Encode for () {
    fn encode(&self, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

impl Decode for () {
    fn decode(_: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(())
    }
}

fn encode_length(length: usize, limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let word = u32::try_from(length).ok().filter(|_| length <= limit);
    word.ok_or(Error::TooLong { length, limit })?.encode(out)
}

/// Appends the bytes and their padding, without a length.
pub fn encode_opaque_fixed(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
    out.resize(out.len() + bytes.len().next_multiple_of(4) - bytes.len(), 0);
}

/// Takes an opaque run of fixed length.
pub fn decode_opaque_fixed<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], Error> {
    let bytes = reader.bytes(N)?;
    Ok(bytes.try_into().expect("the reader gives as many bytes as asked"))
}

/// Appends length, bytes and padding.
pub fn encode_opaque(bytes: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    encode_length(bytes.len(), limit, out)?;
    encode_opaque_fixed(bytes, out);
    Ok(())
}

/// Takes an opaque run of variable length.
pub fn decode_opaque(reader: &mut Reader<'_>, limit: usize) -> Result<Vec<u8>, Error> {
    let length = reader.length(limit)?;
    Ok(reader.bytes(length)?.to_vec())
}

/// Appends a string as length, bytes and padding. A NUL byte is refused: C readers would cut there.
pub fn encode_string(text: &str, limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    if text.as_bytes().contains(&0) {
        return Err(Error::NulInString);
    }
    encode_opaque(text.as_bytes(), limit, out)
}

/// Takes a string.
pub fn decode_string(reader: &mut Reader<'_>, limit: usize) -> Result<String, Error> {
    let length = reader.length(limit)?;
    let bytes = reader.bytes(length)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)?;
    if bytes.contains(&0) {
        return Err(Error::NulInString);
    }
    Ok(text.to_owned())
}

/// Appends the elements, without a count.
pub fn encode_array_fixed<T: Encode>(items: &[T], out: &mut Vec<u8>) -> Result<(), Error> {
    items.iter().try_for_each(|item| item.encode(out))
}

/// Takes `N` elements.
pub fn decode_array_fixed<T: Decode + Default + Copy, const N: usize>(
    reader: &mut Reader<'_>,
) -> Result<[T; N], Error> {
    let mut items = [T::default(); N];
    for item in &mut items {
        *item = T::decode(reader)?;
    }
    Ok(items)
}

/// Appends the count and the elements.
pub fn encode_array<T: Encode>(items: &[T], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    encode_length(items.len(), limit, out)?;
    encode_array_fixed(items, out)
}

/// Takes a count and as many elements. Every element has at least one word, so a count that the
/// remaining bytes cannot hold is refused before memory is taken.
pub fn decode_array<T: Decode>(reader: &mut Reader<'_>, limit: usize) -> Result<Vec<T>, Error> {
    let count = reader.length(limit)?;
    if count > reader.remaining() / 4 {
        return Err(Error::Truncated);
    }
    // The first allocation stays within the bytes received; a vector of large structs grows as they really arrive.
    let first = count.min(reader.remaining() / size_of::<T>().max(1) + 1);
    let mut items = Vec::with_capacity(first);
    for _ in 0..count {
        items.push(T::decode(reader)?);
    }
    Ok(items)
}
