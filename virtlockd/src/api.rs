//! The lock protocol's procedures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daemon::Shutdown;
use error::{Code, Domain, Error, Result, check_flags};
use host::Pid;
use host::clock::{now, utc};
use protocol::{Procedure, ReplyFuture, lock};
use rpc::{Call, Program};

use crate::locks::{Locks, LocksError};
use crate::owner::Owner;
use crate::space::{Key, SpaceError};

/// Acquire as one of several readers.
const ACQUIRE_SHARED: u32 = 1;
/// Make the file when it is missing.
const ACQUIRE_AUTOCREATE: u32 = 2;

/// What a connection has said so far.
#[derive(Debug, Default)]
struct Session {
    state: Mutex<SessionState>,
}

#[derive(Debug, Default)]
struct SessionState {
    owner: Option<Registered>,
    restricted: bool,
    /// The end of this connection is watched.
    hooked: bool,
}

/// On whose behalf the connection locks.
#[derive(Clone, Debug)]
struct Registered {
    uuid: String,
    name: String,
    id: u32,
    pid: Pid,
}

/// The procedures.
pub struct Api {
    locks: Locks,
    shutdown: Shutdown,
}

impl Api {
    /// Serves these locks until the daemon ends.
    pub fn new(locks: Locks, shutdown: Shutdown) -> Api {
        Api { locks, shutdown }
    }

    /// The owner, for the calls that need one.
    fn owner(&self, call: &Call) -> Result<Registered> {
        let session = session(call);
        let state = session.lock();
        state.permitted()?;
        state.owner.clone().ok_or_else(unregistered)
    }
}

impl lock::Service<Call> for Api {
    async fn register(&self, call: &Call, args: lock::RegisterArgs) -> Result<()> {
        flags("Register", args.flags, 0)?;
        let session = session(call);
        let mut state = session.lock();
        state.permitted()?;
        if args.owner.id == 0 {
            return Err(unregistered());
        }
        let peer = call.client().peer();
        // The process at the other end counts as alive even when it is on its way out: its calls stay in order.
        let pid = i32::try_from(args.owner.pid).ok().and_then(|number| Pid::open(number).ok());
        let pid = pid.ok_or_else(|| {
            let text = format!("lock owner process {} is not running", args.owner.pid);
            Error::new(Domain::Rpc, Code::OperationInvalid, text)
        })?;
        if pid.number() == peer.pid && !state.hooked {
            state.hooked = true;
            let (locks, shutdown, owner) = (self.locks.clone(), self.shutdown.clone(), pid.clone());
            call.client().on_close(move || {
                // At our own end it is us who close the connections.
                if !shutdown.is_requested() {
                    locks.connection_closed(owner);
                }
            });
        }
        let uuid = uuid::Uuid::from_bytes(args.owner.uuid).hyphenated().to_string();
        state.owner = Some(Registered { uuid, name: args.owner.name, id: args.owner.id, pid });
        Ok(())
    }

    async fn restrict(&self, call: &Call, args: lock::RestrictArgs) -> Result<()> {
        flags("Restrict", args.flags, 0)?;
        self.owner(call)?;
        session(call).lock().restricted = true;
        Ok(())
    }

    async fn new(&self, call: &Call, args: lock::NewArgs) -> Result<()> {
        flags("New", args.flags, 0)?;
        self.owner(call)?;
        if args.path.is_empty() {
            return Err(Error::new(Domain::Rpc, Code::OperationInvalid, "the default lockspace already exists"));
        }
        self.locks.create_space(&args.path, true).await.map_err(failure)
    }

    async fn create_lockspace(&self, call: &Call, args: lock::CreateLockSpaceArgs) -> Result<()> {
        session(call).lock().permitted()?;
        self.locks.create_space(&args.path, false).await.map_err(failure)
    }

    async fn create_resource(&self, call: &Call, args: lock::CreateResourceArgs) -> Result<()> {
        flags("CreateResource", args.flags, 0)?;
        self.owner(call)?;
        self.locks.create_resource(&Key { space: args.path, name: args.name }).await.map_err(failure)
    }

    async fn delete_resource(&self, call: &Call, args: lock::DeleteResourceArgs) -> Result<()> {
        flags("DeleteResource", args.flags, 0)?;
        self.owner(call)?;
        self.locks.delete_resource(&Key { space: args.path, name: args.name }).await.map_err(failure)
    }

