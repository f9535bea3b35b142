//! One client of a server, as its calls and the drivers see it.

use crate::frame::{Header, MessageType, Packet, Status};
use crate::identity::{Identity, PeerCredentials};
use crate::link::{Link, OUTBOUND_PAUSE, Purpose};
use crate::router::Relayed;
use crate::stream;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use xdr::Encode;

/// Serial of every event; libvirt's daemons use 1 and clients do not look.
const EVENT_SERIAL: u32 = 1;
/// Streams that one client may have open.
pub const STREAMS_MAX: usize = 256;

/// How a listener's clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// Reaching the socket is enough.
    #[default]
    None,
    /// A SASL exchange.
    Sasl,
    /// PolicyKit decides; root needs no question.
    Polkit,
}

type CloseHook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Hooks {
    closed: bool,
    list: Vec<CloseHook>,
}

/// Where the packets of a stream go.
#[derive(Clone)]
pub(crate) enum StreamEnd {
    /// To a driver in this process.
    Local(Arc<stream::Shared>),
    /// To a sibling daemon.
    Relayed(Relayed),
}

/// A connected client. Drivers hold it in an `Arc`; it outlives its connection, and sending to a closed one does nothing.
pub struct Client {
    id: u64,
    peer: PeerCredentials,
    auth: Auth,
    connected: SystemTime,
    requests_max: usize,
    link: Arc<Link>,
    identity: ArcSwap<Identity>,
    read_only: AtomicBool,
    authenticated: AtomicBool,
    keepalive: AtomicBool,
    requests: AtomicUsize,
    streams: Mutex<HashMap<u32, StreamEnd>>,
    hooks: Mutex<Hooks>,
    data: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// What the listener knows about a client when it connects.
pub(crate) struct Arrival {
    pub id: u64,
    pub peer: PeerCredentials,
    pub identity: Identity,
    pub auth: Auth,
    pub read_only: bool,
    pub requests_max: usize,
}

impl Client {
    pub(crate) fn new(link: Arc<Link>, arrival: Arrival) -> Arc<Self> {
        Arc::new(Client {
            id: arrival.id,
            peer: arrival.peer,
            auth: arrival.auth,
            connected: SystemTime::now(),
            requests_max: arrival.requests_max.max(1),
            link,
            identity: ArcSwap::from_pointee(arrival.identity),
            read_only: AtomicBool::new(arrival.read_only),
            authenticated: AtomicBool::new(arrival.auth == Auth::None),
            keepalive: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            streams: Mutex::default(),
            hooks: Mutex::default(),
            data: Mutex::default(),
        })
    }

    /// Number of this client within its server, counted from 1.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// When it connected.
    pub fn connected(&self) -> SystemTime {
        self.connected
    }

    /// Whether the client may only look.
    pub fn read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// From now on the client may only look; there is no way back.
    pub fn set_read_only(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    /// Who the client is, or on whose behalf a sibling daemon calls.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Replaces the identity; the caller has checked that this client may do so.
    pub fn set_identity(&self, identity: Identity) {
        self.identity.store(Arc::new(identity));
    }

    /// The process that connected, which no later identity changes.
    pub fn peer(&self) -> PeerCredentials {
        self.peer
    }

    /// How this client has to authenticate.
    pub fn auth(&self) -> Auth {
        self.auth
    }

    /// Whether the client has authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }

    /// The client has proved who it is.
    pub fn set_authenticated(&self) {
        self.authenticated.store(true, Ordering::Relaxed);
        self.link.nudge();
    }

    /// The client answers keepalive requests: from now on it has to.
    pub fn start_keepalive(&self) {
        self.keepalive.store(true, Ordering::Relaxed);
        self.link.nudge();
    }

    /// Sends an event of version 1 of a program. A closed client is skipped; one that does not read is closed.
    pub fn send_event(&self, program: u32, procedure: i32, message: &impl Encode) {
        match Packet::encoded(event_header(program, procedure), message) {
            Ok(packet) => drop(self.link.send(packet, Purpose::Event)),
            Err(error) => tracing::error!(procedure, %error, "event cannot be encoded"),
        }
    }

    /// As [`send_event`](Client::send_event), with a body that was encoded once for many clients.
    pub fn send_event_body(&self, program: u32, procedure: i32, body: Bytes) {
        self.link.send(Packet::with_body(event_header(program, procedure), body), Purpose::Event);
    }

    /// Runs `hook` when the connection has ended and its last call is over; at once if it already has.
    pub fn on_close(&self, hook: impl FnOnce() + Send + 'static) {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        if hooks.closed {
            drop(hooks);
            hook();
        } else {
            hooks.list.push(Box::new(hook));
        }
    }

    /// Closes the connection at once.
    pub fn close(&self) {
        self.link.close();
    }

    /// Closes the connection when all queued replies are out.
    pub fn close_after_reply(&self) {
        self.link.close_after_flush();
    }

    /// Whether the connection has ended or is about to.
    pub fn is_closed(&self) -> bool {
        !self.link.is_open()
    }

    /// State that a driver keeps for this client, one value of each type, made when first asked for.
    pub fn data<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let value = data.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())).clone();
        value.downcast().expect("values are filed under their own type")
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(crate) fn has_keepalive(&self) -> bool {
        self.keepalive.load(Ordering::Relaxed)
    }

    /// Whether another call may start.
    pub(crate) fn admits_request(&self) -> bool {
        self.requests.load(Ordering::Acquire) < self.requests_max && self.link.queued() < OUTBOUND_PAUSE
    }

    pub(crate) fn begin_request(self: &Arc<Self>) -> Permit {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Permit { client: self.clone() }
    }

    pub(crate) fn streams(&self) -> MutexGuard<'_, HashMap<u32, StreamEnd>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget_stream(&self, serial: u32) {
        self.streams().remove(&serial);
    }

    /// The connection has ended: streams end, hooks run, driver state is dropped.
    pub(crate) fn finish(&self) {
        self.link.close();
        let list = {
            let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
            hooks.closed = true;
            std::mem::take(&mut hooks.list)
        };
        for hook in list {
            hook();
        }
        // Dropped outside the lock: a driver's state may look at its client once more.
        let data = std::mem::take(&mut *self.data.lock().unwrap_or_else(PoisonError::into_inner));
        drop(data);
    }

    pub(crate) fn end_streams(&self) {
        for (_, end) in std::mem::take(&mut *self.streams()) {
            match end {
                StreamEnd::Local(shared) => shared.end(),
                StreamEnd::Relayed(_) => {}
            }
        }
    }
}

/// A running request; the client is read again once there is room for the next.
pub(crate) struct Permit {
    client: Arc<Client>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.client.requests.fetch_sub(1, Ordering::AcqRel);
        if before >= self.client.requests_max {
            self.client.link.nudge();
        }
    }
}

fn event_header(program: u32, procedure: i32) -> Header {
    Header { program, version: 1, procedure, kind: MessageType::Message, serial: EVENT_SERIAL, status: Status::Ok }
}
