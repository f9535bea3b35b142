//! Cuts received bytes and descriptors into frames.

use super::header::{FRAME_LENGTH_MAX, FRAME_LENGTH_MAX_ANONYMOUS, HEADER_LENGTH, Header, SERIAL_OFFSET};
use bytes::{Buf, Bytes, BytesMut};
use protocol::FRAME_HEAD;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// Most descriptors of one message. libvirt's limit.
pub const DESCRIPTORS_PER_FRAME_MAX: usize = 32;
/// First size of the buffer: most calls fit.
const BUFFER_FIRST: usize = 4096;
/// Received descriptors that no frame has claimed yet.
const DESCRIPTORS_WAITING_MAX: usize = 4 * DESCRIPTORS_PER_FRAME_MAX;

/// Why a peer's bytes cannot be understood; the connection is closed without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The length word is below a header's length or above the limit.
    #[error("frame length {0} is out of bounds")]
    Length(u32),
    /// The count of descriptors is missing or above the limit.
    #[error("descriptor count is out of bounds")]
    DescriptorCount,
    /// A byte that has to carry a descriptor came without one.
    #[error("announced descriptor is missing")]
    DescriptorMissing,
    /// Descriptors that belong to nothing.
    #[error("too many descriptors")]
    DescriptorFlood,
}

/// One whole message.
#[derive(Debug)]
pub struct Frame {
    /// What it is and belongs to.
    pub header: Header,
    /// All its bytes, length word included.
    bytes: BytesMut,
    /// The descriptors that followed it.
    pub fds: Vec<OwnedFd>,
}

impl Frame {
    /// The body, behind the descriptor count if there is one.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_offset()..]
    }

    /// The body without a copy, and the descriptors.
    pub fn into_payload(self) -> (Bytes, Vec<OwnedFd>) {
        let offset = self.payload_offset();
        let mut bytes = self.bytes.freeze();
        bytes.advance(offset);
        (bytes, self.fds)
    }

    /// The whole frame and its descriptors, as they go to the next peer.
    pub fn into_bytes(self) -> (Bytes, Vec<OwnedFd>) {
        (self.bytes.freeze(), self.fds)
    }

    /// Length of the whole frame in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Always false: a frame has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Gives the frame another serial, in place.
    pub fn set_serial(&mut self, serial: u32) {
        self.header.serial = serial;
        self.bytes[SERIAL_OFFSET..SERIAL_OFFSET + 4].copy_from_slice(&serial.to_be_bytes());
    }

    /// The body's first word, where registrations and events have their callback id.
    pub fn first_word(&self) -> Option<i32> {
        self.payload().first_chunk::<4>().map(|word| i32::from_be_bytes(*word))
    }

    /// Replaces the body's first word, in place; the body must have one.
    pub fn set_first_word(&mut self, value: i32) {
        let offset = self.payload_offset();
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    }

    fn payload_offset(&self) -> usize {
        FRAME_HEAD + if self.header.kind.has_fds() { 4 } else { 0 }
    }
}

/// A descriptor and the place of the byte it came with, counted from the connection's first byte.
#[derive(Debug)]
struct Arrived {
    position: u64,
    fd: OwnedFd,
}

/// Collects bytes and gives out whole frames.
///
/// The buffer grows with the bytes that really arrive, never with the length a peer announces.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    /// Bytes given out since the connection began: the position of the buffer's first byte.
    consumed: u64,
    fds: VecDeque<Arrived>,
    /// A frame whose descriptors are still on their way, and how many it awaits.
    awaiting: Option<(Frame, usize)>,
    length_max: usize,
}

impl FrameReader {
    /// A reader for a peer that has (`trusted`) or has not yet authenticated.
    pub fn new(trusted: bool) -> Self {
        let length_max = if trusted { FRAME_LENGTH_MAX } else { FRAME_LENGTH_MAX_ANONYMOUS };
        FrameReader { buffer: BytesMut::new(), consumed: 0, fds: VecDeque::new(), awaiting: None, length_max }
    }

    /// Allows frames of full size, once the peer has authenticated.
    pub fn trust(&mut self) {
        self.length_max = FRAME_LENGTH_MAX;
    }

    /// Makes room and gives the buffer to append received bytes to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let held = self.buffer.len();
        if self.buffer.capacity() - held < BUFFER_FIRST / 2 {
            // At most doubling, so that memory stays within a small multiple of what was received.
            self.buffer.reserve(held.clamp(BUFFER_FIRST, 1 << 20));
        }
        &mut self.buffer
    }

    /// How many bytes wait in the buffer, including those of a frame that awaits descriptors.
    pub fn held(&self) -> usize {
        self.buffer.len() + self.awaiting.as_ref().map_or(0, |(frame, _)| frame.len())
    }

    /// Whether part of a frame has arrived but not all of it.
    pub fn is_partial(&self) -> bool {
        self.awaiting.is_some() || !self.buffer.is_empty()
    }

    /// Notes descriptors that arrived with the last byte in the buffer.
    pub fn push_fds(&mut self, fds: impl IntoIterator<Item = OwnedFd>) -> Result<(), Broken> {
        let position = (self.consumed + self.buffer.len() as u64).saturating_sub(1);
        self.fds.extend(fds.into_iter().map(|fd| Arrived { position, fd }));
        if self.fds.len() > DESCRIPTORS_WAITING_MAX { Err(Broken::DescriptorFlood) } else { Ok(()) }
    }

    /// The next whole frame; `None` when more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Broken> {
        let frame = match self.awaiting.take() {
            Some(awaiting) => Some(awaiting),
            None => self.cut()?,
        };
        let Some((mut frame, mut missing)) = frame else {
            self.release();
            return Ok(None);
        };
        while missing > 0 {
            if self.buffer.is_empty() {
                self.awaiting = Some((frame, missing));
                return Ok(None);
            }
            frame.fds.push(self.take_fd()?);
            missing -= 1;
        }
        Ok(Some(frame))
    }

    fn cut(&mut self) -> Result<Option<(Frame, usize)>, Broken> {
        let Some(word) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let word = u32::from_be_bytes(*word);
        let length = word as usize;
        if length < 4 + HEADER_LENGTH || length > self.length_max {
            return Err(Broken::Length(word));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(length);
        let header = Header::decode(bytes[4..].first_chunk().expect("the length covers a header"));
        self.advance(length);
        let mut missing = 0;
        if header.kind.has_fds() {
            let count = bytes[FRAME_HEAD..].first_chunk::<4>().ok_or(Broken::DescriptorCount)?;
            missing = u32::from_be_bytes(*count) as usize;
            if missing > DESCRIPTORS_PER_FRAME_MAX {
                return Err(Broken::DescriptorCount);
            }
        }
        Ok(Some((Frame { header, bytes, fds: Vec::new() }, missing)))
    }

    fn take_fd(&mut self) -> Result<OwnedFd, Broken> {
        let position = self.consumed;
        match self.fds.pop_front() {
            Some(arrived) if arrived.position == position => {
                self.buffer.advance(1);
                self.consumed += 1;
                Ok(arrived.fd)
            }
            _ => Err(Broken::DescriptorMissing),
        }
    }

    /// Descriptors that came with ordinary bytes belong to nothing: closed.
    fn advance(&mut self, length: usize) {
        self.consumed += length as u64;
        while self.fds.front().is_some_and(|arrived| arrived.position < self.consumed) {
            self.fds.pop_front();
        }
    }

    /// An idle connection holds no buffer.
    fn release(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            self.buffer = BytesMut::new();
        }
    }
}
