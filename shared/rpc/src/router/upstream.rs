//! One client's connection to one sibling daemon.

use super::greeting::{self, call_header, exchange, failure_of, set_identity};
use super::registration::{Effect, Registration, Registrations, effect};
use super::relayed::{Back, Running};
use super::sibling::Sibling;
use super::unserved;
use crate::client::{Client, STREAMS_MAX};
use crate::connection::{OPEN_DEADLINE, connect_failed};
use crate::frame::{Frame, MessageType, Packet, Status};
use crate::link::Purpose;
use crate::peer::{Hooks, Patience, Peer};
use crate::program::RelayCall;
use crate::remote::Session;
use bytes::Bytes;
use error::{Code, Domain, Error, Result};
use protocol::remote;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A daemon that was about to exit takes the connection with it; the next try starts it anew.
const OPEN_TRIES: usize = 3;
/// A daemon on its way out closes at once; one that was silent first is hung, and is not waited for again.
const OPEN_LOST_AT_ONCE: Duration = Duration::from_secs(5);
/// Pauses between tries to reach a sibling whose events the client waits for.
const REOPEN_FIRST: Duration = Duration::from_millis(50);
const REOPEN_LAST: Duration = Duration::from_secs(5);
/// Tries after which a sibling counts as removed; the client's next call tries again.
const REOPEN_TRIES: usize = 8;
/// `VIR_CONNECT_CLOSE_REASON_EOF`.
const CLOSE_REASON_EOF: i32 = 1;

pub(super) struct Upstream {
    sibling: Sibling,
    /// The client opened this daemon by URI, and may want to hear that it is gone for good.
    main: bool,
    patience: Patience,
    client: Weak<Client>,
    state: Mutex<State>,
    registrations: Mutex<Registrations>,
    /// Streams by the serial under which they run at the sibling.
    streams: Mutex<HashMap<u32, Running>>,
}

enum State {
    Closed,
    Opening(Vec<RelayCall>),
    Open(Arc<Peer>),
    /// The client is gone.
    Ended,
}

/// Why a sibling could not be opened.
enum OpenError {
    /// Nobody listens on its socket.
    Absent(Error),
    /// It went away while it was opened.
    Lost(Error),
    /// It refused, or does not answer.
    Refused(Error),
}

impl Upstream {
    pub(super) fn new(sibling: Sibling, main: bool, patience: Patience, client: &Arc<Client>) -> Arc<Self> {
        Arc::new(Upstream {
            sibling,
            main,
            patience,
            client: Arc::downgrade(client),
            state: Mutex::new(State::Closed),
            registrations: Mutex::default(),
            streams: Mutex::default(),
        })
    }

    /// Passes a call on, opening the connection first if need be.
    pub(super) fn relay(self: &Arc<Self>, call: RelayCall) {
        let mut state = self.state();
        match &mut *state {
            State::Open(peer) if !peer.is_closed() => {
                let peer = peer.clone();
                drop(state);
                self.forward(&peer, call);
            }
            State::Opening(queue) => queue.push(call),
            State::Ended => {}
            State::Closed | State::Open(_) => {
                *state = State::Opening(vec![call]);
                drop(state);
                let upstream = self.clone();
                tokio::spawn(async move { upstream.open_for_queue().await });
            }
        }
    }

    /// Opens and waits.
    pub(super) async fn open_now(self: &Arc<Self>) -> Result<()> {
        *self.state() = State::Opening(Vec::new());
        let result = self.open().await;
        self.opened(result.as_ref().ok());
        match result {
            Ok(_) => Ok(()),
            Err(OpenError::Absent(error) | OpenError::Lost(error) | OpenError::Refused(error)) => Err(error),
        }
    }

    pub(super) fn close(&self) {
        let state = std::mem::replace(&mut *self.state(), State::Ended);
        if let State::Open(peer) = state {
            peer.close();
        }
    }

    /// Tells an open sibling on whose behalf the client speaks now.
    pub(super) fn send_identity(&self) {
        let peer = match &*self.state() {
            State::Open(peer) => peer.clone(),
            _ => return,
        };
        let Some(client) = self.client.upgrade() else { return };
        tokio::spawn(async move {
            if let Err(error) = set_identity(&peer, &client).await {
                tracing::warn!(%error, "sibling does not take the identity, closing its connection");
                peer.close();
            }
        });
    }

