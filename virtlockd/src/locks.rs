//! The lock service: the spaces, the record of them, and the watch over the owners.
//!
//! ```text
//!   acquire: lock the file ─▶ record ─▶ descriptor to the store ─▶ reply
//!   release: off the table ─▶ record ─▶ unlock ─▶ descriptor back ─▶ reply
//! ```
//!
//! A lock lives as long as its owner, watched by pidfd, and as long as nobody releases it. Whether our process dies, or
//! the connection it was taken over, does not matter to it. The state never waits: it sits behind a plain mutex, the
//! watches are tasks that come back to it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::keep::Keeper;
use host::Pid;
use nix::sys::signal::Signal;

use crate::owner::{Owner, OwnerKey};
use crate::space::{Key, Resource, SpaceError, Spaces};
use crate::state::State;
use daemon::keep::Slot;

/// How long an owner that closed its connection has to end by itself before it is told to, and before it is made to
/// (libvirt: at once, and 1.6 s).
const FAREWELL: Duration = Duration::from_millis(20);
const TERM_GRACE: Duration = Duration::from_millis(1_600);
/// How often we try to get back a lock that was lost in a crash.
const RETAKE_INTERVAL: Duration = Duration::from_secs(2);

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
}

#[derive(Debug)]
struct Inner {
    spaces: Spaces,
    keeper: Keeper,
    next_slot: u64,
    watched: HashSet<OwnerKey>,
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
    /// Takes up what the process before us held, and watches its owners. Needs a tokio runtime.
    ///
    /// `inhibit` makes the guard that keeps the daemon alive while locks are held.
    pub fn start(
        keeper: Keeper,
        state: Option<State>,
        descriptors: HashMap<String, OwnedFd>,
        inhibit: impl Fn() -> Inhibitor + Send + 'static,
    ) -> io::Result<Locks> {
        let mut restored = crate::restore::restore(state, descriptors);
        let mut inner = Inner {
            spaces: restored.spaces,
            keeper,
            next_slot: restored.next_slot,
            watched: HashSet::new(),
            hold: Hold { begin: Box::new(inhibit), current: None },
        };
        inner.record()?;
        for (slot, file) in restored.freed.drain(..) {
            drop(file);
            inner.keeper.forget(slot.as_str());
        }
        let retaken: Vec<Slot> = restored.retaken;
        for (_, _, held) in inner.spaces.iter() {
            let Some(file) = held.file.as_ref().filter(|_| retaken.contains(&held.slot)) else { continue };
            if let Err(e) = inner.keeper.keep(held.slot.as_str(), file.as_fd()) {
                tracing::error!(path = %held.path.display(), error = %e, "this lock would not survive another crash");
            }
        }
        let any_lost = inner.spaces.iter().any(|(_, _, held)| held.file.is_none());
        inner.refresh_hold();
        let locks = Locks { inner: Arc::new(Mutex::new(inner)) };
        for owner in restored.owners {
            locks.watch(owner);
        }
        if any_lost {
            tokio::spawn(locks.clone().retake_lost());
        }
        Ok(locks)
    }

    /// Creates a lockspace; see [`Spaces::create_space`].
    pub fn create_space(&self, path: &str, exclusive: bool) -> Result<(), LocksError> {
        let mut inner = self.lock();
        inner.spaces.create_space(path, exclusive)?;
        inner.record().map_err(LocksError::Record)
    }

    /// Makes the file of a free resource.
    pub fn create_resource(&self, key: &Key) -> Result<(), LocksError> {
        Ok(self.lock().spaces.create_resource(key)?)
    }

    /// Unlinks the file of a free resource.
    pub fn delete_resource(&self, key: &Key) -> Result<(), LocksError> {
        Ok(self.lock().spaces.delete_resource(key)?)
    }

    /// Takes the lock for `owner`, which is the process `pid`.
    pub fn acquire(
        &self,
        key: &Key,
        owner: &Owner,
        pid: &Pid,
        shared: bool,
        autocreate: bool,
    ) -> Result<(), LocksError> {
        let mut inner = self.lock();
        let slot = Slot::new('l', inner.next_slot);
        let mut taken = inner.spaces.acquire(key, owner.clone(), shared, autocreate, slot.clone());
        if let Err(SpaceError::Held { owners, .. }) = &taken {
            // The watch tells us of a death a moment later; whoever knows already must not be refused.
            let dead: Vec<OwnerKey> = owners.iter().map(Owner::key).filter(|key| !lives(*key)).collect();
            if !dead.is_empty() {
                dead.into_iter().for_each(|key| inner.bury(key));
                taken = inner.spaces.acquire(key, owner.clone(), shared, autocreate, slot.clone());
            }
        }
        let opened = taken?;
        inner.next_slot += u64::from(opened);
        if let Err(e) = inner.settle(key, opened) {
            inner.undo_acquire(key, owner.pid, opened);
            return Err(LocksError::Record(e));
        }
        inner.refresh_hold();
        drop(inner);
        tracing::info!(space = key.space, resource = key.name, guest = owner.name, pid = owner.pid, shared, "acquired");
        self.watch(pid.clone());
        Ok(())
    }

    /// Gives one lock of the process back.
    pub fn release(&self, key: &Key, pid: i32) -> Result<(), LocksError> {
        let mut inner = self.lock();
        let (owner, last) = inner.spaces.release(key, pid)?;
        if let Err(e) = inner.record() {
            if let Some(resource) = last {
                inner.spaces.put_back(key, resource);
            }
            if let (Some(owner), Some(held)) = (owner, inner.spaces.get_mut(key)) {
                held.owners.push(owner);
            }
            return Err(LocksError::Record(e));
        }
        if let Some(resource) = last {
            inner.free(resource);
        }
        inner.refresh_hold();
        tracing::info!(space = key.space, resource = key.name, pid, "released");
        Ok(())
    }

