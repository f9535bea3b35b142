//! A message on its way out.

use super::failure::encode_error;
use super::header::{Header, MessageType, Status};
use super::reader::Frame;
use bytes::Bytes;
use protocol::FRAME_HEAD;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use xdr::Encode;

/// What has to be written for one message: two runs of bytes, then descriptors.
///
/// Two runs, so that stream data and forwarded bodies are never copied behind a header.
#[derive(Debug)]
pub struct Packet {
    /// Length word and header, often with the body behind them.
    pub head: Bytes,
    /// The rest of the body.
    pub body: Bytes,
    /// Descriptors that follow, one data byte each.
    pub fds: VecDeque<OwnedFd>,
}

impl Packet {
    /// A message without a body.
    pub fn empty(header: Header) -> Packet {
        Packet::with_body(header, Bytes::new())
    }

    /// A message whose body exists already.
    pub fn with_body(header: Header, body: Bytes) -> Packet {
        let head = Bytes::copy_from_slice(&header.head(body.len()));
        Packet { head, body, fds: VecDeque::new() }
    }

    /// A message with an encoded body.
    pub fn encoded<T: Encode + ?Sized>(header: Header, value: &T) -> Result<Packet, xdr::Error> {
        let mut frame = Vec::with_capacity(256);
        frame.resize(FRAME_HEAD, 0);
        value.encode(&mut frame)?;
        Ok(Packet::filled(header, frame))
    }

    /// A call, with descriptors where there are any.
    pub fn call<T: Encode + ?Sized>(mut header: Header, value: &T, fds: Vec<OwnedFd>) -> Result<Packet, xdr::Error> {
        if fds.is_empty() {
            return Packet::encoded(header, value);
        }
        header.kind = MessageType::CallWithFds;
        let mut body = Vec::new();
        (fds.len() as u32).encode(&mut body)?;
        value.encode(&mut body)?;
        Ok(Packet { fds: fds.into(), ..Packet::with_body(header, body.into()) })
    }

    /// A successful reply to `call`; `frame` has [`FRAME_HEAD`] free bytes in front of the result.
    pub fn reply(call: &Header, frame: Vec<u8>, fds: Vec<OwnedFd>) -> Packet {
        if fds.is_empty() {
            return Packet::filled(call.answer(MessageType::Reply, Status::Ok), frame);
        }
        let body = Bytes::from(frame).slice(FRAME_HEAD..);
        let header = call.answer(MessageType::ReplyWithFds, Status::Ok);
        let mut head = header.head(4 + body.len()).to_vec();
        head.extend_from_slice(&(fds.len() as u32).to_be_bytes());
        Packet { head: head.into(), body, fds: fds.into() }
    }

    /// The reply to a call that failed.
    pub fn failure(call: &Header, error: &error::Error) -> Packet {
        Packet::filled(call.answer(MessageType::Reply, Status::Error), encode_error(error))
    }

    /// The end of a stream by an error.
    pub fn stream_failure(call: &Header, error: &error::Error) -> Packet {
        Packet::filled(call.answer(MessageType::Stream, Status::Error), encode_error(error))
    }

    /// A received frame on its way to the next peer.
    pub fn forward(frame: Frame) -> Packet {
        let (head, fds) = frame.into_bytes();
        Packet { head, body: Bytes::new(), fds: fds.into() }
    }

    /// Bytes of the message, descriptors' bytes not counted.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether all bytes are out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn filled(header: Header, mut frame: Vec<u8>) -> Packet {
        let head = header.head(frame.len() - FRAME_HEAD);
        frame[..FRAME_HEAD].copy_from_slice(&head);
        Packet { head: frame.into(), body: Bytes::new(), fds: VecDeque::new() }
    }
}

impl Packet {
    /// The same message under another serial.
    pub fn with_serial(mut self, serial: u32) -> Packet {
        let mut head = bytes::BytesMut::from(self.head);
        head[super::SERIAL_OFFSET..super::SERIAL_OFFSET + 4].copy_from_slice(&serial.to_be_bytes());
        self.head = head.freeze();
        self
    }
}
