//! Accepting clients.

use super::Shared;
use super::connection::Connection;
use crate::client::{Arrival, Auth, Client};
use crate::identity::{Identity, field};
use crate::link::Link;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// Pause after a failed accept; it fails when the process has no free descriptor, which passes.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listening socket and how its clients are treated.
#[derive(Debug)]
pub struct Listener {
    /// For logs: the unit's or the file's name.
    pub name: String,
    /// The bound socket; it already listens.
    pub socket: UnixListener,
    /// Its clients may only look.
    pub read_only: bool,
    /// How its clients prove who they are.
    pub auth: Auth,
}

impl Listener {
    /// A socket whose clients may do everything once they reach it.
    pub fn new(name: impl Into<String>, socket: UnixListener) -> Self {
        Listener { name: name.into(), socket, read_only: false, auth: Auth::None }
    }

    /// Clients of this socket may only look.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Clients of this socket authenticate so.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }
}

pub(super) fn serve(server: Arc<Shared>, listener: Listener) -> io::Result<JoinHandle<()>> {
    let Listener { name, socket, read_only, auth } = listener;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixListener::from_std(socket)?;
    Ok(tokio::spawn(async move {
        let mut closing = server.closing.subscribe();
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            () = accept_all(&server, &name, &socket, read_only, auth) => {}
        }
    }))
}

async fn accept_all(server: &Arc<Shared>, name: &str, socket: &tokio::net::UnixListener, read_only: bool, auth: Auth) {
    loop {
        wait_for_slot(server).await;
        match socket.accept().await {
            Ok((stream, _)) => admit(server, name, stream, read_only, auth),
            Err(error) => {
                tracing::warn!(listener = name, %error, "client cannot be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn wait_for_slot(server: &Shared) {
    loop {
        let notified = server.slots.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if server.has_slot() {
            return;
        }
        notified.await;
    }
}

fn admit(server: &Arc<Shared>, name: &str, stream: UnixStream, read_only: bool, auth: Auth) {
    let peer = match host::socket::peer_credentials(&stream) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(listener = name, %error, "client is unknown to the kernel");
            return;
        }
    };
    if server.admit.as_ref().is_some_and(|admit| !admit(&peer)) {
        tracing::warn!(listener = name, pid = peer.pid, uid = peer.uid, "client refused");
        return;
    }
    // Read at once: later the pid may belong to another process.
    let mut identity = Identity::of_peer(&peer, process_start_time(peer.pid));
    if let Some(label) = host::socket::peer_security(&stream) {
        identity = identity.with_text(field::SELINUX_CONTEXT, label);
    }
    let arrival = Arrival {
        id: server.next_id(),
        peer,
        identity,
        auth,
        read_only,
        requests_max: server.limits.client_requests_max,
    };
    let client = Client::new(Arc::new(Link::new(stream)), arrival);
    tracing::debug!(listener = name, client = client.id(), pid = peer.pid, uid = peer.uid, "client connected");
    server.enter(&client);
    tokio::spawn(Connection::new(server.clone(), client).run());
}

/// Field 22 of `/proc/PID/stat`: clock ticks since boot. The name before it may hold any characters.
fn process_start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = &stat[stat.rfind(')')? + 2..];
    behind_name.split(' ').nth(19)?.parse().ok()
}
