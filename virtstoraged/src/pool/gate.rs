//! One piece of file work at a time per pool, outside of the actor's turns.
//!
//! Storage can stop answering for ever (a dead NFS server): whoever touches it then sits in the kernel and cannot be called back.
//! Each pool may so lose one thread and no more; what can do without the storage falls back to what is known, the rest is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// When file work counts as stuck.
const STUCK: Duration = Duration::from_secs(20);

/// The way to a pool's files. Clones are the same gate.
#[derive(Clone)]
pub(crate) struct Gate {
    place: Arc<Semaphore>,
    since: Arc<Mutex<Option<Instant>>>,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { place: Arc::new(Semaphore::new(1)), since: Arc::default() }
    }
}

impl Gate {
    /// Runs `work` on a blocking thread once the work before is done, and waits for it. `None` when that takes longer than `limit`;
    /// then the work goes on by itself.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Option<R> {
        let gate = self.clone();
        let task = async move {
            let place = gate.place.clone().acquire_owned().await.ok()?;
            gate.set(Some(Instant::now()));
            // in a task of its own, as this one is given up at the limit
            let working = tokio::spawn(async move {
                let result = host::run_blocking(work).await;
                gate.set(None);
                drop(place);
                result
            });
            working.await.ok()
        };
        tokio::time::timeout(limit, task).await.ok().flatten()
    }

    /// Whether the work in progress has not come back for long.
    pub(crate) fn is_stuck(&self) -> bool {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since.elapsed() > STUCK)
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_does_not_come_back_holds_nobody_up() {
        let gate = Gate::default();
        assert_eq!(gate.run(Duration::from_secs(5), || 7).await, Some(7));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let short = Duration::from_millis(50);
        assert_eq!(gate.run(short, move || wait.recv().is_err()).await, None);
        assert_eq!(gate.run(short, || 8).await, None, "a second one would cost a second thread");
        assert!(!gate.is_stuck());
        drop(release);
        assert_eq!(gate.run(Duration::from_secs(5), || 9).await, Some(9));
    }
}
