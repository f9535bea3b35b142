//! The lock service: the spaces, the record of them, and the watch over the owners.
//!
//! ```text
//!   acquire: lock the file ─▶ table ─▶ record ─▶ descriptor to the store ─▶ reply
//!   release: off the table ─▶ record ─▶ unlock ─▶ descriptor back ─▶ reply
//! ```
//!
//! A lock lives as long as its owner, watched by pidfd, and as long as nobody releases it. Whether our process dies, or
//! the connection it was taken over, does not matter to it.
//!
//! The state sits behind a plain mutex and never waits. Files are opened, locked and unlocked on threads that may block:
//! a dead NFS server holds up the requests for its own files only. Meanwhile the resource is claimed, so that requests
//! for one resource come one after the other.

mod claim;
mod watch;

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::keep::{Keeper, Slot};
use host::{Pid, run_blocking};

use crate::lock_file::{LockFile, Want};
use crate::locks::claim::{Claim, Claims};
use crate::owner::{Owner, OwnerKey};
use crate::restore::{Restored, restore};
use crate::space::{self, Admission, Key, Resource, SpaceError, Spaces};
use crate::state::Entry;

/// How long the start waits for locks of ended owners to be dropped.
const FREE_DEADLINE: Duration = Duration::from_secs(2);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum LocksError {
    /// The spaces refused it.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// It could not be made to outlive us, so it was not done.
    #[error("cannot record the change")]
    Record(#[source] io::Error),
}

/// The service; clones share it.
#[derive(Clone, Debug)]
pub struct Locks {
    inner: Arc<Mutex<Inner>>,
    claims: Claims,
}

#[derive(Debug)]
struct Inner {
    spaces: Spaces,
    keeper: Keeper,
    next_slot: u64,
    watched: HashSet<OwnerKey>,
    /// Locks that are off the record and not dropped yet. An image of this program that comes now has to drop them:
    /// the service manager would hold them for ever.
    leaving: HashMap<Slot, OwnedFd>,
    hold: Hold,
}

/// A guard that keeps the daemon from leaving for idleness.
pub type Inhibitor = Box<dyn std::any::Any + Send + Sync>;

/// Keeps the daemon while locks are held.
struct Hold {
    begin: Box<dyn Fn() -> Inhibitor + Send>,
    current: Option<Inhibitor>,
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.current.is_some())
    }
}

impl Locks {
    /// Takes up what the process before us held, and watches its owners.
    ///
    /// `inhibit` makes the guard that keeps the daemon alive while locks are held.
    pub async fn start(
        keeper: Keeper,
        record: Option<Vec<Entry>>,
        descriptors: HashMap<String, OwnedFd>,
        inhibit: impl Fn() -> Inhibitor + Send + 'static,
    ) -> io::Result<Locks> {
        let Restored { spaces, next_slot, owners, ended, released, retaken } =
            run_blocking(move || restore(record, descriptors)).await;
        let hold = Hold { begin: Box::new(inhibit), current: None };
        let mut inner = Inner { spaces, keeper, next_slot, watched: HashSet::new(), leaving: HashMap::new(), hold };
        inner.keeper.replace(&Entry::all(&inner.spaces))?;
        for key in retaken {
            // It is locked; only its next life is in doubt.
            if let Err(e) = inner.keep(&key) {
                tracing::error!(resource = key.name, error = %e, "this lock would not survive another crash");
            }
        }
        let lost: Vec<Key> = inner.spaces.lost();
        inner.refresh_hold();
        let locks = Locks { inner: Arc::new(Mutex::new(inner)), claims: Claims::default() };
        let mut frees = Vec::new();
        for (key, resource) in ended {
            let claim = locks.claims.take(&key).await;
            frees.push(tokio::spawn(locks.clone().free(claim, resource)));
        }
        for (slot, fd) in released {
            frees.push(tokio::spawn(locks.clone().finish_release(slot, fd)));
        }
        let all_free = async {
            for free in frees {
                // An error is a panic, which has been logged.
                let _ = free.await;
            }
        };
        if tokio::time::timeout(FREE_DEADLINE, all_free).await.is_err() {
            tracing::warn!("a file system does not answer; locks on it are dropped when it does");
        }
        for key in lost {
            tokio::spawn(locks.clone().retake(key));
        }
        for owner in owners {
            locks.watch(owner);
        }
        Ok(locks)
    }

