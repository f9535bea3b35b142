//! One task per client: reads frames, runs calls, writes what the kernel did not take at once.
//!
//! Calls are polled once on the spot, so a cheap one is answered before the next frame is looked at;
//! the others run side by side on this task. Nothing is read while as many calls run as the client
//! may have, while replies pile up, or while the target of an upload blocks.

use super::dispatch::{self, Outcome, Running};
use super::{Keepalive, Shared, Verdict, keepalive_packet};
use crate::client::Client;
use crate::frame::FrameReader;
use crate::link::{Link, Purpose};
use crate::stream;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A frame in arrival that brings at least this much per progress deadline is not held up.
const PROGRESS_BYTES: usize = 64 * 1024;
/// Receive buffers above this count against the server's budget.
const SMALL_BUFFER: usize = 64 * 1024;
/// The timer of a connection that has nothing to wait for.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// Why the client is not read although it has calls left.
pub(super) enum Blocked {
    /// The owner of a stream has not taken what it was given.
    Stream(Arc<stream::Shared>),
    /// A sibling daemon does not take what was forwarded.
    Sibling(Arc<Link>),
}

pub(super) struct Connection {
    pub(super) server: Arc<Shared>,
    pub(super) client: Arc<Client>,
    pub(super) running: FuturesUnordered<Running>,
    pub(super) blocked: Option<Blocked>,
    reader: FrameReader,
    trusted: bool,
    keepalive: Option<Keepalive>,
    /// Since when a frame is in arrival, and how much of it there was.
    partial: Option<(Instant, usize)>,
    charged: usize,
    born: Instant,
}

impl Connection {
    pub(super) fn new(server: Arc<Shared>, client: Arc<Client>) -> Self {
        let trusted = client.is_authenticated();
        Connection {
            server,
            running: FuturesUnordered::new(),
            blocked: None,
            reader: FrameReader::new(trusted),
            trusted,
            keepalive: None,
            partial: None,
            charged: 0,
            born: Instant::now(),
            client,
        }
    }

    pub(super) async fn run(mut self) {
        self.serve().await;
        self.client.link().close();
        self.client.end_streams();
        self.charge(0);
        // Handlers are not cut off in the middle: what was begun is brought to its end.
        while self.running.next().await.is_some() {}
        self.client.finish();
        self.server.leave(&self.client);
        tracing::debug!(client = self.client.id(), "client gone");
    }

    async fn serve(&mut self) {
        let link = self.client.link().clone();
        let timer = sleep_until(Instant::now() + FAR);
        tokio::pin!(timer);
        let mut fds = Vec::new();
        loop {
            if !self.process().await || link.is_closed() {
                return;
            }
            let Some(due) = self.due(Instant::now()) else { return };
            // A later deadline leaves the timer alone: it fires early once and is looked at again.
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            let may_read = self.may_read();
            let may_write = link.has_queued();
            tokio::select! {
                biased;
                () = link.woken() => {}
                Some(outcome) = self.running.next(), if !self.running.is_empty() => outcome.answer(),
                _ = link.socket().readable(), if may_read => if !self.receive(&link, &mut fds) { return },
                _ = link.socket().writable(), if may_write => link.flush(),
                () = sibling_drained(&self.blocked) => {}
                () = &mut timer => timer.as_mut().reset(Instant::now() + FAR),
            }
        }
    }