    async fn open_for_queue(self: Arc<Self>) {
        let result = self.open().await;
        let queue = self.opened(result.as_ref().ok());
        let Err(failure) = result else { return };
        for call in queue {
            let error = match &failure {
                OpenError::Absent(_) => unserved(&call),
                OpenError::Lost(error) | OpenError::Refused(error) => error.clone(),
            };
            call.refuse(&error);
        }
    }

    /// Leaves the opening state: forwards what has queued, or gives it back when there is no peer.
    fn opened(self: &Arc<Self>, peer: Option<&Arc<Peer>>) -> Vec<RelayCall> {
        loop {
            let mut state = self.state();
            let State::Opening(queue) = &mut *state else {
                drop(state);
                if let Some(peer) = peer {
                    peer.close();
                }
                return Vec::new();
            };
            let queue = std::mem::take(queue);
            match peer {
                Some(peer) if queue.is_empty() => {
                    *state = if peer.is_closed() { State::Closed } else { State::Open(peer.clone()) };
                    return queue;
                }
                Some(peer) => {
                    drop(state);
                    for call in queue {
                        self.forward(peer, call);
                    }
                }
                None => {
                    *state = State::Closed;
                    return queue;
                }
            }
        }
    }

    async fn open(self: &Arc<Self>) -> std::result::Result<Arc<Peer>, OpenError> {
        let mut tries = 1;
        loop {
            let begun = Instant::now();
            let outcome = tokio::time::timeout(OPEN_DEADLINE, self.open_once()).await.unwrap_or_else(|_| {
                let text = format!("{} does not answer", self.sibling.daemon);
                Err(OpenError::Refused(Error::new(Domain::Rpc, Code::OperationTimeout, text)))
            });
            match outcome {
                Err(OpenError::Lost(_)) if tries < OPEN_TRIES && begun.elapsed() < OPEN_LOST_AT_ONCE => tries += 1,
                outcome => return outcome,
            }
        }
    }

    async fn open_once(self: &Arc<Self>) -> std::result::Result<Arc<Peer>, OpenError> {
        let gone = || OpenError::Refused(Error::new(Domain::Rpc, Code::OperationFailed, "client is gone"));
        let client = self.client.upgrade().ok_or_else(gone)?;
        let read_only = client.read_only();
        let path = self.sibling.socket_for(read_only);
        let hooks = self.hooks(&client);
        let peer = Peer::connect(path, &self.sibling.daemon, hooks).await.map_err(|error| {
            let absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
            let error = connect_failed(path, &error);
            if absent { OpenError::Absent(error) } else { OpenError::Refused(error) }
        })?;
        match self.greet(&peer, &client, read_only).await {
            Ok(()) => Ok(peer),
            Err(error) if peer.is_closed() => Err(OpenError::Lost(error)),
            Err(error) => {
                peer.close();
                Err(OpenError::Refused(error))
            }
        }
    }

    async fn greet(&self, peer: &Arc<Peer>, client: &Client, read_only: bool) -> Result<()> {
        peer.start_keepalive(self.patience);
        greeting::greet(peer, &self.sibling.uri, client, read_only).await?;
        let repeat = self.registrations().all();
        for registration in repeat {
            self.repeat(peer, &registration).await?;
        }
        Ok(())
    }

    async fn repeat(&self, peer: &Arc<Peer>, registration: &Registration) -> Result<()> {
        let packet = |serial| {
            let header = call_header(registration.program, registration.procedure, serial);
            Packet::with_body(header, registration.payload.clone())
        };
        let reply = exchange(peer, packet).await?;
        match failure_of(&reply) {
            None => self.registrations().renew(registration, &reply),
            // The object of a filter may be gone: then there is nothing left to hear about it.
            Some(error) => tracing::info!(daemon = self.sibling.daemon, %error, "event registration is not renewed"),
        }
        Ok(())
    }

    fn hooks(self: &Arc<Self>, client: &Arc<Client>) -> Hooks {
        let incoming = Arc::downgrade(self);
        let ended = incoming.clone();
        Hooks {
            incoming: Box::new(move |frame| {
                if let Some(upstream) = incoming.upgrade() {
                    upstream.incoming(frame);
                }
            }),
            ended: Box::new(move || {
                if let Some(upstream) = ended.upgrade() {
                    upstream.ended();
                }
            }),
            downstream: Some(client.link().clone()),
        }
    }

