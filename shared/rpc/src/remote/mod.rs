//! The remote program of a daemon: what every driver daemon answers itself, its own classes, and the way to the others.
//!
//! ```text
//!            ┌ auth, connection ──▶ answered here (session.rs, authentication.rs)
//!  a call ───┼ own class ─────────▶ read-only table ─▶ the driver's service
//!            └ other class ───────▶ Router: the frame goes to the sibling daemon
//! ```

pub mod authentication;
pub mod session;
mod uri;

pub use session::Session;
pub use uri::{ConnectUri, UriError};

use crate::call::Call;
use crate::client::Client;
use crate::program::{Program, RelayCall};
use crate::router::{Router, Target};
use bytes::Bytes;
use error::{Code, Domain, Error};
use protocol::{Class, Procedure, ReadOnly, ReplyFuture, qemu, remote};
use std::collections::HashMap;
use std::sync::Arc;

/// Number of the LXC program, which every main server answers; it has no procedures here.
pub const LXC_PROGRAM: u32 = 0x0006_8000;
/// libvirt's version that we speak.
pub const LIBRARY_VERSION: u64 = 11_003_000;

/// Runs the calls of one class: a closure around a generated `dispatch_*` function.
pub type Dispatch = Box<dyn Fn(Call, i32, Bytes) -> ReplyFuture + Send + Sync>;

/// What a driver daemon is, to its clients.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// `virConnectGetType`: `QEMU`, `network` ...
    pub driver: &'static str,
    /// Scheme of its URIs.
    pub scheme: &'static str,
    /// The system's daemon, not one of a user's session.
    pub privileged: bool,
    /// Whether the system's daemon serves `/session` too (QEMU's does).
    pub session_when_privileged: bool,
    /// Feature numbers that the driver has, beside those every daemon has.
    pub features: &'static [i32],
}

impl RemoteConfig {
    /// The driver's own URI.
    pub fn default_uri(&self) -> String {
        format!("{}:///{}", self.scheme, if self.privileged { "system" } else { "session" })
    }
}

/// Builds the remote, qemu and lxc programs of a driver daemon.
pub struct RemoteBuilder {
    config: RemoteConfig,
    classes: HashMap<Class, Dispatch>,
    qemu: Option<Dispatch>,
    router: Option<Arc<Router>>,
}

impl RemoteBuilder {
    /// Serves a class of the remote program here.
    pub fn serve(
        mut self,
        class: Class,
        dispatch: impl Fn(Call, i32, Bytes) -> ReplyFuture + Send + Sync + 'static,
    ) -> Self {
        self.classes.insert(class, Box::new(dispatch));
        self
    }

    /// Serves the qemu program here.
    pub fn serve_qemu(mut self, dispatch: impl Fn(Call, i32, Bytes) -> ReplyFuture + Send + Sync + 'static) -> Self {
        self.qemu = Some(Box::new(dispatch));
        self
    }

    /// Sends calls of other classes to the daemons that serve them.
    pub fn router(mut self, router: Arc<Router>) -> Self {
        self.router = Some(router);
        self
    }

    /// The programs for a server.
    pub fn build(self) -> Vec<Arc<dyn Program>> {
        let shared =
            Arc::new(Shared { config: self.config, classes: self.classes, qemu: self.qemu, router: self.router });
        vec![Arc::new(RemoteProgram { shared: shared.clone() }), Arc::new(QemuProgram { shared }), Arc::new(LxcProgram)]
    }
}

pub(crate) struct Shared {
    config: RemoteConfig,
    classes: HashMap<Class, Dispatch>,
    qemu: Option<Dispatch>,
    router: Option<Arc<Router>>,
}

/// The remote program of a driver daemon.
pub struct RemoteProgram {
    shared: Arc<Shared>,
}

impl RemoteProgram {
    /// Begins the programs of a driver daemon.
    pub fn builder(config: RemoteConfig) -> RemoteBuilder {
        RemoteBuilder { config, classes: HashMap::new(), qemu: None, router: None }
    }
}

impl Program for RemoteProgram {
    fn number(&self) -> u32 {
        remote::PROGRAM
    }

