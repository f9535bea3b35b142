//! The server's end of a data stream.
//!
//! ```text
//!  pending ──OK reply out──▶ live ──client's finish──▶ finished ──our answer──▶ gone
//!     │                        │ ──client's abort (answered at once)─────────────▶ gone
//!     └──call failed──▶ gone   │ ──fail() or dropped: error packet──────────────▶ gone
//! ```
//!
//! Inbound, the connection stops reading its client while a stream holds [`INBOUND_MAX`] bytes that its
//! owner has not taken. Outbound, one packet of each stream is queued at a time.

use crate::client::Client;
use crate::frame::{Header, MessageType, Packet, Status};
use crate::link::{Gate, Purpose};
use bytes::Bytes;
use error::{Code, Domain, Error};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;
use xdr::Encode;

/// Largest chunk in one packet from the server: the payload limit of old clients.
pub const CHUNK_MAX: usize = 262_120;
/// Bytes that a stream holds for its owner before the client is no longer read.
pub const INBOUND_MAX: usize = 1024 * 1024;

/// What arrives on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// Bytes, never empty.
    Data(Bytes),
    /// A hole of this many bytes in a sparse stream.
    Hole(i64),
    /// The client has sent everything and waits for [`Stream::finish`] or [`Stream::fail`].
    Finish,
    /// The client has given up; it has been answered already.
    Abort,
}

/// The stream or its connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct Closed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Live,
    Finished,
    Gone,
}

#[derive(Debug)]
struct Inner {
    state: State,
    items: VecDeque<StreamItem>,
    bytes: usize,
}

/// What the connection and the stream's owner share.
pub(crate) struct Shared {
    call: Header,
    client: Weak<Client>,
    inner: Mutex<Inner>,
    arrived: Notify,
    gate: Arc<Gate>,
    sparse: AtomicBool,
}