    /// Creates a lockspace; `exclusive` refuses one that is known already.
    pub async fn create_space(&self, path: &str, exclusive: bool) -> Result<(), LocksError> {
        let _claim = self.claims.take(&Key { space: path.to_owned(), name: String::new() }).await;
        if !self.lock().spaces.admit_space(path, exclusive)? {
            return Ok(());
        }
        let folder = path.to_owned();
        run_blocking(move || space::make_space(&folder)).await?;
        let mut inner = self.lock();
        inner.keeper.put(&Entry::Space { path: path.to_owned() }).map_err(LocksError::Record)?;
        inner.spaces.remember_space(path);
        Ok(())
    }

    /// Makes the file of a free resource.
    pub async fn create_resource(&self, key: &Key) -> Result<(), LocksError> {
        self.with_free_file(key, space::make_file).await
    }

    /// Unlinks the file of a free resource.
    pub async fn delete_resource(&self, key: &Key) -> Result<(), LocksError> {
        self.with_free_file(key, space::remove_file).await
    }

    /// Takes the lock for `owner`, which is the process `pid`.
    pub async fn acquire(
        &self,
        key: &Key,
        owner: &Owner,
        pid: &Pid,
        shared: bool,
        autocreate: bool,
    ) -> Result<(), LocksError> {
        let claim = self.claims.take(key).await;
        // The watch tells of a death a moment later; whoever knows already must not be refused.
        for dead in self.dead_owners(key) {
            self.forget_owner(&claim, dead).await;
        }
        let admission = self.lock().spaces.admit(key, owner, shared, autocreate)?;
        let opened = match admission {
            Admission::Joined => None,
            Admission::Open { path, want } => Some((lock_file(key, &path, want).await?, path)),
        };
        if let Err(e) = self.enter(key, owner, shared, autocreate, opened) {
            let entered = {
                let mut inner = self.lock();
                let entered = inner.spaces.release(key, owner.pid);
                inner.record_anyhow(key, entered.as_ref().ok().and_then(|(_, last)| last.as_ref()), "a refused lock");
                entered
            };
            if let Ok((_, Some(resource))) = entered {
                run_blocking(move || resource.unlock()).await;
            }
            return Err(LocksError::Record(e));
        }
        tracing::info!(space = key.space, resource = key.name, guest = owner.name, pid = owner.pid, shared, "acquired");
        self.watch(pid.clone());
        Ok(())
    }

    /// Gives one lock of the process back.
    pub async fn release(&self, key: &Key, pid: i32) -> Result<(), LocksError> {
        let claim = self.claims.take(key).await;
        let last = self.lock().leave(key, pid)?;
        if let Some(resource) = last {
            self.clone().free(claim, resource).await;
        }
        tracing::info!(space = key.space, resource = key.name, pid, "released");
        Ok(())
    }

    /// Leaves nothing with the service manager if nothing is held; to be called at a regular end.
    pub fn leave(&self) {
        self.lock().keeper.leave();
    }

    /// The descriptors that the next image of this program needs, by name.
    pub fn inheritance(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let inner = self.lock();
        let locks =
            inner.spaces.iter().filter_map(|(_, _, held)| Some((held.slot.as_str(), held.file.as_ref()?.as_fd())));
        let copies = inner.keeper.copies();
        let leaving = inner.leaving.iter().map(|(slot, fd)| (slot.as_str(), fd.as_fd()));
        let all = copies.iter().map(|(name, fd)| (name.as_str(), *fd)).chain(locks).chain(leaving);
        all.map(|(name, fd)| Ok((name.to_owned(), fd.try_clone_to_owned()?))).collect()
    }

    /// Enters what was admitted, and makes it outlive us.
    fn enter(
        &self,
        key: &Key,
        owner: &Owner,
        shared: bool,
        autocreate: bool,
        opened: Option<(LockFile, std::path::PathBuf)>,
    ) -> io::Result<()> {
        let mut inner = self.lock();
        let fresh = opened.is_some();
        if let Some((file, path)) = opened {
            let slot = Slot::new('l', inner.next_slot);
            inner.next_slot += 1;
            let owners = vec![owner.clone()];
            inner.spaces.insert(key, Resource { path, shared, autocreate, owners, slot, file: Some(file) });
            inner.refresh_hold();
        }
        inner.record(key, None)?;
        if fresh { inner.keep(key) } else { Ok(()) }
    }

    /// Drops the lock of a resource that is out of the table and off the record.
    async fn free(self, claim: Claim, resource: Resource) {
        self.unlock(resource).await;
        drop(claim);
    }

    /// Unlocks, then takes the descriptor back from the service manager.
    async fn unlock(&self, resource: Resource) {
        let slot = resource.slot.clone();
        let copy = resource.file.as_ref().and_then(|file| file.as_fd().try_clone_to_owned().ok());
        if let Some(copy) = copy {
            self.lock().leaving.insert(slot.clone(), copy);
        }
        run_blocking(move || resource.unlock()).await;
        self.left(&slot);
    }

