//! The watch over owners and over locks that were lost: what happens without a request.

use std::time::Duration;

use host::Pid;
use nix::sys::signal::Signal;

use crate::locks::{Locks, lock_file};
use crate::space::Key;

/// How long an owner that closed its connection has to end by itself before it is told to, and before it is made to
/// (libvirt: at once, and 1.6 s).
const FAREWELL: Duration = Duration::from_millis(20);
const TERM_GRACE: Duration = Duration::from_millis(1_600);
/// How often we try to get back a lock that was lost in a crash.
const RETAKE_INTERVAL: Duration = Duration::from_secs(2);

impl Locks {
    /// The registered owner has closed the connection it made itself. An owner that still holds locks has lost the way
    /// to give them back and is ended, as in libvirt; its locks are free once it is gone.
    pub fn connection_closed(&self, pid: Pid) {
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

    /// Frees everything the process holds as soon as it ends.
    pub(super) fn watch(&self, pid: Pid) {
        let owner = (pid.number(), pid.start_time());
        if !self.lock().watched.insert(owner) {
            return;
        }
        let locks = self.clone();
        tokio::spawn(async move {
            while let Err(e) = pid.exited().await {
                tracing::error!(pid = owner.0, error = %e, "cannot watch a lock owner");
                tokio::time::sleep(RETAKE_INTERVAL).await;
            }
            let held = {
                let mut inner = locks.lock();
                inner.watched.remove(&owner);
                inner.spaces.held_by(owner)
            };
            if !held.is_empty() {
                tracing::info!(pid = owner.0, resources = held.len(), "lock owner is gone, its locks are free");
            }
            for key in held {
                // Each by itself: one on a dead server must not hold up the others.
                let locks = locks.clone();
                tokio::spawn(async move {
                    let claim = locks.claims.take(&key).await;
                    locks.forget_owner(&claim, owner).await;
                });
            }
        });
    }

    /// Whether the process is still there, and holds locks, after this time.
    async fn outlives(&self, pid: &Pid, time: Duration) -> bool {
        let ended = tokio::time::timeout(time, pid.exited()).await.is_ok();
        !ended && self.lock().spaces.holds((pid.number(), pid.start_time()))
    }

    /// Tries again and again to get back a lock that was lost in a crash.
    pub(super) async fn retake(self, key: Key) {
        loop {
            tokio::time::sleep(RETAKE_INTERVAL).await;
            let _claim = self.claims.take(&key).await;
            let Some((path, want)) = self.lock().spaces.lost_file(&key) else { return };
            let Ok(file) = lock_file(&key, &path, want).await else { continue };
            let mut inner = self.lock();
            let Some(held) = inner.spaces.get_mut(&key) else { return };
            held.file = Some(file);
            tracing::warn!(space = key.space, resource = key.name, "a lock that was lost is held again");
            if let Err(e) = inner.record(&key, None).and_then(|()| inner.keep(&key)) {
                tracing::error!(resource = key.name, error = %e, "it would not survive another crash");
            }
            return;
        }
    }
}

fn signal(pid: &Pid, signal: Signal) {
    if let Err(e) = pid.signal(signal) {
        tracing::debug!(pid = pid.number(), error = %e, "cannot signal a lock owner");
    }
}
