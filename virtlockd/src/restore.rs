//! Taking up, before anything is served, what the process before us held.
//!
//! For every recorded resource whose owner still lives the lock is taken over with its descriptor, or, where there is
//! none (no store, and a crash), taken again. A lock that somebody else got in between stays listed as lost, loudly.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use host::Pid;

use crate::lock_file::{LockFile, LockFileError, Want};
use crate::space::{Key, Resource, Spaces};
use crate::state::{Entry, State};
use daemon::keep::Slot;

/// The outcome.
#[derive(Debug)]
pub struct Restored {
    /// What is held now.
    pub spaces: Spaces,
    /// Number of the next descriptor name.
    pub next_slot: u64,
    /// The living owners.
    pub owners: Vec<Pid>,
    /// Names whose descriptors are of no use any more; already unlocked.
    pub freed: Vec<(Slot, Option<OwnedFd>)>,
    /// Names of locks that were taken again, so that the store has no descriptor of them.
    pub retaken: Vec<Slot>,
}

/// Takes up a record and the descriptors that came with it.
pub fn restore(state: Option<State>, mut descriptors: HashMap<String, OwnedFd>) -> Restored {
    let known = state.is_some();
    let state = state.unwrap_or_default();
    let mut restored = Restored {
        spaces: Spaces::new(),
        next_slot: state.next_slot,
        owners: Vec::new(),
        freed: Vec::new(),
        retaken: Vec::new(),
    };
    for folder in &state.lockspaces {
        restored.spaces.remember_space(folder);
    }
    for entry in state.resources {
        let fd = descriptors.remove(entry.slot.as_str());
        restored.take_up(entry, fd);
    }
    for (name, fd) in descriptors {
        // Only our own names; the number must not be given to another lock.
        let Some(slot) = Slot::parse('l', &name) else { continue };
        restored.next_slot = restored.next_slot.max(slot.number() + 1);
        if known {
            restored.finish_release(slot, fd);
        } else {
            restored.take_up_nameless(slot, fd);
        }
    }
    restored
}

impl Restored {
    fn take_up(&mut self, mut entry: Entry, fd: Option<OwnedFd>) {
        // Once without a record, always without one: see `take_up_nameless`.
        let nameless = entry.owners.is_empty();
        entry.owners.retain(|owner| match Pid::open_verified(owner.pid, owner.start_time) {
            Ok(pid) if pid.is_running() => {
                self.owners.push(pid);
                true
            }
            _ => false,
        });
        let Entry { space, name, path, shared, autocreate, slot, owners } = entry;
        let path = PathBuf::from(path);
        let want = Want { shared, autocreate, follow: space.is_empty() };
        let stored = fd.is_some();
        let file = match fd {
            Some(fd) => LockFile::adopt(fd, shared),
            None => LockFile::acquire(&path, want),
        };
        if owners.is_empty() && !nameless {
            tracing::info!(resource = name, "lock owner ended while we were away");
            if let Ok(file) = file {
                unlock(file, &path, shared, autocreate);
            }
            self.freed.push((slot, None));
            return;
        }
        let guest = owners.first().map(|owner| owner.name.clone()).unwrap_or_default();
        let file = match file {
            Ok(file) => {
                if !stored {
                    tracing::warn!(resource = name, guest, "no descriptor of this lock was kept, it was taken again");
                    self.retaken.push(slot.clone());
                }
                Some(file)
            }
            Err(e) => {
                let holder =
                    if let LockFileError::Busy(Some(pid)) = &e { format!(" by process {pid}") } else { String::new() };
                let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}")).unwrap_or_default();
                tracing::error!(
                    resource = name,
                    guest,
                    "LOCK LOST: {e}{holder}{cause}; the guest may not be alone on its disk"
                );
                None
            }
        };
        let resource = Resource { path, shared, autocreate, owners, slot, file };
        self.spaces.put_back(&Key { space, name }, resource);
    }

    /// The record was written, then we died: the release had begun.
    fn finish_release(&mut self, slot: Slot, fd: OwnedFd) {
        tracing::info!(slot = slot.as_str(), "finishing a release that was interrupted");
        if let Err(e) = host::lock::unlock(&fd, 0, 1) {
            tracing::error!(slot = slot.as_str(), error = %e, "cannot unlock");
        }
        self.freed.push((slot, Some(fd)));
    }

    /// Every copy of the record is gone. The lock is kept: who cannot prove that it is free must not free it. The
    /// first process that releases the path ends it.
    fn take_up_nameless(&mut self, slot: Slot, fd: OwnedFd) {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
        let name = path.to_string_lossy().into_owned();
        tracing::error!(path = name, "a lock without any record of its owner is kept");
        // Of two readers neither can have the write lock, so that tells what the lock is.
        let exclusive = fd.try_clone().ok().and_then(|copy| LockFile::adopt(copy, false).ok());
        let shared = exclusive.is_none();
        let file = exclusive.or_else(|| LockFile::adopt(fd, true).ok());
        let resource = Resource { path, shared, autocreate: false, owners: Vec::new(), slot, file };
        self.spaces.put_back(&Key { space: String::new(), name }, resource);
    }
}

fn unlock(file: LockFile, path: &std::path::Path, shared: bool, autocreate: bool) {
    if let Err(e) = file.unlock(path, shared, autocreate) {
        tracing::error!(path = %path.display(), error = %e, "cannot unlock");
    }
}
