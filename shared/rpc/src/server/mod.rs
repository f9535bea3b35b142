//! The server: listeners, limits, connections, dispatch.
//!
//! - `limits`: how much clients may ask for.
//! - `listener`: accepting clients.
//! - `connection`: one task per client, its read loop and timers.
//! - `dispatch`: the rules by which a frame becomes a call, a stream packet or an error.
//! - `keepalive`: when a silent client is asked, and when it is given up.

mod connection;
mod dispatch;
mod keepalive;
mod limits;
mod listener;

pub(crate) use keepalive::{Keepalive, Verdict, packet as keepalive_packet};
pub use limits::Limits;
pub use listener::Listener;

use crate::client::Client;
use crate::identity::PeerCredentials;
use crate::program::Program;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

type Admit = Box<dyn Fn(&PeerCredentials) -> bool + Send + Sync>;

/// What is to be served, before the first listener.
pub struct ServerBuilder {
    name: String,
    limits: Limits,
    programs: Vec<Arc<dyn Program>>,
    admit: Option<Admit>,
}

impl ServerBuilder {
    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a program.
    pub fn program(mut self, program: Arc<dyn Program>) -> Self {
        self.programs.push(program);
        self
    }

    /// Adds programs.
    pub fn programs(mut self, programs: impl IntoIterator<Item = Arc<dyn Program>>) -> Self {
        self.programs.extend(programs);
        self
    }

    /// Decides by the kernel's word who may connect at all; others are closed without an answer.
    pub fn admit(mut self, admit: impl Fn(&PeerCredentials) -> bool + Send + Sync + 'static) -> Self {
        self.admit = Some(Box::new(admit));
        self
    }

    /// The server; it listens once given listeners.
    pub fn build(self) -> Server {
        Server {
            shared: Arc::new(Shared {
                name: self.name,
                clients_max: AtomicUsize::new(self.limits.clients_max),
                anonymous_clients_max: AtomicUsize::new(self.limits.anonymous_clients_max),
                limits: self.limits,
                programs: self.programs,
                admit: self.admit,
                clients: Mutex::default(),
                next_id: AtomicU64::new(1),
                count: watch::Sender::new(0),
                slots: Notify::new(),
                partial_bytes: AtomicUsize::new(0),
                closing: watch::Sender::new(false),
            }),
        }
    }
}

/// A running server. Clones name the same one.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    name: String,
    limits: Limits,
    /// As the administrator has set them; the limits hold what the daemon began with.
    clients_max: AtomicUsize,
    anonymous_clients_max: AtomicUsize,
    programs: Vec<Arc<dyn Program>>,
    admit: Option<Admit>,
    clients: Mutex<HashMap<u64, Arc<Client>>>,
    next_id: AtomicU64,
    count: watch::Sender<usize>,
    /// A client has gone or has authenticated: there may be room for another.
    slots: Notify,
    /// Large receive buffers of all clients together.
    partial_bytes: AtomicUsize,
    closing: watch::Sender<bool>,
}

impl Server {
    /// Begins a server with a name, as the admin interface shows it.
    pub fn builder(name: impl Into<String>) -> ServerBuilder {
        ServerBuilder { name: name.into(), limits: Limits::default(), programs: Vec::new(), admit: None }
    }

    /// The server's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Accepts clients from a listening socket until [`shut_down`](Server::shut_down).
    pub fn serve(&self, listener: Listener) -> io::Result<JoinHandle<()>> {
        listener::serve(self.shared.clone(), listener)
    }

    /// The connected clients, by rising number.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        let mut clients: Vec<_> = self.shared.clients().values().cloned().collect();
        clients.sort_by_key(|client| client.id());
        clients
    }

    /// How many clients there are, with a notice of each change.
    pub fn client_count(&self) -> watch::Receiver<usize> {
        self.shared.count.subscribe()
    }

    /// Most clients, and most that have not authenticated.
    pub fn client_limits(&self) -> (usize, usize) {
        (self.shared.clients_max.load(Ordering::Relaxed), self.shared.anonymous_clients_max.load(Ordering::Relaxed))
    }

    /// Changes the two limits. Clients that are connected stay; waiting ones are let in as the new limits allow.
    pub fn set_client_limits(&self, clients: usize, anonymous: usize) {
        self.shared.clients_max.store(clients, Ordering::Relaxed);
        self.shared.anonymous_clients_max.store(anonymous, Ordering::Relaxed);
        self.shared.slots.notify_waiters();
    }

    /// Stops accepting, gives running calls `deadline` to end, closes all clients.
    pub async fn shut_down(&self, deadline: Duration) {
        self.shared.closing.send_replace(true);
        for client in self.clients() {
            client.close_after_reply();
        }
        let mut count = self.client_count();
        if tokio::time::timeout(deadline, count.wait_for(|count| *count == 0)).await.is_err() {
            tracing::warn!(clients = *count.borrow(), "clients are closed with calls running");
        }
        for client in self.clients() {
            client.close();
        }
    }
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, HashMap<u64, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another client may be accepted.
    fn has_slot(&self) -> bool {
        let clients = self.clients();
        if clients.len() >= self.clients_max.load(Ordering::Relaxed) {
            return false;
        }
        // Only listeners with authentication have anonymous clients, so the common case does not count.
        clients.values().filter(|client| !client.is_authenticated()).count()
            < self.anonymous_clients_max.load(Ordering::Relaxed)
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn enter(&self, client: &Arc<Client>) {
        self.clients().insert(client.id(), client.clone());
        self.publish_count();
    }

    fn leave(&self, client: &Arc<Client>) {
        self.clients().remove(&client.id());
        self.publish_count();
        self.slots.notify_waiters();
    }

    fn publish_count(&self) {
        let count = self.clients().len();
        self.count.send_replace(count);
    }

    fn program(&self, number: u32, version: u32) -> Option<&Arc<dyn Program>> {
        self.programs.iter().find(|program| program.number() == number && program.version() == version)
    }
}