    async fn acquire_resource(&self, call: &Call, args: lock::AcquireResourceArgs) -> Result<()> {
        flags("AcquireResource", args.flags, ACQUIRE_SHARED | ACQUIRE_AUTOCREATE)?;
        let Registered { uuid, name, id, pid } = self.owner(call)?;
        let owner = Owner { pid: pid.number(), start_time: pid.start_time(), uuid, name, id, since: now() };
        let (shared, autocreate) = (args.flags & ACQUIRE_SHARED != 0, args.flags & ACQUIRE_AUTOCREATE != 0);
        let key = Key { space: args.path, name: args.name };
        self.locks.acquire(&key, &owner, &pid, shared, autocreate).await.map_err(failure)
    }

    async fn release_resource(&self, call: &Call, args: lock::ReleaseResourceArgs) -> Result<()> {
        flags("ReleaseResource", args.flags, 0)?;
        let owner = self.owner(call)?;
        let key = Key { space: args.path, name: args.name };
        self.locks.release(&key, owner.pid.number()).await.map_err(failure)
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionState {
    fn permitted(&self) -> Result<()> {
        match self.restricted {
            true => Err(Error::new(Domain::Rpc, Code::OperationDenied, "lock manager connection has been restricted")),
            false => Ok(()),
        }
    }
}

fn session(call: &Call) -> Arc<Session> {
    call.client().data::<Session>()
}

fn flags(procedure: &str, given: u32, accepted: u32) -> Result<()> {
    check_flags(Domain::Rpc, &format!("virLockSpaceProtocolDispatch{procedure}"), given, accepted)
}

fn unregistered() -> Error {
    Error::new(Domain::Rpc, Code::OperationInvalid, "lock owner details have not been registered")
}

/// The one place where refusals become libvirt's errors.
fn failure(e: LocksError) -> Error {
    let space = match e {
        LocksError::Record(source) => {
            return Error::system(Domain::Lockspace, &source, "Unable to make the lock survive a restart");
        }
        LocksError::Space(space) => space,
    };
    match space {
        SpaceError::NoSpace(path) => internal(Domain::Rpc, format!("Lockspace for path {path} does not exist")),
        SpaceError::SpaceExists(path) => internal(Domain::Rpc, format!("Lockspace for path {path} already exists")),
        SpaceError::NotADirectory(path) => {
            internal(Domain::Lockspace, format!("Lockspace location {path} exists, but is not a directory"))
        }
        SpaceError::BadName(name) => {
            let text = format!("'{name}' may lead out of its lockspace");
            Error::new(Domain::Lockspace, Code::InvalidArg, text)
        }
        SpaceError::Held { name, owners } => busy(format!("Lockspace resource '{name}' is locked{}", holders(&owners))),
        SpaceError::HeldOutside { name, pid: None } => busy(format!("Lockspace resource '{name}' is locked")),
        SpaceError::HeldOutside { name, pid: Some(pid) } => busy(format!(
            "Lockspace resource '{name}' is locked (by process {pid}, which is no guest of this host's virtlockd)"
        )),
        SpaceError::NotHeld(name) => busy(format!("Lockspace resource '{name}' is not locked")),
        SpaceError::NotOwner(pid) => {
            internal(Domain::Lockspace, format!("owner {pid} does not hold the resource lock"))
        }
        SpaceError::System { what, source } => Error::system(Domain::Lockspace, &source, what),
    }
}

/// Who holds it, behind libvirt's own text: guests by name, for whoever has to free the disk.
fn holders(owners: &[Owner]) -> String {
    let Some(first) = owners.first() else { return " (by an unknown owner)".into() };
    let others = match owners.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    format!(" (by guest '{}', uuid {}, pid {}, since {}{others})", first.name, first.uuid, first.pid, utc(first.since))
}

fn busy(detail: String) -> Error {
    Error::new(Domain::Lockspace, Code::ResourceBusy, detail)
}

fn internal(domain: Domain, detail: String) -> Error {
    Error::new(domain, Code::InternalError, detail)
}

/// The lock program of a server.
pub struct LockProgram {
    api: Arc<Api>,
}

impl LockProgram {
    /// Serves these procedures.
    pub fn new(api: Api) -> LockProgram {
        LockProgram { api: Arc::new(api) }
    }
}

impl Program for LockProgram {
    fn number(&self) -> u32 {
        lock::PROGRAM
    }

    fn procedure(&self, number: i32) -> Option<&'static Procedure> {
        lock::procedure(number)
    }

    fn call(&self, call: Call, payload: bytes::Bytes) -> ReplyFuture {
        let number = call.procedure().number;
        lock::dispatch_service(self.api.clone(), call, number, payload)
    }
}
