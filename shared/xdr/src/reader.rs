//! A cursor over received bytes.

use crate::Error;

/// Reads words and padded byte runs from a slice, front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes one four byte word.
    pub fn word(&mut self) -> Result<u32, Error> {
        let (head, rest) = self.rest.split_first_chunk::<4>().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*head))
    }

    /// Takes one eight byte word.
    pub fn double_word(&mut self) -> Result<u64, Error> {
        let (head, rest) = self.rest.split_first_chunk::<8>().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*head))
    }

    /// Takes `length` bytes and the padding behind them.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let padded = length.checked_next_multiple_of(4).ok_or(Error::Truncated)?;
        if padded > self.rest.len() {
            return Err(Error::Truncated);
        }
        let (head, rest) = self.rest.split_at(padded);
        self.rest = rest;
        Ok(&head[..length])
    }

    /// Takes a length word and checks it against the field's limit.
    pub fn length(&mut self, limit: usize) -> Result<usize, Error> {
        let length = self.word()? as usize;
        if length > limit {
            return Err(Error::TooLong { length, limit });
        }
        Ok(length)
    }
}