    /// Drops a lock whose release was interrupted by the end of the process before us.
    async fn finish_release(self, slot: Slot, fd: OwnedFd) {
        let file = LockFile::adopt(fd);
        if let Ok(copy) = file.as_fd().try_clone_to_owned() {
            self.lock().leaving.insert(slot.clone(), copy);
        }
        if let Err(e) = run_blocking(move || file.drop_lock()).await {
            tracing::error!(slot = slot.as_str(), error = %e, "cannot unlock");
        }
        self.left(&slot);
    }

    /// The lock is dropped.
    fn left(&self, slot: &Slot) {
        let mut inner = self.lock();
        inner.leaving.remove(slot);
        inner.keeper.forget(slot.as_str());
        inner.refresh_hold();
    }

    async fn with_free_file(
        &self,
        key: &Key,
        work: fn(&Key, &std::path::Path) -> Result<(), SpaceError>,
    ) -> Result<(), LocksError> {
        let _claim = self.claims.take(key).await;
        let path = self.lock().spaces.free(key)?;
        let key = key.clone();
        Ok(run_blocking(move || work(&key, &path)).await?)
    }

    fn dead_owners(&self, key: &Key) -> Vec<OwnerKey> {
        let owners: Vec<OwnerKey> = match self.lock().spaces.get(key) {
            Some(held) => held.owners.iter().map(Owner::key).collect(),
            None => Vec::new(),
        };
        owners.into_iter().filter(|owner| !lives(*owner)).collect()
    }

    /// Takes a dead owner off a claimed resource.
    async fn forget_owner(&self, claim: &Claim, owner: OwnerKey) {
        let last = {
            let mut inner = self.lock();
            let last = inner.spaces.forget_owner(claim.key(), owner);
            // Where the record still names a dead owner it does no harm: the next process checks.
            inner.record_anyhow(claim.key(), last.as_ref(), "a lock owner that is gone");
            last
        };
        if let Some(resource) = last {
            self.unlock(resource).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Records a resource as it is in the table now; `gone` is what was there before.
    fn record(&mut self, key: &Key, gone: Option<&Resource>) -> io::Result<()> {
        match (self.spaces.get(key), gone) {
            (Some(held), _) => self.keeper.put(&Entry::held(key, held)),
            (None, Some(gone)) => self.keeper.drop(gone.slot.as_str()),
            (None, None) => Ok(()),
        }
    }

    /// Records what has happened already.
    fn record_anyhow(&mut self, key: &Key, gone: Option<&Resource>, what: &str) {
        if let Err(e) = self.record(key, gone) {
            tracing::error!(resource = key.name, error = %e, "the record still shows {what}");
        }
    }

    /// Gives the lock's descriptor to the service manager.
    fn keep(&mut self, key: &Key) -> io::Result<()> {
        match self.spaces.get(key) {
            Some(Resource { slot, file: Some(file), .. }) => self.keeper.keep(slot.as_str(), file.as_fd()),
            _ => Ok(()),
        }
    }

    /// Takes one entry of a process off the table and the record; returns the resource if that was the last one.
    fn leave(&mut self, key: &Key, pid: i32) -> Result<Option<Resource>, LocksError> {
        let (owner, last) = self.spaces.release(key, pid)?;
        let Err(e) = self.record(key, last.as_ref()) else { return Ok(last) };
        if let Some(resource) = last {
            self.spaces.insert(key, resource);
        }
        if let (Some(owner), Some(held)) = (owner, self.spaces.get_mut(key)) {
            held.owners.push(owner);
        }
        Err(LocksError::Record(e))
    }

    /// Stays while anything is held.
    fn refresh_hold(&mut self) {
        let busy = self.spaces.iter().next().is_some();
        match (busy, self.hold.current.is_some()) {
            (true, false) => self.hold.current = Some((self.hold.begin)()),
            (false, true) => self.hold.current = None,
            _ => {}
        }
    }
}

/// Locks a file, however long its file system takes.
async fn lock_file(key: &Key, path: &std::path::Path, want: Want) -> Result<LockFile, SpaceError> {
    let file = path.to_owned();
    let locked = run_blocking(move || LockFile::acquire(&file, want)).await;
    locked.map_err(|e| space::refused(key, e, want.autocreate))
}

fn lives((number, start_time): OwnerKey) -> bool {
    Pid::open_verified(number, start_time).is_ok_and(|pid| pid.is_running())
}

#[cfg(test)]
mod tests;
