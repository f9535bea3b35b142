//! What comes back for a relayed call, and the stream it may open.

use super::registration::Effect;
use super::upstream::Upstream;
use crate::client::{Client, Permit, StreamEnd};
use crate::frame::{Frame, Header, Packet, Status};
use crate::link::{Link, OUTBOUND_PAUSE, Purpose};
use crate::peer::Peer;
use bytes::Bytes;
use error::Result;
use protocol::Procedure;
use std::sync::{Arc, Weak};

/// The way back of a relayed call.
pub(super) struct Back {
    pub(super) upstream: Arc<Upstream>,
    pub(super) peer: Weak<Peer>,
    pub(super) client: Arc<Client>,
    pub(super) header: Header,
    pub(super) effect: Effect,
    /// Arguments of a registration, or the client's id in a deregistration.
    pub(super) payload: Bytes,
    pub(super) procedure: Option<&'static Procedure>,
    pub(super) permit: Permit,
}

impl Back {
    /// Hands the reply, or the reason why there is none, to the client.
    pub(super) fn reply(self, reply: Result<Frame>) {
        match reply {
            Err(error) => drop(self.client.link().send(Packet::failure(&self.header, &error), Purpose::Call)),
            Ok(mut reply) => {
                if reply.header.status == Status::Ok {
                    self.succeeded(&mut reply);
                }
                reply.set_serial(self.header.serial);
                self.client.link().send(Packet::forward(reply), Purpose::Call);
            }
        }
        drop(self.permit);
    }

    fn succeeded(&self, reply: &mut Frame) {
        let first_word = |bytes: &Bytes| bytes.first_chunk::<4>().map(|word| i32::from_be_bytes(*word));
        let Header { program, procedure, .. } = self.header;
        match self.effect {
            Effect::None => {}
            Effect::Register(family) => {
                if let Some(id) = reply.first_word() {
                    let id = self.upstream.registrations().add(family, procedure, self.payload.clone(), id);
                    reply.set_first_word(id);
                }
            }
            Effect::Deregister(family) => {
                if let Some(id) = first_word(&self.payload) {
                    self.upstream.registrations().remove(family, id);
                }
            }
            Effect::RegisterEvent(event) => {
                self.upstream.registrations().add_event(program, procedure, self.payload.clone(), event);
            }
            Effect::DeregisterEvent(event) => self.upstream.registrations().remove_event(event),
        }
        if self.procedure.is_some_and(|procedure| procedure.stream.is_some())
            && let Some(peer) = self.peer.upgrade()
        {
            let serial = reply.header.serial;
            peer.add_interest();
            let running = Running { header: self.header, peer: self.peer.clone() };
            self.upstream.streams().insert(serial, running);
            let relayed = Relayed { peer, upstream: Arc::downgrade(&self.upstream), serial, procedure };
            self.client.streams().insert(self.header.serial, StreamEnd::Relayed(relayed));
        }
    }
}

/// The sibling's end of a client's stream.
#[derive(Clone)]
pub(crate) struct Relayed {
    peer: Arc<Peer>,
    upstream: Weak<Upstream>,
    serial: u32,
    procedure: i32,
}

impl Relayed {
    /// Passes a stream packet of the client on; gives the link to wait for when it does not take more.
    pub(crate) fn forward(&self, client: &Client, mut frame: Frame) -> Option<Arc<Link>> {
        if frame.header.procedure != self.procedure {
            return None;
        }
        let client_serial = frame.header.serial;
        frame.set_serial(self.serial);
        if !self.peer.link().send(Packet::forward(frame), Purpose::Call) {
            client.forget_stream(client_serial);
            if let Some(upstream) = self.upstream.upgrade() {
                upstream.streams().remove(&self.serial);
            }
            return None;
        }
        let link = self.peer.link();
        (link.queued() >= OUTBOUND_PAUSE).then(|| link.clone())
    }
}

/// A stream between client and sibling.
pub(super) struct Running {
    /// The client's call that opened it.
    pub(super) header: Header,
    pub(super) peer: Weak<Peer>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.upgrade() {
            peer.drop_interest();
        }
    }
}
