//! A server in this process and a client that speaks raw frames.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use protocol::{Class, remote};
use rpc::frame::{Frame, FrameReader, Header, MessageType, Packet, Status, decode_error};
use rpc::remote::RemoteBuilder;
use rpc::{Call, Limits, Listener, Program, RemoteConfig, RemoteProgram, Server};
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use xdr::{Decode, Encode};

pub const REMOTE: u32 = remote::PROGRAM;
/// No answer of a local peer takes this long.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn config() -> RemoteConfig {
    RemoteConfig { driver: "QEMU", scheme: "qemu", privileged: true, session_when_privileged: true, features: &[9] }
}

pub fn builder<S: remote::Hypervisor<Call>>(service: Arc<S>) -> RemoteBuilder {
    RemoteProgram::builder(config()).serve(Class::Hypervisor, move |call, number, payload| {
        remote::dispatch_hypervisor(service.clone(), call, number, payload)
    })
}

pub struct Host {
    pub directory: tempfile::TempDir,
    pub server: Server,
}

impl Host {
    /// Serves programs at `name-sock` and, read-only, at `name-sock-ro`.
    pub fn start(name: &str, programs: Vec<Arc<dyn Program>>, limits: Limits) -> Host {
        let directory = tempfile::tempdir().unwrap();
        let server = serve(directory.path(), name, programs, limits);
        Host { directory, server }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

pub fn serve(directory: &Path, name: &str, programs: Vec<Arc<dyn Program>>, limits: Limits) -> Server {
    let server = Server::builder(name).programs(programs).limits(limits).build();
    for (suffix, read_only) in [("-sock", false), ("-sock-ro", true)] {
        let path = directory.join(format!("{name}{suffix}"));
        let _ = std::fs::remove_file(&path);
        let socket = std::os::unix::net::UnixListener::bind(path).unwrap();
        server.serve(Listener::new(name, socket).read_only(read_only)).unwrap();
    }
    server
}

pub struct Raw {
    pub socket: UnixStream,
    reader: FrameReader,
    serial: u32,
}

impl Raw {
    pub async fn connect(path: PathBuf) -> Raw {
        let socket = UnixStream::connect(path).await.unwrap();
        Raw { socket, reader: FrameReader::new(true), serial: 100 }
    }

    /// A client that has opened `qemu:///system`.
    pub async fn open(path: PathBuf) -> Raw {
        let mut raw = Raw::connect(path).await;
        raw.connect_open("qemu:///system", 0).await.unwrap();
        raw
    }

    pub async fn connect_open(&mut self, uri: &str, flags: u32) -> error::Result<()> {
        let args = remote::ConnectOpenArgs { name: Some(uri.into()), flags };
        self.call(remote::proc::CONNECT_OPEN, &args).await
    }

    pub fn header(&mut self, program: u32, procedure: i32) -> Header {
        self.serial += 1;
        let (kind, status) = (MessageType::Call, Status::Ok);
        Header { program, version: 1, procedure, kind, serial: self.serial, status }
    }

    pub async fn send(&mut self, header: Header, body: &[u8]) {
        let packet = Packet::with_body(header, Bytes::copy_from_slice(body));
        self.write(&[&packet.head[..], &packet.body[..]].concat()).await;
    }

    pub async fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            tokio::time::timeout(PATIENCE, self.socket.writable()).await.expect("the server reads").unwrap();
            match self.socket.try_write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
            }
        }
    }

    pub fn send_fd(&self, fd: &OwnedFd) {
        host::socket::send_with(&self.socket, &[IoSlice::new(&[0])], &[fd.as_fd()]).unwrap();
    }

    /// The next frame; `None` when the server has closed.
    pub async fn receive(&mut self) -> Option<Frame> {
        tokio::time::timeout(PATIENCE, self.next()).await.expect("the server answers or closes")
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut fds = Vec::new();
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                return Some(frame);
            }
            self.socket.readable().await.unwrap();
            let mut piece = [0; 65536];
            let received = self.socket.try_io(tokio::io::Interest::READABLE, || {
                host::socket::receive_into(&self.socket, &mut piece, &mut fds)
            });
            match received {
                Ok(0) => return None,
                Ok(count) => {
                    self.reader.buffer().extend_from_slice(&piece[..count]);
                    self.reader.push_fds(fds.drain(..)).unwrap();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    pub async fn call<A: Encode, R: Decode>(&mut self, procedure: i32, args: &A) -> error::Result<R> {
        let header = self.header(REMOTE, procedure);
        let mut body = Vec::new();
        args.encode(&mut body).unwrap();
        self.send(header, &body).await;
        let reply = self.receive().await.expect("a reply");
        assert_eq!((reply.header.serial, reply.header.procedure), (header.serial, procedure));
        result(&reply)
    }

    /// Sends a header with a body and gives the error that comes back.
    pub async fn refused(&mut self, header: Header, body: &[u8]) -> error::Error {
        self.send(header, body).await;
        let reply = self.receive().await.expect("an error reply");
        assert_eq!((reply.header.kind, reply.header.status), (MessageType::Reply, Status::Error));
        assert_eq!((reply.header.program, reply.header.version), (header.program, header.version));
        decode_error(reply.payload()).unwrap()
    }
}

pub fn result<R: Decode>(reply: &Frame) -> error::Result<R> {
    match reply.header.status {
        Status::Ok => Ok(xdr::from_slice(reply.payload()).unwrap()),
        _ => Err(decode_error(reply.payload()).unwrap()),
    }
}
