//! When a daemon may leave: no clients, nothing at work, for as long as `--timeout` says.

use std::time::Duration;

use tokio::sync::watch;

/// The count of reasons to stay; cheap to clone.
#[derive(Clone, Debug)]
pub struct Idle {
    inhibitors: watch::Sender<usize>,
    timeout: watch::Sender<Option<Duration>>,
}

/// A reason to stay (a running guest, an active network, an open log file), until dropped.
#[derive(Debug)]
pub struct Inhibitor {
    count: watch::Sender<usize>,
}

impl Drop for Inhibitor {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count -= 1);
    }
}

impl Idle {
    /// `timeout`: `None` = never leave by itself.
    pub fn new(timeout: Option<Duration>) -> Idle {
        Idle { inhibitors: watch::Sender::new(0), timeout: watch::Sender::new(timeout) }
    }

    /// A reason to stay.
    pub fn inhibit(&self) -> Inhibitor {
        self.inhibitors.send_modify(|count| *count += 1);
        Inhibitor { count: self.inhibitors.clone() }
    }

    /// Changes the timeout (admin interface).
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.timeout.send_replace(timeout);
    }

    /// Returns when there has been no inhibitor and no client on any server for the length of the timeout.
    pub(crate) async fn expired(&self, mut clients: Vec<watch::Receiver<usize>>) {
        let mut inhibitors = self.inhibitors.subscribe();
        let mut timeout = self.timeout.subscribe();
        loop {
            let limit = *timeout.borrow_and_update();
            let busy = *inhibitors.borrow_and_update() > 0
                || clients.iter_mut().map(|count| *count.borrow_and_update()).sum::<usize>() > 0;
            let wait = async {
                match limit {
                    Some(limit) if !busy => tokio::time::sleep(limit).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => return,
                _ = inhibitors.changed() => {}
                _ = timeout.changed() => {}
                () = any_change(&mut clients) => {}
            }
        }
    }
}

/// Returns at the next change of one of the counts.
pub(crate) async fn any_change(counts: &mut [watch::Receiver<usize>]) {
    let mut waits: Vec<_> = counts.iter_mut().map(|count| Box::pin(count.changed())).collect();
    std::future::poll_fn(|context| {
        let ready = waits.iter_mut().any(|wait| matches!(wait.as_mut().poll(context), std::task::Poll::Ready(Ok(()))));
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LIMIT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn clients_and_work_put_the_end_off() {
        let idle = Idle::new(Some(LIMIT));
        let clients = watch::Sender::new(1);
        let inhibitor = idle.inhibit();
        let ended = {
            let (idle, count) = (idle.clone(), clients.subscribe());
            tokio::spawn(async move {
                idle.expired(vec![count]).await;
                Instant::now()
            })
        };
        tokio::time::sleep(LIMIT * 2).await;
        assert!(!ended.is_finished());
        clients.send_replace(0);
        tokio::time::sleep(LIMIT * 2).await;
        assert!(!ended.is_finished());
        let freed = Instant::now();
        drop(inhibitor);
        assert!(ended.await.unwrap() - freed >= LIMIT);
    }

    #[tokio::test]
    async fn without_a_timeout_there_is_no_end_until_one_is_set() {
        let idle = Idle::new(None);
        let waiting = idle.clone();
        let ended = tokio::spawn(async move { waiting.expired(vec![]).await });
        tokio::time::sleep(LIMIT).await;
        assert!(!ended.is_finished());
        idle.set_timeout(Some(LIMIT));
        ended.await.unwrap();
    }
}
