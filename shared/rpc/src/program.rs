//! What a server serves: one RPC program each.

use crate::call::Call;
use crate::client::{Client, Permit};
use crate::frame::{Frame, Packet};
use crate::link::Purpose;
use bytes::Bytes;
use error::Error;
use protocol::{Procedure, ReplyFuture};
use std::sync::Arc;

/// One program of a server.
pub trait Program: Send + Sync + 'static {
    /// Program number.
    fn number(&self) -> u32;

    /// Version number.
    fn version(&self) -> u32 {
        1
    }

    /// The table's row for a number.
    fn procedure(&self, number: i32) -> Option<&'static Procedure>;

    /// Runs a call. The reply has [`protocol::FRAME_HEAD`] free bytes in front.
    ///
    /// The future is polled at once on the connection's task; it runs to its end even when the client goes away.
    fn call(&self, call: Call, payload: Bytes) -> ReplyFuture;

    /// The `flags` argument of a call on which the form of its stream depends.
    fn flags_of(&self, number: i32, payload: &[u8]) -> Option<u32> {
        let _ = (number, payload);
        None
    }

    /// Takes over a call that another daemon has to answer; gives it back when this one does.
    fn relay(&self, call: RelayCall) -> Option<RelayCall> {
        Some(call)
    }
}

/// A received call that may be passed on undecoded. Whoever takes it owes the client one reply.
pub struct RelayCall {
    pub(crate) client: Arc<Client>,
    pub(crate) frame: Frame,
    pub(crate) procedure: Option<&'static Procedure>,
    pub(crate) permit: Permit,
}

impl RelayCall {
    /// Who calls.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// What is called, if the table knows it.
    pub fn procedure(&self) -> Option<&'static Procedure> {
        self.procedure
    }

    /// Program number of the call.
    pub fn program(&self) -> u32 {
        self.frame.header.program
    }

    /// Number of the procedure.
    pub fn number(&self) -> i32 {
        self.frame.header.procedure
    }

    /// The undecoded arguments.
    pub fn payload(&self) -> &[u8] {
        self.frame.payload()
    }

    /// Answers with an error.
    pub fn refuse(self, error: &Error) {
        self.client.link().send(Packet::failure(&self.frame.header, error), Purpose::Call);
    }
}
