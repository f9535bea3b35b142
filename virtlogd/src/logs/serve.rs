//! The task of one log: bytes from its pipe to its file until the pipe ends.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;

use crate::log_file::{Flow, LogFile};
use crate::logs::{Logs, Open};
use crate::state::Entry;

/// Most bytes that one log moves before the others have their turn.
const TURN: usize = 256 * 1024;
/// How often we look whether a log that lost bytes can be written again, while its guest is silent.
const LOSS_INTERVAL: Duration = Duration::from_secs(2);

impl Logs {
    /// Moves the bytes of one log until its pipe ends; `gap`: some may be missing before.
    pub(super) fn spawn(&self, open: Arc<Open>, gap: bool) {
        let logs = self.clone();
        tokio::spawn(async move {
            if gap {
                open.with_log(|_, log| log.mark_gap()).await;
            }
            if let Err(e) = logs.serve(&open).await {
                tracing::error!(path = open.entry.path, error = %e, "cannot read the pipe of a log any more");
            }
            if open.with_log(|_, log| log.mark_loss()).await {
                tracing::error!(path = open.entry.path, "the log ends with lost bytes and without a mark of them");
            }
            logs.lock().close(&open);
            tracing::info!(path = open.entry.path, guest = open.entry.domain, "log closed");
        });
    }

    /// Moves bytes until the pipe ends.
    async fn serve(&self, open: &Arc<Open>) -> io::Result<()> {
        let pipe = host::descriptor::watch(open.pipe.try_clone()?, Interest::READABLE)?;
        let mut losing = open.entry.losing;
        loop {
            let mut ready = if losing {
                match tokio::time::timeout(LOSS_INTERVAL, pipe.readable()).await {
                    Ok(ready) => ready?,
                    Err(_) => {
                        let still = open.with_log(|_, log| log.mark_loss()).await;
                        self.record_losing(open, &mut losing, still);
                        continue;
                    }
                }
            } else {
                pipe.readable().await?
            };
            let work = |open: &Open, log: &mut LogFile| (log.pump(open.pipe.as_fd(), TURN), log.is_losing());
            let (flow, still) = open.with_log(work).await;
            self.record_losing(open, &mut losing, still);
            match flow? {
                Flow::Closed => return Ok(()),
                Flow::Empty => ready.clear_ready(),
                Flow::More => {}
                Flow::Failing => {
                    self.record_losing(open, &mut losing, true);
                    open.with_log(|_, log| log.start_draining()).await;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Puts on record that a log begins or ceases to lose bytes.
    fn record_losing(&self, open: &Open, known: &mut bool, losing: bool) {
        if *known == losing {
            return;
        }
        *known = losing;
        let entry = Entry { losing, ..open.entry.clone() };
        if let Err(e) = self.lock().keeper.put(&entry) {
            tracing::error!(path = entry.path, losing, error = %e, "cannot record the state of a log");
        }
    }
}
