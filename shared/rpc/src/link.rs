//! A socket and the queue of messages that wait to be written to it.
//!
//! Whoever has a message writes it at once, from its own task, when the queue is empty; what the
//! kernel does not take stays queued, and the task that owns the connection writes it when the
//! socket is ready again. So a reply normally costs one system call and no change of task.

use crate::frame::Packet;
use bytes::Buf;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// Events waiting for a client that does not read; beyond this the client is disconnected.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// While more than this waits to be written, nothing more is read from the peer it was made for.
pub const OUTBOUND_PAUSE: usize = 256 * 1024;

/// Taken while a stream packet is in the queue: one packet of each stream at a time.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    busy: AtomicBool,
    changed: Notify,
}

impl Gate {
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    pub(crate) fn take(&self) {
        self.busy.store(true, Ordering::Release);
    }

    pub(crate) fn release(&self) {
        self.busy.store(false, Ordering::Release);
        self.changed.notify_one();
    }

    /// Wakes the waiting sender to look at its state again.
    pub(crate) fn nudge(&self) {
        self.changed.notify_one();
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// What a queued message counts as.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A call or a reply: bounded by the number of requests.
    Call,
    /// An event: bounded by bytes.
    Event,
    /// The answer to a keepalive request: at most one waits.
    Pong,
    /// A packet of a stream.
    Stream(Arc<Gate>),
}

#[derive(Debug)]
struct Queued {
    packet: Packet,
    purpose: Purpose,
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Closes once the queue is empty; takes nothing more.
    Finishing,
    Closed,
}

#[derive(Debug)]
struct Outbound {
    queue: VecDeque<Queued>,
    bytes: usize,
    event_bytes: usize,
    pong_waits: bool,
    state: State,
}

/// A connected socket with its outbound queue.
#[derive(Debug)]
pub(crate) struct Link {
    socket: UnixStream,
    out: Mutex<Outbound>,
    /// For the task that owns the connection: something to write, room again, or closed.
    wake: Notify,
    /// For relays into this link: the queue is short again, or closed.
    drained: Notify,
}

impl Link {
    pub(crate) fn new(socket: UnixStream) -> Self {
        let out = Outbound { queue: VecDeque::new(), bytes: 0, event_bytes: 0, pong_waits: false, state: State::Open };
        Link { socket, out: Mutex::new(out), wake: Notify::new(), drained: Notify::new() }
    }

    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Queues a message, writing it at once if possible. False: the connection is closing, the message is dropped.
    pub(crate) fn send(&self, packet: Packet, purpose: Purpose) -> bool {
        let mut out = self.lock();
        if out.state != State::Open {
            if let Purpose::Stream(gate) = purpose {
                gate.release();
            }
            return false;
        }
        match purpose {
            Purpose::Pong if out.pong_waits => return true,
            Purpose::Pong => out.pong_waits = true,
            Purpose::Event => out.event_bytes += packet.len(),
            _ => {}
        }
        let first = out.queue.is_empty();
        let length = packet.len();
        out.bytes += length;
        out.queue.push_back(Queued { packet, purpose, length });
        if out.event_bytes > EVENT_BYTES_MAX {
            tracing::warn!(bytes = out.event_bytes, "client does not read its events, closing its connection");
            self.shut(&mut out);
        } else if first {
            self.write(&mut out);
        }
        true
    }

