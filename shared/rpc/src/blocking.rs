//! A small client without a runtime, for single-threaded helper processes.
//!
//! One call at a time. The process that becomes QEMU registers itself with virtlockd this way and keeps the socket open
//! through exec, so that virtlockd ties the locks to its life.

use crate::frame::{FrameReader, Header, MessageType, Packet, Status, decode_error};
use error::{Code, Domain, Error, Result};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use xdr::{Decode, Encode};

/// Longest wait for a reply.
const REPLY_DEADLINE: Duration = Duration::from_secs(30);

/// A connection for one thread.
pub struct BlockingConnection {
    socket: UnixStream,
    reader: FrameReader,
    serial: u32,
}

impl BlockingConnection {
    /// Connects to a daemon's socket.
    pub fn connect(path: &Path) -> Result<Self> {
        let socket = UnixStream::connect(path).map_err(|error| crate::connection::connect_failed(path, &error))?;
        BlockingConnection::over(socket)
    }

    /// Uses a connected socket.
    pub fn over(socket: UnixStream) -> Result<Self> {
        let limited =
            socket.set_read_timeout(Some(REPLY_DEADLINE)).and_then(|()| socket.set_write_timeout(Some(REPLY_DEADLINE)));
        limited.map_err(|error| Error::system(Domain::Rpc, &error, "cannot set a deadline"))?;
        Ok(BlockingConnection { socket, reader: FrameReader::new(true), serial: 0 })
    }

    /// Calls a procedure. `&()` for no arguments, `()` for no result.
    pub fn call<A: Encode + ?Sized, R: Decode>(&mut self, program: u32, procedure: i32, args: &A) -> Result<R> {
        let serial = self.serial;
        self.serial = serial.wrapping_add(1);
        let header = Header { program, version: 1, procedure, kind: MessageType::Call, serial, status: Status::Ok };
        let packet = Packet::encoded(header, args)
            .map_err(|_| Error::new(Domain::Rpc, Code::Rpc, "Unable to encode message payload"))?;
        self.write(&packet.head).map_err(|error| Error::system(Domain::Rpc, &error, "cannot write data"))?;
        loop {
            let frame = self.read()?;
            if frame.header.kind != MessageType::Reply || frame.header.serial != serial {
                continue;
            }
            return match frame.header.status {
                Status::Ok => xdr::from_slice(frame.payload()).map_err(|_| undecodable()),
                _ => Err(decode_error(frame.payload()).unwrap_or_else(|_| undecodable())),
            };
        }
    }

    /// The socket, for a process that keeps it open.
    pub fn into_fd(self) -> OwnedFd {
        self.socket.into()
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match host::socket::send_with(&self.socket, &[IoSlice::new(bytes)], &[]) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<crate::frame::Frame> {
        use std::io::Read;
        loop {
            match self.reader.next_frame() {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(_) => return Err(undecodable()),
            }
            let buffer = self.reader.buffer();
            let start = buffer.len();
            buffer.resize(buffer.capacity(), 0);
            let received = self.socket.read(&mut buffer[start..]);
            buffer.truncate(start + *received.as_ref().unwrap_or(&0));
            match received {
                Ok(0) => {
                    return Err(Error::new(Domain::Rpc, Code::OperationFailed, "connection to the daemon was lost"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::system(Domain::Rpc, &error, "cannot read data")),
            }
        }
    }
}

impl AsFd for BlockingConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn undecodable() -> Error {
    Error::new(Domain::Rpc, Code::Rpc, "Unable to decode message payload")
}
