//! The client's end of a connection to another daemon, shared by the typed client and the router.
//!
//! Whoever calls registers a waiter under a fresh serial and writes at once, from its own task; one
//! task per connection reads and hands each reply to its waiter on the spot. A peer that is gone, or
//! does not answer keepalive requests while calls are pending, fails all that wait.

use crate::frame::{Frame, FrameReader, MessageType, Packet};
use crate::link::{Link, OUTBOUND_PAUSE, Purpose};
use crate::server::{Keepalive, Verdict, keepalive_packet};
use error::{Code, Domain, Error};
use protocol::keepalive;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

/// When a peer with pending calls is asked whether it lives, and given up: idle time and unanswered requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Silence after which it is asked, and asked again.
    pub interval: Duration,
    /// Unanswered requests after which it is given up.
    pub count: u32,
}

impl Default for Patience {
    /// libvirt's 5 seconds, 5 times.
    fn default() -> Self {
        Patience { interval: Duration::from_secs(5), count: 5 }
    }
}

/// Pause before the next try at a listener with a full backlog.
const BACKLOG_RETRY: Duration = Duration::from_millis(10);
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// Gets the reply to one call, or the reason why there is none.
pub(crate) type Waiter = Box<dyn FnOnce(Result<Frame, Error>) + Send>;
/// Gets events and stream packets, in order.
pub(crate) type Incoming = Box<dyn Fn(Frame) + Send + Sync>;
/// Told once when the connection has ended, after the waiters.
pub(crate) type Ended = Box<dyn FnOnce() + Send>;

struct Pending {
    next: u32,
    waiters: HashMap<u32, Waiter>,
    closed: bool,
    /// Set by the protocol above once the peer is known to answer.
    keepalive: Option<Keepalive>,
    /// Streams and other matters for which the peer has to be alive although no call waits.
    interests: usize,
}

/// A connection to another daemon.
pub(crate) struct Peer {
    name: String,
    link: Arc<Link>,
    pending: Mutex<Pending>,
}

/// What a connection reports to.
pub(crate) struct Hooks {
    pub incoming: Incoming,
    pub ended: Ended,
    /// Where what is read goes; while that is full, the peer is not read.
    pub downstream: Option<Arc<Link>>,
}

