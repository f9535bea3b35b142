//! The running half of a domain: process, monitor, and what was made on the host for this run.

use std::path::PathBuf;
use std::sync::Arc;

use conf::domain::DomainDef;
use host::Pid;
use tokio::sync::oneshot;

use crate::qmp::{Event, EventReceiver, Monitor};

use super::handle::Victim;
use super::state::State;

/// Folders and files of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolders {
    /// `LIB/domain-ID-NAME`: monitor socket, master key.
    pub lib: PathBuf,
    /// `STATE/channel/ID-NAME`: sockets of channels.
    pub channel: PathBuf,
    /// The monitor's socket in `lib`.
    pub monitor: PathBuf,
}

/// A guest with a process.
pub struct Guest {
    /// Domain id of this run.
    pub id: i32,
    /// Live definition.
    pub def: Arc<DomainDef>,
    /// QEMU.
    pub pid: Pid,
    /// Shared with the handle: who wanted the end of this process.
    pub victim: Victim,
    /// None when QEMU's monitor is lost: the guest can be seen and destroyed, no more.
    pub monitor: Option<Monitor>,
    /// Events of that monitor.
    pub events: Option<EventReceiver>,
    /// Resolves when the process has ended.
    pub death: oneshot::Receiver<()>,
    /// Thread ids of the vCPUs, by number.
    pub vcpu_threads: Vec<i32>,
    /// Folders of this run.
    pub folders: RunFolders,
    /// Files whose owner was changed for this guest.
    pub owned: Vec<PathBuf>,
    /// The next power-off is a reboot.
    pub fake_reboot: bool,
    /// How the domain will be off, once something has told.
    pub ending: Option<State>,
    /// The running guest differs from what was started.
    pub changed: bool,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("id", &self.id).field("pid", &self.pid.number()).finish_non_exhaustive()
    }
}

/// Something that happens to a guest while its actor waits.
#[derive(Debug)]
pub enum Happening {
    /// QEMU says something.
    Monitor(Event),
    /// QEMU's monitor closed.
    MonitorLost,
    /// The process has ended.
    Dead,
}

impl Guest {
    /// Watches a process; the receiver resolves at its end.
    pub fn watch(pid: &Pid) -> oneshot::Receiver<()> {
        let (dead, death) = oneshot::channel();
        let pid = pid.clone();
        tokio::spawn(async move {
            if let Err(e) = pid.exited().await {
                tracing::error!(pid = pid.number(), error = %e, "cannot watch the process");
                // Waiting for ever is better than taking a living guest for dead.
                std::future::pending::<()>().await;
            }
            let _ = dead.send(());
        });
        death
    }

    /// The next thing that happens; events before death.
    pub async fn next(&mut self) -> Happening {
        let events = async {
            match &mut self.events {
                Some(events) => events.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = events => match event {
                Some(event) => Happening::Monitor(event),
                None => Happening::MonitorLost,
            },
            _ = &mut self.death => Happening::Dead,
        }
    }
}
