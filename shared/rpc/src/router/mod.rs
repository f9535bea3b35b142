//! Frames to the sibling daemons that serve them.
//!
//! A call that another daemon serves is passed on undecoded: only the serial in its header is replaced, and put back in
//! the reply. Each client has its own connection to each sibling, opened at its first call and under its
//! identity, because transactions, descriptors and access control belong to the client.
//!
//! - `sibling`: which daemon serves a class, and where it listens.
//! - `upstream`: one client's connection to one sibling: opening, calls, events, its end.
//! - `greeting`: the first words on such a connection.
//! - `relayed`: replies on their way back, and the streams they open.
//! - `registration`: the client's event registrations, repeated after the sibling's restart.
//!
//! ```text
//!  closed ──first call──▶ opening (calls queue) ──▶ open ──sibling dies──▶ closed
//!                            └──fails: each queued call gets its error──▶ closed
//! ```

mod greeting;
mod registration;
mod relayed;
mod sibling;
mod upstream;

pub(crate) use relayed::Relayed;
pub use sibling::Sibling;

use crate::client::Client;
pub use crate::peer::Patience;
use crate::program::RelayCall;
use error::{Error, Result};
use protocol::Class;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use upstream::Upstream;

/// Which of a client's upstream connections a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The daemon that the client opened by URI (virtproxyd).
    Main,
    /// The daemon that serves a class.
    Class(Class),
}

/// Knows the siblings and keeps each client's connections to them.
pub struct Router {
    directory: PathBuf,
    privileged: bool,
    patience: Patience,
}

/// One client's upstream connections.
#[derive(Default)]
struct Upstreams {
    by_target: Mutex<HashMap<Target, Arc<Upstream>>>,
}

impl Upstreams {
    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Arc<Upstream>>> {
        self.by_target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Router {
    /// A router to the siblings whose sockets are in `directory` (`/run/libvirt` or a session's).
    pub fn new(directory: impl Into<PathBuf>, privileged: bool) -> Self {
        Router { directory: directory.into(), privileged, patience: Patience::default() }
    }

    /// When a silent sibling counts as hung.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Where the siblings' sockets are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the siblings are the system's.
    pub fn is_privileged(&self) -> bool {
        self.privileged
    }

    /// The daemon for a driver scheme.
    pub fn sibling(&self, scheme: &str, uri: String) -> Sibling {
        Sibling::new(&self.directory, scheme, uri)
    }

    /// Passes a call on. The client gets exactly one reply, from the sibling or from here.
    pub fn relay(&self, target: Target, call: RelayCall) {
        let upstreams = upstreams_of(call.client());
        let known = upstreams.lock().get(&target).cloned();
        let upstream = match (known, target) {
            (Some(upstream), _) => upstream,
            (None, Target::Main) => return call.refuse(&crate::remote::not_open(Class::Hypervisor)),
            (None, Target::Class(class)) => {
                let Some(sibling) = Sibling::of_class(&self.directory, class, self.privileged) else {
                    let error = unserved(&call);
                    return call.refuse(&error);
                };
                let fresh = Upstream::new(sibling, false, self.patience, call.client());
                upstreams.lock().entry(target).or_insert(fresh).clone()
            }
        };
        upstream.relay(call);
    }

    /// Opens the daemon that the client's main calls go to, and waits for its answer.
    ///
    /// # Errors
    /// What the daemon said; `SYSTEM_ERROR` when nobody listens on its socket.
    pub async fn open_main(&self, client: &Arc<Client>, sibling: Sibling) -> Result<()> {
        let upstream = Upstream::new(sibling, true, self.patience, client);
        upstream.open_now().await?;
        if let Some(replaced) = upstreams_of(client).lock().insert(Target::Main, upstream) {
            replaced.close();
        }
        Ok(())
    }

    /// Forgets the client's main connection.
    pub fn close_main(&self, client: &Arc<Client>) {
        let closed = upstreams_of(client).lock().remove(&Target::Main);
        if let Some(upstream) = closed {
            upstream.close();
        }
    }

    /// The client speaks on behalf of someone else now: so do its upstream connections.
    pub fn identity_changed(&self, client: &Arc<Client>) {
        let upstreams: Vec<_> = upstreams_of(client).lock().values().cloned().collect();
        for upstream in upstreams {
            upstream.send_identity();
        }
    }
}

/// The client's connections; they close with it.
fn upstreams_of(client: &Arc<Client>) -> Arc<Upstreams> {
    client.data::<Upstreams>()
}

fn close_all(upstreams: &Upstreams) {
    for upstream in std::mem::take(&mut *upstreams.lock()).into_values() {
        upstream.close();
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        close_all(self);
    }
}

/// No daemon serves the call's class: as if the driver lacked the function.
fn unserved(call: &RelayCall) -> Error {
    match call.procedure() {
        Some(procedure) => Error::no_support(procedure.api),
        None => protocol::unknown_procedure(call.number()),
    }
}
