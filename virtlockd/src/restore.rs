//! Taking up, before anything is served, what the process before us held.
//!
//! For every recorded resource whose owner still lives the lock is taken over with its descriptor, or, where there is
//! none (no store, and a crash), taken again. A lock that somebody else got in between stays listed as lost, loudly.
//! Blocks when a lock has to be taken again on a file system that does not answer.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use host::Pid;

use crate::lock_file::{LockFile, LockFileError, Want};
use crate::space::{Key, Resource, Spaces};
use crate::state::{Entry, HeldEntry};
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
    /// Resources whose owners have ended; still locked.
    pub ended: Vec<(Key, Resource)>,
    /// Descriptors of releases that had begun; still locked.
    pub released: Vec<(Slot, OwnedFd)>,
    /// Locks that were taken again, so that the store has no descriptor of them.
    pub retaken: Vec<Key>,
}

/// Takes up a record and the descriptors that came with it.
pub fn restore(record: Option<Vec<Entry>>, mut descriptors: HashMap<String, OwnedFd>) -> Restored {
    let known = record.is_some();
    let mut restored = Restored {
        spaces: Spaces::new(),
        next_slot: 0,
        owners: Vec::new(),
        ended: Vec::new(),
        released: Vec::new(),
        retaken: Vec::new(),
    };
    for entry in record.unwrap_or_default() {
        match entry {
            Entry::Space { path } => restored.spaces.remember_space(&path),
            Entry::Resource(held) => {
                restored.next_slot = restored.next_slot.max(held.slot.number() + 1);
                let fd = descriptors.remove(held.slot.as_str());
                restored.take_up(held, fd);
            }
        }
    }
    for (name, fd) in descriptors {
        // Only our own names; the number must not be given to another lock.
        let Some(slot) = Slot::parse('l', &name) else { continue };
        restored.next_slot = restored.next_slot.max(slot.number() + 1);
        if known {
            // The record was written, then we died.
            tracing::info!(slot = slot.as_str(), "finishing a release that was interrupted");
            restored.released.push((slot, fd));
        } else {
            restored.take_up_nameless(slot, fd);
        }
    }
    restored
}

impl Restored {
    fn take_up(&mut self, mut entry: HeldEntry, fd: Option<OwnedFd>) {
        // Once without a record, always without one: see `take_up_nameless`.
        let nameless = entry.owners.is_empty();
        entry.owners.retain(|owner| match Pid::open_verified(owner.pid, owner.start_time) {
            Ok(pid) if pid.is_running() => {
                self.owners.push(pid);
                true
            }
            _ => false,
        });
        let HeldEntry { space, name, path, shared, autocreate, slot, owners } = entry;
        let (path, key) = (PathBuf::from(path), Key { space, name });
        let stored = fd.map(LockFile::adopt);
        if owners.is_empty() && !nameless {
            tracing::info!(resource = key.name, "lock owner ended while we were away");
            // Without its descriptor the lock is gone already.
            let resource = Resource { path, shared, autocreate, owners, slot, file: stored };
            self.ended.push((key, resource));
            return;
        }
        let guest = owners.first().map(|owner| owner.name.clone()).unwrap_or_default();
        let file = stored.or_else(|| {
            let want = Want { shared, autocreate, follow: key.space.is_empty() };
            self.take_again(&key, &path, want, &guest)
        });
        self.spaces.insert(&key, Resource { path, shared, autocreate, owners, slot, file });
    }

    /// Takes a lock of which no descriptor was kept.
    fn take_again(&mut self, key: &Key, path: &Path, want: Want, guest: &str) -> Option<LockFile> {
        match LockFile::acquire(path, want) {
            Ok(file) => {
                tracing::warn!(resource = key.name, guest, "no descriptor of this lock was kept, it was taken again");
                self.retaken.push(key.clone());
                Some(file)
            }
            Err(e) => {
                let why = match &e {
                    LockFileError::Busy(Some(pid)) => format!("process {pid} has it"),
                    LockFileError::Busy(None) => "somebody else has it".to_owned(),
                    LockFileError::Open(cause) | LockFileError::Lock(cause) => format!("cannot {e}: {cause}"),
                };
                tracing::error!(resource = key.name, guest, "LOCK LOST: {why}; the guest may not be alone on its disk");
                None
            }
        }
    }

    /// Every copy of the record is gone. The lock is kept: who cannot prove that it is free must not free it. The
    /// first process that releases the path ends it.
    fn take_up_nameless(&mut self, slot: Slot, fd: OwnedFd) {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
        let name = path.to_string_lossy().into_owned();
        tracing::error!(path = name, "a lock without any record of its owner is kept");
        let file = LockFile::adopt(fd);
        let shared = file.is_shared().unwrap_or(false);
        let resource = Resource { path, shared, autocreate: false, owners: Vec::new(), slot, file: Some(file) };
        self.spaces.insert(&Key { space: String::new(), name }, resource);
    }
}