    /// Reads once. False: the connection has ended.
    fn receive(&mut self, link: &Link, fds: &mut Vec<std::os::fd::OwnedFd>) -> bool {
        match link.receive(&mut self.reader, fds) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                tracing::debug!(client = self.client.id(), %error, "reading from the client failed");
                return false;
            }
        }
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.heard(Instant::now());
        }
        if !fds.is_empty() && self.reader.push_fds(fds.drain(..)).is_err() {
            tracing::warn!(client = self.client.id(), "client sends descriptors that belong to nothing");
            return false;
        }
        true
    }

    /// Handles every whole frame that may be handled now. False: the connection has to be closed.
    async fn process(&mut self) -> bool {
        if !self.trusted && self.client.is_authenticated() {
            self.trusted = true;
            self.reader.trust();
            self.server.slots.notify_waiters();
        }
        while self.may_read() {
            match self.reader.next_frame() {
                Ok(Some(frame)) => {
                    self.partial = None;
                    match dispatch::frame(self, frame).await {
                        Outcome::Continue => {}
                        Outcome::Close => return false,
                    }
                }
                Ok(None) => {
                    self.note_partial();
                    return self.charge_buffer();
                }
                Err(error) => {
                    tracing::warn!(client = self.client.id(), %error, "client sends garbage, closing");
                    return false;
                }
            }
        }
        true
    }

    fn may_read(&mut self) -> bool {
        let open = match &self.blocked {
            None => true,
            Some(Blocked::Stream(stream)) => stream.has_room(),
            Some(Blocked::Sibling(link)) => link.queued() < crate::link::OUTBOUND_PAUSE,
        };
        if open {
            self.blocked = None;
        }
        open && self.client.admits_request() && self.client.link().is_open()
    }

    fn note_partial(&mut self) {
        if !self.reader.is_partial() {
            self.partial = None;
            return;
        }
        let held = self.reader.held();
        match self.partial {
            Some((_, before)) if held < before + PROGRESS_BYTES => {}
            _ => self.partial = Some((Instant::now(), held)),
        }
    }

    fn charge_buffer(&mut self) -> bool {
        let held = self.reader.held();
        self.charge(if held > SMALL_BUFFER { held } else { 0 });
        if self.server.partial_bytes.load(Ordering::Relaxed) <= self.server.limits.partial_bytes_max {
            return true;
        }
        if self.charged > 0 {
            tracing::warn!(client = self.client.id(), "too many unfinished frames, closing this client");
        }
        self.charged == 0
    }

    fn charge(&mut self, bytes: usize) {
        if bytes != self.charged {
            self.server.partial_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.server.partial_bytes.fetch_sub(self.charged, Ordering::Relaxed);
            self.charged = bytes;
        }
    }

    /// The next instant at which the clock has to be looked at; `None`: a deadline has passed.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        let mut due = now + FAR;
        let reading = self.may_read();
        let limits = &self.server.limits;
        if let Some((since, _)) = self.partial {
            let end = since + limits.progress_deadline;
            if now >= end {
                tracing::warn!(client = self.client.id(), "client does not finish its frame, closing");
                return None;
            }
            due = due.min(end);
        }
        if !self.trusted && self.running.is_empty() {
            let end = self.born + limits.auth_deadline;
            if now >= end {
                tracing::warn!(client = self.client.id(), "client does not authenticate, closing");
                return None;
            }
            due = due.min(end);
        }
        if self.keepalive.is_none() && self.client.has_keepalive() {
            self.keepalive = Keepalive::new(limits.keepalive_interval, limits.keepalive_count, now);
        }
        while let Some(keepalive) = &mut self.keepalive {
            match keepalive.check(now) {
                Verdict::Wait(until) => return Some(due.min(until)),
                Verdict::Ask => {
                    self.client.link().send(keepalive_packet(protocol::keepalive::proc::PING), Purpose::Call);
                }
                // We are the reason for the silence: the client's answer is not read while all its calls run.
                Verdict::Dead if !reading => keepalive.heard(now),
                Verdict::Dead => {
                    tracing::warn!(client = self.client.id(), "client does not answer keepalive requests, closing");
                    return None;
                }
            }
        }
        Some(due)
    }
}

/// Resolves when the sibling that blocks the client takes data again; never if none does.
async fn sibling_drained(blocked: &Option<Blocked>) {
    match blocked {
        Some(Blocked::Sibling(link)) => link.drained().await,
        _ => std::future::pending().await,
    }
}