    fn procedure(&self, number: i32) -> Option<&'static Procedure> {
        remote::procedure(number)
    }

    fn flags_of(&self, number: i32, payload: &[u8]) -> Option<u32> {
        remote::flags_of(number, payload)
    }

    fn call(&self, call: Call, payload: Bytes) -> ReplyFuture {
        let procedure = call.procedure();
        let number = procedure.number;
        match procedure.class {
            Class::Auth => remote::dispatch_auth(self.shared.clone(), call, number, payload),
            Class::Connection => remote::dispatch_connection(self.shared.clone(), call, number, payload),
            class => {
                if let Err(error) = admit(&call, || remote::flags_of(number, &payload)) {
                    return refuse(error);
                }
                match self.shared.classes.get(&class) {
                    Some(dispatch) => dispatch(call, number, payload),
                    None => refuse(Error::no_support(procedure.api)),
                }
            }
        }
    }

    fn relay(&self, call: RelayCall) -> Option<RelayCall> {
        let Some(router) = &self.shared.router else { return Some(call) };
        let Some(procedure) = call.procedure() else { return Some(call) };
        let class = procedure.class;
        if matches!(class, Class::Auth | Class::Connection) || self.shared.classes.contains_key(&class) {
            return Some(call);
        }
        if !Session::of(call.client()).is_open() {
            call.refuse(&not_open(class));
            return None;
        }
        router.relay(Target::Class(class), call);
        None
    }
}

struct QemuProgram {
    shared: Arc<Shared>,
}

impl Program for QemuProgram {
    fn number(&self) -> u32 {
        qemu::PROGRAM
    }

    fn procedure(&self, number: i32) -> Option<&'static Procedure> {
        qemu::procedure(number)
    }

    fn call(&self, call: Call, payload: Bytes) -> ReplyFuture {
        let procedure = call.procedure();
        if let Err(error) = admit(&call, || qemu::flags_of(procedure.number, &payload)) {
            return refuse(error);
        }
        match &self.shared.qemu {
            Some(dispatch) => dispatch(call, procedure.number, payload),
            None => refuse(Error::no_support(procedure.api)),
        }
    }
}

struct LxcProgram;

impl Program for LxcProgram {
    fn number(&self) -> u32 {
        LXC_PROGRAM
    }

    fn procedure(&self, _: i32) -> Option<&'static Procedure> {
        None
    }

    fn call(&self, call: Call, _: Bytes) -> ReplyFuture {
        refuse(protocol::unknown_procedure(call.procedure().number))
    }
}

/// The connection has to be open, and read-only clients may only look. `flags` is asked only where they decide.
fn admit(call: &Call, flags: impl FnOnce() -> Option<u32>) -> error::Result<()> {
    let procedure = call.procedure();
    if !Session::of(call.client()).is_open() {
        return Err(not_open(procedure.class));
    }
    check_read_only(call.client(), procedure, flags)
}

/// The read-only rule of the protocol's table.
pub fn check_read_only(
    client: &Client,
    procedure: &Procedure,
    flags: impl FnOnce() -> Option<u32>,
) -> error::Result<()> {
    if !client.read_only() {
        return Ok(());
    }
    let denied = match procedure.read_only {
        ReadOnly::Allow => false,
        ReadOnly::Deny => true,
        // A payload that cannot be decoded is refused as such by the dispatcher, which decodes it again.
        ReadOnly::DenyIf(mask) => flags().is_some_and(|flags| flags & mask != 0),
    };
    if !denied {
        return Ok(());
    }
    let text = format!("read only access prevents {}", procedure.api);
    Err(Error::new(Domain::of_api(procedure.api), Code::OperationDenied, text))
}

/// A call came before `CONNECT_OPEN`.
pub fn not_open(class: Class) -> Error {
    let text = match class {
        Class::Hypervisor | Class::Connection | Class::Auth | Class::Service => "hypervisor connection not open",
        _ => "connection not open",
    };
    Error::new(Domain::Rpc, Code::InternalError, text)
}

fn refuse(error: Error) -> ReplyFuture {
    Box::pin(std::future::ready(Err(error)))
}
