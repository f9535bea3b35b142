//! The context that one call travels with.

use crate::client::Client;
use crate::frame::Header;
use crate::stream::{Shared, Stream};
use protocol::Procedure;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A call in progress: who makes it, and what travels beside its arguments. Clones name the same call.
#[derive(Clone)]
pub struct Call {
    inner: Arc<Inner>,
}

struct Inner {
    client: Arc<Client>,
    header: Header,
    procedure: &'static Procedure,
    sparse: bool,
    extras: Mutex<Extras>,
}

#[derive(Default)]
struct Extras {
    fds_in: Vec<OwnedFd>,
    fds_out: Vec<OwnedFd>,
    stream: Option<Arc<Shared>>,
    close: bool,
}

/// What belongs to a reply beside its body.
pub(crate) struct ReplyExtras {
    pub fds: Vec<OwnedFd>,
    pub stream: Option<Arc<Shared>>,
    pub close: bool,
}

impl Call {
    pub(crate) fn new(
        client: Arc<Client>,
        header: Header,
        procedure: &'static Procedure,
        fds_in: Vec<OwnedFd>,
        sparse: bool,
    ) -> Self {
        let extras = Mutex::new(Extras { fds_in, ..Extras::default() });
        Call { inner: Arc::new(Inner { client, header, procedure, sparse, extras }) }
    }

    /// The client that calls.
    pub fn client(&self) -> &Arc<Client> {
        &self.inner.client
    }

    /// What is called.
    pub fn procedure(&self) -> &'static Procedure {
        self.inner.procedure
    }

    /// The call's program number.
    pub fn program(&self) -> u32 {
        self.inner.header.program
    }

    /// Takes the descriptors that came with the call.
    pub fn take_fds(&self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.extras().fds_in)
    }

    /// Adds a descriptor to a successful reply.
    pub fn push_fd(&self, fd: OwnedFd) {
        self.extras().fds_out.push(fd);
    }

    /// Opens the call's data stream. It becomes live once the OK reply is out, and dies if the call fails;
    /// opening again replaces it.
    pub fn open_stream(&self) -> Stream {
        let shared = Shared::new(&self.inner.client, self.inner.header);
        if self.inner.sparse {
            shared.set_sparse();
        }
        if let Some(replaced) = self.extras().stream.replace(shared.clone()) {
            replaced.end();
        }
        Stream::new(shared)
    }

    pub(crate) fn header(&self) -> &Header {
        &self.inner.header
    }

    /// Closes the connection once the reply to this call has left.
    pub fn close_after_reply(&self) {
        self.extras().close = true;
    }

    pub(crate) fn take_reply_extras(&self) -> ReplyExtras {
        let mut extras = self.extras();
        ReplyExtras { fds: std::mem::take(&mut extras.fds_out), stream: extras.stream.take(), close: extras.close }
    }

    fn extras(&self) -> MutexGuard<'_, Extras> {
        self.inner.extras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
