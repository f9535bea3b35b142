//! How one kind of pool works: is it there, make it, start it, stop it, remove it, look at it.
//!
//! | backend | types | what it does |
//! |---|---|---|
//! | `directory` | dir, fs, netfs | volumes are the files of a directory |
//! | `mount` | fs, netfs | mounts that directory at start |
//! | `file_system` | fs | formats the device to be mounted |
//! | `absent` | logical, disk, iscsi-direct, rbd | defined and printed, but not started by this version |
//!
//! Everything here blocks and runs on a blocking thread.

mod absent;
mod directory;
mod file_system;
mod mount;

use conf::pool::{Permissions, PoolDef, PoolType};
use error::{Code, Domain, Error, Result};

use crate::scan::Volumes;

/// What a look at a pool finds.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) capacity: u64,
    pub(crate) allocation: u64,
    pub(crate) available: u64,
    pub(crate) permissions: Permissions,
    pub(crate) volumes: Volumes,
}

/// How one kind of pool works.
pub(crate) trait Backend: Sync {
    /// Whether the pool is up already, found at the daemon's start.
    fn is_up(&self, def: &PoolDef) -> bool;
    /// Makes what the pool needs: directory, file system.
    fn build(&self, def: &PoolDef, flags: u32) -> Result<()>;
    /// Brings it up.
    fn start(&self, def: &PoolDef) -> Result<()>;
    /// Takes it down.
    fn stop(&self, def: &PoolDef) -> Result<()>;
    /// Removes what `build` made.
    fn delete(&self, def: &PoolDef, flags: u32) -> Result<()>;
    /// Looks at its size and volumes.
    fn scan(&self, def: &PoolDef) -> Result<Scan>;
    /// Size of the pool alone: capacity, allocation, available.
    fn figures(&self, def: &PoolDef) -> Result<(u64, u64, u64)>;
}

/// The backend of a type.
///
/// # Errors
/// `INTERNAL_ERROR` for a type that this suite, as the Debian build of libvirt 11.3.0 it is measured by, does not have.
pub(crate) fn of(kind: PoolType) -> Result<&'static dyn Backend> {
    match kind {
        PoolType::Dir => Ok(&directory::Directory),
        PoolType::Fs | PoolType::Netfs => Ok(&mount::Mount),
        PoolType::Logical | PoolType::Disk | PoolType::IscsiDirect | PoolType::Rbd => Ok(&absent::Absent),
        _ => {
            let detail = format!("missing backend for pool type {} ({kind})", kind.number());
            Err(Error::new(Domain::Storage, Code::InternalError, detail))
        }
    }
}

pub(crate) use directory::open as open_folder;

/// Whether pools of the type can be started.
pub(crate) fn can_start(kind: PoolType) -> bool {
    matches!(kind, PoolType::Dir | PoolType::Fs | PoolType::Netfs)
}
