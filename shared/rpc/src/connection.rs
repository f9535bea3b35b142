//! Typed calls from one daemon to another.

use crate::frame::{Frame, Header, MessageType, Packet, Status, decode_error};
use crate::identity::Identity;
use crate::peer::{Hooks, Patience, Peer};
use bytes::Bytes;
use error::{Code, Domain, Error, Result};
use protocol::remote::{self, AuthListRet, AuthType, ConnectOpenArgs, ConnectSetIdentityArgs};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use xdr::{Decode, Encode};

/// Time for connect, authentication and open together; starting a daemon by its socket is included.
pub const OPEN_DEADLINE: Duration = Duration::from_secs(30);

/// An event: program, procedure, body.
type OnEvent = Box<dyn Fn(u32, i32, Bytes) + Send + Sync>;

/// A connection to another daemon. Clones share it; calls run in parallel; it closes with the last clone.
#[derive(Clone)]
pub struct ClientConnection {
    inner: Arc<Inner>,
}

struct Inner {
    peer: Arc<Peer>,
    closed: watch::Receiver<bool>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.peer.close();
    }
}

impl ClientConnection {
    /// Connects to a daemon's socket. Programs without `CONNECT_OPEN` (lock, log) can be called at once.
    ///
    /// # Errors
    /// `SYSTEM_ERROR` with errno when nobody listens, as libvirt words it.
    pub async fn connect(path: &Path) -> Result<Self> {
        ClientConnection::connect_with_events(path, |_, _, _| {}).await
    }

    /// As [`connect`](Self::connect), with a function that gets every event: program, procedure number, body.
    pub async fn connect_with_events(
        path: &Path,
        on_event: impl Fn(u32, i32, Bytes) + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = path.display().to_string();
        let on_event: OnEvent = Box::new(on_event);
        let (closed_tx, closed) = watch::channel(false);
        let hooks = Hooks {
            incoming: Box::new(move |frame: Frame| {
                if frame.header.kind == MessageType::Message {
                    let header = frame.header;
                    on_event(header.program, header.procedure, frame.into_payload().0);
                }
            }),
            ended: Box::new(move || {
                closed_tx.send_replace(true);
            }),
            downstream: None,
        };
        let connecting = tokio::time::timeout(OPEN_DEADLINE, Peer::connect(path, &name, hooks));
        let peer = match connecting.await {
            Ok(Ok(peer)) => peer,
            Ok(Err(error)) => return Err(connect_failed(path, &error)),
            Err(_) => return Err(timed_out(&name)),
        };
        Ok(ClientConnection { inner: Arc::new(Inner { peer, closed }) })
    }

    /// Authenticates and opens a driver's connection: `CONNECT_OPEN` with a URI and `VIR_CONNECT_RO` (1) or 0.
    pub async fn open(&self, uri: &str, flags: u32) -> Result<()> {
        match tokio::time::timeout(OPEN_DEADLINE, self.peer_open(uri, flags)).await {
            Ok(result) => result,
            Err(_) => Err(timed_out(uri)),
        }
    }

    async fn peer_open(&self, uri: &str, flags: u32) -> Result<()> {
        let auth: AuthListRet = self.call(remote::PROGRAM, remote::proc::AUTH_LIST, &()).await?;
        if !matches!(auth.types[..], [] | [AuthType::None]) {
            return Err(Error::new(Domain::Rpc, Code::AuthFailed, "the daemon asks for a login"));
        }
        self.inner.peer.start_keepalive(Patience::default());
        let args = ConnectOpenArgs { name: Some(uri.to_owned()), flags };
        self.call(remote::PROGRAM, remote::proc::CONNECT_OPEN, &args).await
    }

    /// Speaks on behalf of a caller from now on.
    pub async fn set_identity(&self, identity: &Identity) -> Result<()> {
        let args = ConnectSetIdentityArgs { params: identity.params().to_vec(), flags: 0 };
        self.call(remote::PROGRAM, remote::proc::CONNECT_SET_IDENTITY, &args).await
    }

    /// Calls a procedure. `&()` for no arguments, `()` for no result.
    ///
    /// # Errors
    /// What the daemon answered; `OPERATION_FAILED` when it goes away or hangs; `RPC` when it answers nonsense.
    pub async fn call<A: Encode + ?Sized, R: Decode>(&self, program: u32, procedure: i32, args: &A) -> Result<R> {
        Ok(self.call_with_fds(program, procedure, args, Vec::new()).await?.0)
    }

    /// Calls a procedure, with descriptors both ways.
    pub async fn call_with_fds<A: Encode + ?Sized, R: Decode>(
        &self,
        program: u32,
        procedure: i32,
        args: &A,
        fds: Vec<OwnedFd>,
    ) -> Result<(R, Vec<OwnedFd>)> {
        // Encoded before a serial is taken, so that nothing waits for a call that was never sent.
        let header = Header { program, version: 1, procedure, kind: MessageType::Call, serial: 0, status: Status::Ok };
        let packet = Packet::call(header, args, fds)
            .map_err(|_| Error::new(Domain::Rpc, Code::Rpc, "Unable to encode message payload"))?;
        let (reply_tx, reply_rx) = oneshot::channel();
        let waiter = Box::new(move |reply| drop(reply_tx.send(reply)));
        self.inner.peer.call(|serial| packet.with_serial(serial), waiter);
        let frame = reply_rx.await.map_err(|_| self.inner.peer.gone())??;
        if frame.header.status != Status::Ok {
            return Err(decode_error(frame.payload()).unwrap_or_else(|_| undecodable()));
        }
        let (payload, fds) = frame.into_payload();
        Ok((xdr::from_slice(&payload).map_err(|_| undecodable())?, fds))
    }

    /// As [`call`](Self::call), given up after `deadline`; the daemon may still do what was asked.
    pub async fn call_within<A: Encode + ?Sized, R: Decode>(
        &self,
        deadline: Duration,
        program: u32,
        procedure: i32,
        args: &A,
    ) -> Result<R> {
        match tokio::time::timeout(deadline, self.call(program, procedure, args)).await {
            Ok(result) => result,
            Err(_) => Err(timed_out("the daemon")),
        }
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.inner.peer.is_closed()
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        // An error means that the reading task is gone, which is the end too.
        let _ = self.inner.closed.clone().wait_for(|closed| *closed).await;
    }

    /// Closes the connection; pending calls fail.
    pub fn close(&self) {
        self.inner.peer.close();
    }
}

/// Nobody listens on a daemon's socket, in libvirt's words.
pub fn connect_failed(path: &Path, error: &std::io::Error) -> Error {
    Error::system(Domain::Rpc, error, format!("Failed to connect socket to '{}'", path.display()))
}

fn timed_out(what: &str) -> Error {
    Error::new(Domain::Rpc, Code::OperationTimeout, format!("{what} does not answer"))
}

fn undecodable() -> Error {
    Error::new(Domain::Rpc, Code::Rpc, "Unable to decode message payload")
}