impl Peer {
    /// Connects to a listening socket. The caller sets the deadline.
    pub(crate) async fn connect(path: &Path, name: &str, hooks: Hooks) -> io::Result<Arc<Peer>> {
        loop {
            match UnixStream::connect(path).await {
                Ok(socket) => return Ok(Peer::start(socket, name, hooks)),
                // The listener's backlog is full; the kernel offers nothing to wait for.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(BACKLOG_RETRY).await,
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn start(socket: UnixStream, name: &str, hooks: Hooks) -> Arc<Peer> {
        let pending = Pending { next: 0, waiters: HashMap::new(), closed: false, keepalive: None, interests: 0 };
        let peer =
            Arc::new(Peer { name: name.to_owned(), link: Arc::new(Link::new(socket)), pending: Mutex::new(pending) });
        tokio::spawn(read(peer.clone(), hooks));
        peer
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// From now on the peer is asked whether it lives when it is silent while calls are pending.
    pub(crate) fn start_keepalive(&self, patience: Patience) {
        let now = Instant::now();
        self.lock().keepalive = Keepalive::new(patience.interval, patience.count, now);
    }

    /// Sends a call; `packet` makes it for the serial it is given.
    pub(crate) fn call(&self, packet: impl FnOnce(u32) -> Packet, waiter: Waiter) {
        let serial = {
            let mut pending = self.lock();
            if pending.closed {
                drop(pending);
                return waiter(Err(self.gone()));
            }
            let serial = pending.free_serial();
            let first = pending.waiters.is_empty() && pending.interests == 0;
            if let Some(keepalive) = pending.keepalive.as_mut().filter(|_| first) {
                keepalive.heard(Instant::now());
                // The reading task sleeps without a deadline while nothing is pending.
                self.link.nudge();
            }
            pending.waiters.insert(serial, waiter);
            serial
        };
        // A closed link drops the packet; the reading task then fails the waiter.
        self.link.send(packet(serial), Purpose::Call);
    }

    /// Counts streams: while there are any, a silent peer is asked whether it lives.
    pub(crate) fn add_interest(&self) {
        self.lock().interests += 1;
        self.link.nudge();
    }

    pub(crate) fn drop_interest(&self) {
        let mut pending = self.lock();
        pending.interests = pending.interests.saturating_sub(1);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed || self.link.is_closed()
    }

    pub(crate) fn close(&self) {
        self.link.close();
    }

    /// The error of a call whose peer went away.
    pub(crate) fn gone(&self) -> Error {
        Error::new(Domain::Rpc, Code::OperationFailed, format!("connection to {} was lost", self.name))
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the clock matters next; `None`: the peer is dead.
    fn due(&self, now: Instant) -> Option<Instant> {
        loop {
            let mut pending = self.lock();
            if pending.waiters.is_empty() && pending.interests == 0 {
                return Some(now + FAR);
            }
            let Some(keepalive) = &mut pending.keepalive else { return Some(now + FAR) };
            match keepalive.check(now) {
                Verdict::Wait(until) => return Some(until),
                Verdict::Dead => {
                    tracing::warn!(peer = self.name, "peer does not answer keepalive requests, closing");
                    return None;
                }
                Verdict::Ask => {
                    drop(pending);
                    self.link.send(keepalive_packet(keepalive::proc::PING), Purpose::Call);
                }
            }
        }
    }

    /// Takes one frame. False: the peer breaks the protocol.
    fn take(&self, frame: Frame, incoming: &Incoming) -> bool {
        match frame.header.kind {
            MessageType::Reply | MessageType::ReplyWithFds => {
                let Some(waiter) = self.lock().waiters.remove(&frame.header.serial) else {
                    tracing::warn!(peer = self.name, serial = frame.header.serial, "reply to no call, closing");
                    return false;
                };
                waiter(Ok(frame));
            }
            MessageType::Message if frame.header.program == keepalive::PROGRAM => {
                if frame.header.procedure == keepalive::proc::PING {
                    self.link.send(keepalive_packet(keepalive::proc::PONG), Purpose::Pong);
                }
            }
            MessageType::Message | MessageType::Stream | MessageType::StreamHole => incoming(frame),
            MessageType::Call | MessageType::CallWithFds | MessageType::Unknown(_) => {}
        }
        true
    }

    fn end(&self) {
        self.link.close();
        let waiters = {
            let mut pending = self.lock();
            pending.closed = true;
            std::mem::take(&mut pending.waiters)
        };
        for (_, waiter) in waiters {
            waiter(Err(self.gone()));
        }
    }
}

impl Pending {
    /// The next serial that no call waits under.
    fn free_serial(&mut self) -> u32 {
        while self.waiters.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let serial = self.next;
        self.next = self.next.wrapping_add(1);
        serial
    }
}

async fn read(peer: Arc<Peer>, hooks: Hooks) {
    let Hooks { incoming, ended, downstream } = hooks;
    serve(&peer, &incoming, downstream.as_deref()).await;
    peer.end();
    ended();
}

async fn serve(peer: &Peer, incoming: &Incoming, downstream: Option<&Link>) {
    let link = &peer.link;
    let mut reader = FrameReader::new(true);
    let mut fds = Vec::new();
    let timer = sleep_until(Instant::now() + FAR);
    tokio::pin!(timer);
    while !link.is_closed() {
        let Some(due) = peer.due(Instant::now()) else { return };
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        let held_up = downstream.is_some_and(|downstream| downstream.queued() >= OUTBOUND_PAUSE);
        let may_write = link.has_queued();
        tokio::select! {
            biased;
            () = link.woken() => {}
            _ = link.socket().readable(), if !held_up => {
                match link.receive(&mut reader, &mut fds) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
                    Err(error) => {
                        tracing::debug!(peer = peer.name, %error, "reading from the peer failed");
                        return;
                    }
                }
                if let Some(keepalive) = &mut peer.lock().keepalive {
                    keepalive.heard(Instant::now());
                }
                if reader.push_fds(fds.drain(..)).is_err() || !take_all(peer, &mut reader, incoming) {
                    return;
                }
            }
            _ = link.socket().writable(), if may_write => link.flush(),
            () = drained(downstream), if held_up => {}
            () = &mut timer => timer.as_mut().reset(Instant::now() + FAR),
        }
    }
}

/// Takes every whole frame. False: the connection cannot go on.
fn take_all(peer: &Peer, reader: &mut FrameReader, incoming: &Incoming) -> bool {
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                if !peer.take(frame, incoming) {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(error) => {
                tracing::warn!(peer = peer.name, %error, "peer sends garbage, closing");
                return false;
            }
        }
    }
}

async fn drained(downstream: Option<&Link>) {
    match downstream {
        Some(downstream) => downstream.drained().await,
        None => std::future::pending().await,
    }
}