    /// Writes what the kernel takes. Called when the socket is writable.
    pub(crate) fn flush(&self) {
        let mut out = self.lock();
        // Through the runtime, so that it waits for the kernel again when not all went out.
        let _ = self.socket.try_io(Interest::WRITABLE, || {
            self.write(&mut out);
            if out.queue.is_empty() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
    }

    /// Closes at once; what is queued is lost.
    pub(crate) fn close(&self) {
        self.shut(&mut self.lock());
    }

    /// Closes when everything queued is out; takes no more messages.
    pub(crate) fn close_after_flush(&self) {
        let mut out = self.lock();
        if out.state == State::Open {
            out.state = State::Finishing;
            self.write(&mut out);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().state == State::Closed
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().state == State::Open
    }

    /// How many bytes wait to be written.
    pub(crate) fn queued(&self) -> usize {
        self.lock().bytes
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.lock().queue.is_empty()
    }

    /// Wakes the owning task to look at its state again.
    pub(crate) fn nudge(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until little is queued or the link is closed. For one relaying task at a time per wait.
    pub(crate) async fn drained(&self) {
        loop {
            let notified = self.drained.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let out = self.lock();
                if out.bytes < OUTBOUND_PAUSE || out.state == State::Closed {
                    return;
                }
            }
            notified.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outbound> {
        // A panic while the queue is held cannot leave it inconsistent: each step is complete.
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, out: &mut Outbound) {
        if out.state == State::Closed {
            return;
        }
        let before = out.bytes;
        while let Some(front) = out.queue.front_mut() {
            let left = front.packet.len();
            let result = self.write_packet(&mut front.packet);
            out.bytes -= left - front.packet.len();
            match result {
                Ok(()) => {
                    let done = out.queue.pop_front().expect("the front was just written");
                    out.settle(done);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wake.notify_one();
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(%error, "writing to the peer failed, closing the connection");
                    self.shut(out);
                    return;
                }
            }
        }
        if before >= OUTBOUND_PAUSE && out.bytes < OUTBOUND_PAUSE {
            self.drained.notify_waiters();
            self.wake.notify_one();
        }
        if out.queue.is_empty() {
            if out.queue.capacity() > 64 {
                out.queue = VecDeque::new();
            }
            if out.state == State::Finishing {
                self.shut(out);
            }
        }
    }

    fn write_packet(&self, packet: &mut Packet) -> io::Result<()> {
        while !packet.is_empty() {
            let parts = [IoSlice::new(&packet.head), IoSlice::new(&packet.body)];
            let mut sent = host::socket::send_with(&self.socket, &parts, &[])?;
            let from_head = sent.min(packet.head.len());
            packet.head.advance(from_head);
            sent -= from_head;
            packet.body.advance(sent);
        }
        while let Some(fd) = packet.fds.front() {
            host::socket::send_with(&self.socket, &[IoSlice::new(&[0])], &[fd.as_fd()])?;
            packet.fds.pop_front();
        }
        Ok(())
    }

    fn shut(&self, out: &mut Outbound) {
        if out.state == State::Closed {
            return;
        }
        out.state = State::Closed;
        for queued in std::mem::take(&mut out.queue) {
            out.settle(queued);
        }
        out.bytes = 0;
        // The descriptor itself lives as long as someone still names this client; the peer must not wait for that.
        let _ = nix::sys::socket::shutdown(self.socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        self.wake.notify_one();
        self.drained.notify_waiters();
    }

    /// Receives once into `reader`. `Ok(0)`: the peer has closed. `WouldBlock`: nothing there now.
    pub(crate) fn receive(
        &self,
        reader: &mut crate::frame::FrameReader,
        fds: &mut Vec<std::os::fd::OwnedFd>,
    ) -> io::Result<usize> {
        let buffer = reader.buffer();
        let start = buffer.len();
        buffer.resize(buffer.capacity(), 0);
        let mut received = None;
        let outcome = self.socket.try_io(Interest::READABLE, || {
            let count = host::socket::receive_into(&self.socket, &mut buffer[start..], fds)?;
            received = Some(count);
            // Less than there was room for: the socket is empty, so its readiness is cleared without another
            // system call. Not after descriptors, where the kernel stops early.
            let drained = count > 0 && start + count < buffer.len() && fds.is_empty();
            if drained { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        buffer.truncate(start + received.unwrap_or(0));
        match received {
            Some(count) => Ok(count),
            None => outcome.map(|()| 0),
        }
    }
}

impl Outbound {
    fn settle(&mut self, done: Queued) {
        match done.purpose {
            Purpose::Call => {}
            Purpose::Event => self.event_bytes -= done.length,
            Purpose::Pong => self.pong_waits = false,
            Purpose::Stream(gate) => gate.release(),
        }
    }
}