    /// The registered owner has closed the connection it made itself. An owner that still holds locks has lost the way
    /// to give them back and is ended, as in libvirt; its locks are free once it is gone.
    pub fn connection_closed(&self, pid: Pid) {
        let inner = self.lock();
        if !inner.spaces.holds((pid.number(), pid.start_time())) {
            return;
        }
        drop(inner);
        let locks = self.clone();
        tokio::spawn(async move {
            // The socket of a process that ends closes just before its pidfd tells.
            if locks.outlives(&pid, FAREWELL).await {
                tracing::warn!(pid = pid.number(), "owner closed its connection with locks held: ending it");
                signal(&pid, Signal::SIGTERM);
                if locks.outlives(&pid, TERM_GRACE).await {
                    signal(&pid, Signal::SIGKILL);
                }
            }
        });
    }

    /// The descriptors that the next image of this program needs, by name.
    pub fn inheritance(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let inner = self.lock();
        let locks =
            inner.spaces.iter().filter_map(|(_, _, held)| Some((held.slot.as_str(), held.file.as_ref()?.as_fd())));
        let copies = inner.keeper.copies();
        let all = copies.iter().map(|(name, fd)| (name.as_str(), *fd)).chain(locks);
        all.map(|(name, fd)| Ok((name.to_owned(), fd.try_clone_to_owned()?))).collect()
    }

    /// Frees everything the process holds as soon as it ends.
    fn watch(&self, pid: Pid) {
        let key = (pid.number(), pid.start_time());
        if !self.lock().watched.insert(key) {
            return;
        }
        let locks = self.clone();
        tokio::spawn(async move {
            while let Err(e) = pid.exited().await {
                tracing::error!(pid = key.0, error = %e, "cannot watch a lock owner");
                tokio::time::sleep(RETAKE_INTERVAL).await;
            }
            let mut inner = locks.lock();
            inner.bury(key);
            inner.watched.remove(&key);
        });
    }

    /// Whether the process is still there, and holds locks, after this time.
    async fn outlives(&self, pid: &Pid, time: Duration) -> bool {
        let ended = tokio::time::timeout(time, pid.exited()).await.is_ok();
        !ended && self.lock().spaces.holds((pid.number(), pid.start_time()))
    }

    /// Tries again and again to get back what was lost in a crash.
    async fn retake_lost(self) {
        loop {
            tokio::time::sleep(RETAKE_INTERVAL).await;
            if !self.lock().retake() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn record(&mut self) -> io::Result<()> {
        let state = State::of(&self.spaces, self.next_slot);
        self.keeper.record(&state)
    }

    /// Makes a fresh lock outlive us.
    fn settle(&mut self, key: &Key, opened: bool) -> io::Result<()> {
        self.record()?;
        match self.spaces.get(key) {
            Some(Resource { slot, file: Some(file), .. }) if opened => self.keeper.keep(slot.as_str(), file.as_fd()),
            _ => Ok(()),
        }
    }

    fn undo_acquire(&mut self, key: &Key, pid: i32, opened: bool) {
        if let Ok((_, Some(resource))) = self.spaces.release(key, pid) {
            self.free(resource);
        }
        if let Err(e) = self.record() {
            tracing::error!(error = %e, opened, "the record still shows a lock that was refused");
        }
    }

    /// Drops the lock of a resource that is out of the table.
    fn free(&mut self, resource: Resource) {
        let Resource { path, shared, autocreate, slot, file, .. } = resource;
        if let Some(file) = file
            && let Err(e) = file.unlock(&path, shared, autocreate)
        {
            tracing::error!(path = %path.display(), error = %e, "cannot unlock");
        }
        self.keeper.forget(slot.as_str());
    }

    /// The owner is dead: everything it held is free.
    fn bury(&mut self, key: OwnerKey) {
        if !self.spaces.holds(key) {
            return;
        }
        let freed = self.spaces.release_owner(key);
        if let Err(e) = self.record() {
            // A record that still names a dead owner does no harm: the next process checks.
            tracing::error!(error = %e, "cannot record that a lock owner is gone");
        }
        tracing::info!(pid = key.0, resources = freed.len(), "lock owner is gone, its locks are free");
        freed.into_iter().for_each(|resource| self.free(resource));
        self.refresh_hold();
    }

    /// Whether something is still lost after this attempt.
    fn retake(&mut self) -> bool {
        let mut back = Vec::new();
        let mut lost = false;
        for (space, name, held) in self.spaces.iter_mut().filter(|(_, _, held)| held.file.is_none()) {
            match held.retake(space.is_empty()) {
                Ok(()) => back.push(Key { space: space.into(), name: name.into() }),
                Err(_) => lost = true,
            }
        }
        for key in back {
            tracing::warn!(space = key.space, resource = key.name, "a lock that was lost is held again");
            if let Err(e) = self.settle(&key, true) {
                tracing::error!(resource = key.name, error = %e, "it would not survive another crash");
            }
        }
        lost
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

fn lives((number, start_time): OwnerKey) -> bool {
    Pid::open_verified(number, start_time).is_ok_and(|pid| pid.is_running())
}

fn signal(pid: &Pid, signal: Signal) {
    if let Err(e) = pid.signal(signal) {
        tracing::debug!(pid = pid.number(), error = %e, "cannot signal a lock owner");
    }
}

#[cfg(test)]
mod tests;