    fn forward(self: &Arc<Self>, peer: &Arc<Peer>, call: RelayCall) {
        // Unknown procedures of newer peers may open streams too, but no client of ours can know them.
        let opens_stream = call.procedure().is_some_and(|procedure| procedure.stream.is_some());
        if opens_stream && call.client().streams().len() >= STREAMS_MAX {
            return call.refuse(&Error::new(Domain::Rpc, Code::Rpc, "too many streams"));
        }
        let RelayCall { client, mut frame, permit, procedure } = call;
        let header = frame.header;
        let effect = effect(&frame);
        let mut payload = Bytes::new();
        match effect {
            Effect::Register(_) | Effect::RegisterEvent(_) => payload = Bytes::copy_from_slice(frame.payload()),
            Effect::Deregister(family) => {
                if let Some(id) = frame.first_word() {
                    let upstream_id = self.registrations().upstream_id(family, id);
                    frame.set_first_word(upstream_id);
                    payload = Bytes::copy_from_slice(&id.to_be_bytes());
                }
            }
            Effect::None | Effect::DeregisterEvent(_) => {}
        }
        let back = Back {
            upstream: self.clone(),
            peer: Arc::downgrade(peer),
            client,
            header,
            effect,
            payload,
            procedure,
            permit,
        };
        peer.call(
            move |serial| {
                frame.set_serial(serial);
                Packet::forward(frame)
            },
            Box::new(move |reply| back.reply(reply)),
        );
    }

    /// An event or a stream packet from the sibling.
    fn incoming(&self, mut frame: Frame) {
        let Some(client) = self.client.upgrade() else { return };
        if frame.header.kind == MessageType::Message {
            self.registrations().translate(&mut frame);
            client.link().send(Packet::forward(frame), Purpose::Event);
            return;
        }
        let serial = frame.header.serial;
        let Some(header) = self.streams().get(&serial).map(|running| running.header) else { return };
        if frame.header.kind == MessageType::Stream && frame.header.status != Status::Continue {
            let ended = self.streams().remove(&serial);
            drop(ended);
            client.forget_stream(header.serial);
        }
        frame.set_serial(header.serial);
        client.link().send(Packet::forward(frame), Purpose::Call);
    }

    /// The sibling's connection has ended: its streams fail, its events are fetched again.
    fn ended(self: &Arc<Self>) {
        let is_dead = |peer: &Weak<Peer>| peer.upgrade().is_none_or(|peer| peer.is_closed());
        let ended: Vec<Running> =
            self.streams().extract_if(|_, running| is_dead(&running.peer)).map(|(_, running)| running).collect();
        let Some(client) = self.client.upgrade() else { return };
        for header in ended.iter().map(|running| running.header) {
            client.forget_stream(header.serial);
            let text = format!("connection to {} was lost", self.sibling.daemon);
            let error = Error::new(Domain::Rpc, Code::OperationFailed, text);
            client.link().send(Packet::stream_failure(&header, &error), Purpose::Call);
        }
        let mut state = self.state();
        // A call may have noticed first, and a new connection may be there already.
        if !matches!(&*state, State::Open(peer) if peer.is_closed()) {
            return;
        }
        *state = State::Closed;
        drop(state);
        if (self.wants_close_event(&client) || !self.registrations().is_empty()) && client.link().is_open() {
            let upstream = self.clone();
            tokio::spawn(async move { upstream.reopen().await });
        }
    }

    /// Brings the client's events back without waiting for its next call.
    async fn reopen(self: Arc<Self>) {
        let mut pause = REOPEN_FIRST;
        for _ in 0..REOPEN_TRIES {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REOPEN_LAST);
            {
                let mut state = self.state();
                if !matches!(*state, State::Closed) || self.client.strong_count() == 0 {
                    return;
                }
                *state = State::Opening(Vec::new());
            }
            let result = self.open().await;
            let queue = self.opened(result.as_ref().ok());
            let Err(OpenError::Absent(error) | OpenError::Lost(error) | OpenError::Refused(error)) = result else {
                return;
            };
            for call in queue {
                call.refuse(&error);
            }
        }
        tracing::warn!(daemon = self.sibling.daemon, "sibling stays away, its events are not delivered");
        let Some(client) = self.client.upgrade().filter(|client| self.wants_close_event(client)) else { return };
        let message = remote::ConnectEventConnectionClosedMsg { reason: CLOSE_REASON_EOF };
        client.send_event(remote::PROGRAM, remote::proc::CONNECT_EVENT_CONNECTION_CLOSED, &message);
    }

    fn wants_close_event(&self, client: &Client) -> bool {
        self.main && Session::of(client).has_close_callback()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn registrations(&self) -> MutexGuard<'_, Registrations> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn streams(&self) -> MutexGuard<'_, HashMap<u32, Running>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
