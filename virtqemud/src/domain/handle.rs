//! The cheap way to a domain: its view, its mailbox, and a way to kill that needs neither.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use error::{Code, Error};
use futures_util::FutureExt;
use host::Pid;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::actor::Actor;
use super::view::DomainView;

/// Requests that may wait for one domain.
const MAILBOX: usize = 64;
/// How long a request waits for its turn (libvirt's limit for its job lock).
const TURN_DEADLINE: Duration = Duration::from_secs(30);

/// Handle to one domain. Clones are cheap and equal.
#[derive(Debug, Clone)]
pub struct Domain(Arc<Shared>);

/// What handle and actor share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) uuid: Uuid,
    pub(super) view: ArcSwap<DomainView>,
    mailbox: mpsc::Sender<Request>,
    victim: Mutex<Option<Victim>>,
}

/// A process that may be killed, and the note that it was we who did.
#[derive(Debug, Clone)]
pub struct Victim {
    pid: Pid,
    requested: Arc<AtomicBool>,
}

type Turn<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One turn of the actor.
pub(super) struct Request {
    run: Box<dyn for<'a> FnOnce(&'a mut Actor) -> Turn<'a> + Send>,
    /// Whoever sets it first decides: the actor to run the request, its sender to withdraw it.
    taken: Arc<AtomicBool>,
    started: oneshot::Sender<()>,
}

impl Domain {
    /// A handle and the receiving end for the actor.
    pub(super) fn new(view: DomainView) -> (Domain, mpsc::Receiver<Request>) {
        let (mailbox, requests) = mpsc::channel(MAILBOX);
        let shared = Shared { uuid: view.uuid, view: ArcSwap::from_pointee(view), mailbox, victim: Mutex::new(None) };
        (Domain(Arc::new(shared)), requests)
    }

    /// Identity.
    pub fn uuid(&self) -> Uuid {
        self.0.uuid
    }

    /// What is known now; never waits.
    pub fn view(&self) -> Arc<DomainView> {
        self.0.view.load_full()
    }

    pub(super) fn publish(&self, view: DomainView) {
        self.0.view.store(Arc::new(view));
    }

    /// Runs `work` in the actor's turn and returns its result. Once its turn has come, the work runs to its end even
    /// when the caller goes away.
    ///
    /// # Errors
    /// The work's own; OPERATION_TIMEOUT when the turn does not come; NO_DOMAIN when the domain is gone meanwhile.
    pub async fn ask<T, F>(&self, work: F) -> error::Result<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Actor) -> Pin<Box<dyn Future<Output = error::Result<T>> + Send + 'a>>
            + Send
            + 'static,
    {
        let (answer_tx, answer) = oneshot::channel();
        let (started_tx, started) = oneshot::channel();
        let taken = Arc::new(AtomicBool::new(false));
        let run: Box<dyn for<'a> FnOnce(&'a mut Actor) -> Turn<'a> + Send> = Box::new(move |actor| {
            Box::pin(async move {
                let result = work(actor).await;
                let _ = answer_tx.send(result);
            })
        });
        let request = Request { run, taken: taken.clone(), started: started_tx };
        let turn = async {
            if self.0.mailbox.send(request).await.is_ok() {
                let _ = started.await;
            }
        };
        if timeout(TURN_DEADLINE, turn).await.is_err() && !taken.swap(true, Ordering::AcqRel) {
            return Err(Error::new(error::Domain::Qemu, Code::OperationTimeout, "cannot acquire state change lock"));
        }
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Declares who is to be killed when someone asks for it.
    pub(crate) fn set_victim(&self, pid: Pid) -> Victim {
        let victim = Victim { pid, requested: Arc::default() };
        *self.lock_victim() = Some(victim.clone());
        victim
    }

    /// There is nobody to kill any more.
    pub(crate) fn clear_victim(&self) {
        *self.lock_victim() = None;
    }

    /// The running process, reached without the mailbox.
    pub fn victim(&self) -> Option<Victim> {
        self.lock_victim().clone()
    }

    fn lock_victim(&self) -> std::sync::MutexGuard<'_, Option<Victim>> {
        self.0.victim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> Error {
        let name = self.view().name.clone();
        let text = format!("no domain with matching uuid '{}' ({name})", self.uuid());
        Error::new(error::Domain::Qemu, Code::NoDomain, text)
    }
}

impl Victim {
    /// The process.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// Notes that the end of this process is wanted by a user.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// Whether a user wanted it.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }
}

impl Request {
    /// Runs the request unless its sender has withdrawn it. A panic costs this request alone.
    pub(super) async fn run(self, actor: &mut Actor) {
        if self.taken.swap(true, Ordering::AcqRel) {
            return;
        }
        let _ = self.started.send(());
        if AssertUnwindSafe((self.run)(actor)).catch_unwind().await.is_err() {
            tracing::error!(domain = %actor.name(), "a request panicked");
        }
    }
}