impl Shared {
    pub(crate) fn new(client: &Arc<Client>, call: Header) -> Arc<Self> {
        Arc::new(Shared {
            call,
            client: Arc::downgrade(client),
            inner: Mutex::new(Inner { state: State::Pending, items: VecDeque::new(), bytes: 0 }),
            arrived: Notify::new(),
            gate: Arc::default(),
            sparse: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_sparse(&self) -> bool {
        self.sparse.load(Ordering::Relaxed)
    }

    pub(crate) fn set_sparse(&self) {
        self.sparse.store(true, Ordering::Relaxed);
    }

    pub(crate) fn procedure(&self) -> i32 {
        self.call.procedure
    }

    /// The OK reply is in the queue: packets may follow it. False: the owner has dropped the stream meanwhile.
    pub(crate) fn start(&self) -> bool {
        let mut inner = self.lock();
        if inner.state != State::Pending {
            return false;
        }
        inner.state = State::Live;
        drop(inner);
        self.gate.nudge();
        true
    }

    /// The call failed or the connection ended.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.state = State::Gone;
        inner.items.clear();
        inner.bytes = 0;
        drop(inner);
        self.arrived.notify_one();
        self.gate.nudge();
    }

    pub(crate) fn has_room(&self) -> bool {
        self.lock().bytes < INBOUND_MAX
    }

    /// Hands an item from the client to the owner.
    pub(crate) fn deliver(&self, item: StreamItem) {
        let mut inner = self.lock();
        if inner.state != State::Live {
            return;
        }
        match &item {
            StreamItem::Data(bytes) => inner.bytes += bytes.len(),
            // A flood of holes is held back as if each were a packet of data.
            StreamItem::Hole(_) => inner.bytes += 4096,
            StreamItem::Finish => inner.state = State::Finished,
            StreamItem::Abort => inner.state = State::Gone,
        }
        inner.items.push_back(item);
        drop(inner);
        self.arrived.notify_one();
        self.gate.nudge();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Option<StreamItem>> {
        let mut inner = self.lock();
        let Some(item) = inner.items.pop_front() else {
            return (inner.state == State::Gone).then_some(None);
        };
        let was_full = inner.bytes >= INBOUND_MAX;
        inner.bytes -= match &item {
            StreamItem::Data(bytes) => bytes.len(),
            StreamItem::Hole(_) => 4096,
            _ => 0,
        };
        if was_full
            && inner.bytes < INBOUND_MAX
            && let Some(client) = self.client.upgrade()
        {
            client.link().nudge();
        }
        Some(Some(item))
    }

    fn header(&self, kind: MessageType, status: Status) -> Header {
        self.call.answer(kind, status)
    }

    fn send(&self, packet: Packet) -> Result<(), Closed> {
        let client = self.client.upgrade().ok_or(Closed)?;
        self.gate.take();
        if client.link().send(packet, Purpose::Stream(self.gate.clone())) { Ok(()) } else { Err(Closed) }
    }

    /// Last packet of the stream; the client's table forgets it.
    fn leave(&self, packet: Option<Packet>) {
        let mut inner = self.lock();
        let was = std::mem::replace(&mut inner.state, State::Gone);
        // what nobody takes any more must not keep the client from being read
        inner.items.clear();
        inner.bytes = 0;
        drop(inner);
        let Some(client) = self.client.upgrade() else { return };
        if matches!(was, State::Live | State::Finished) {
            client.forget_stream(self.call.serial);
            if let Some(packet) = packet {
                client.link().send(packet, Purpose::Call);
            }
        }
        client.link().nudge();
    }
}

/// A data stream that a call opened; it becomes live once the call's OK reply is out.
///
/// Dropping it without [`finish`](Stream::finish) or [`fail`](Stream::fail) sends the client an error.
pub struct Stream {
    shared: Arc<Shared>,
}

impl Stream {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Stream { shared }
    }

    /// The next item from the client; `None` when the connection is gone or the stream has ended.
    pub async fn recv(&self) -> Option<StreamItem> {
        loop {
            if let Some(item) = self.shared.take() {
                return item;
            }
            self.shared.arrived.notified().await;
        }
    }

    /// Sends bytes, in packets of at most [`CHUNK_MAX`]; returns when the last one is queued, which
    /// waits until the one before has been written to the client.
    pub async fn send(&self, mut bytes: Bytes) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK_MAX));
            self.ready().await?;
            self.shared.send(Packet::with_body(self.shared.header(MessageType::Stream, Status::Continue), chunk))?;
        }
        Ok(())
    }

    /// Sends a hole; only on a stream whose call carried the sparse flag.
    pub async fn send_hole(&self, length: i64) -> Result<(), Closed> {
        self.ready().await?;
        let mut body = Vec::with_capacity(12);
        length.encode(&mut body).and_then(|()| 0u32.encode(&mut body)).map_err(|_| Closed)?;
        self.shared.send(Packet::with_body(self.shared.header(MessageType::StreamHole, Status::Continue), body.into()))
    }

    /// Ends the stream well. After the client's [`Finish`](StreamItem::Finish) this answers it; before, it
    /// announces the end of data and waits for the client's finish or abort, dropping data that still comes.
    pub async fn finish(self) {
        if self.ready().await.is_err() {
            return;
        }
        if self.shared.lock().state == State::Live {
            let end = Packet::empty(self.shared.header(MessageType::Stream, Status::Continue));
            if self.shared.send(end).is_err() {
                return;
            }
            loop {
                match self.recv().await {
                    Some(StreamItem::Finish) => break,
                    Some(StreamItem::Data(_) | StreamItem::Hole(_)) => {}
                    Some(StreamItem::Abort) | None => return,
                }
            }
        }
        self.shared.leave(Some(Packet::empty(self.shared.header(MessageType::Stream, Status::Ok))));
    }

    /// Ends the stream with an error.
    pub async fn fail(self, error: Error) {
        if self.ready().await.is_ok() {
            self.shared.leave(Some(Packet::stream_failure(&self.shared.call, &error)));
        }
    }

    /// Waits until the stream is live and its last packet has been written.
    async fn ready(&self) -> Result<(), Closed> {
        loop {
            let state = self.shared.lock().state;
            match state {
                State::Gone => return Err(Closed),
                State::Live | State::Finished if !self.shared.gate.is_busy() => return Ok(()),
                _ => self.shared.gate.changed().await,
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let error = Error::new(Domain::Rpc, Code::InternalError, "stream aborted by the server");
        self.shared.leave(Some(Packet::stream_failure(&self.shared.call, &error)));
    }
}
