//! The actor of a pool, and the handle to it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arc_swap::ArcSwap;
use error::{Code, Domain, Error, Result};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::gate::Gate;
use super::{State, View, internal};

/// Turns that may wait for a pool; more than any client sends.
const MAILBOX: usize = 64;

type Answer = Box<dyn FnOnce() + Send>;
type Turn = Box<dyn FnOnce(&mut State) -> Answer + Send>;

/// Handle of a pool.
#[derive(Clone)]
pub(crate) struct Pool {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its identity.
    pub(crate) uuid: Uuid,
    view: Arc<ArcSwap<View>>,
    mailbox: mpsc::Sender<Turn>,
    /// The way to its files outside of turns.
    pub(crate) gate: Gate,
}

impl Pool {
    /// Starts the actor of a pool. Must run inside the runtime.
    pub(crate) fn spawn(state: State) -> Pool {
        let (mailbox, turns) = mpsc::channel(MAILBOX);
        let def = state.def();
        let (name, uuid) = (Arc::from(def.name.as_str()), Uuid::from_bytes(def.uuid));
        let view = Arc::new(ArcSwap::from_pointee(state.view()));
        tokio::spawn(act(state, turns, view.clone()));
        Pool { name, uuid, view, mailbox, gate: Gate::default() }
    }

    /// The pool as it was after the last turn.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Refuses work on storage that stopped answering.
    ///
    /// # Errors
    /// `OPERATION_TIMEOUT` while earlier work is stuck in it.
    pub(crate) fn require_answering(&self) -> Result<()> {
        if self.gate.is_stuck() { Err(self.silent()) } else { Ok(()) }
    }

    /// The error for storage that does not answer.
    pub(crate) fn silent(&self) -> Error {
        let detail = format!("the storage of pool '{}' does not answer", self.name);
        Error::new(Domain::Storage, Code::OperationTimeout, detail)
    }

    /// Runs `work` as the only writer, on a blocking thread; the view shows its result when this returns.
    ///
    /// # Errors
    /// Those of `work`; `INTERNAL_ERROR` when it panicked.
    pub(crate) async fn turn<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (answer, answered) = oneshot::channel();
        let turn: Turn = Box::new(move |state| {
            let result = work(state);
            // the caller may have gone; the work is done all the same
            Box::new(move || drop(answer.send(result)))
        });
        self.mailbox.send(turn).await.map_err(|_| internal("the storage pool is gone"))?;
        answered.await.map_err(|_| internal("the operation failed unexpectedly"))?
    }
}

async fn act(mut state: State, mut turns: mpsc::Receiver<Turn>, view: Arc<ArcSwap<View>>) {
    while let Some(turn) = turns.recv().await {
        let view = view.clone();
        state = host::run_blocking(move || {
            let mut state = state;
            let answer = catch_unwind(AssertUnwindSafe(|| turn(&mut state)));
            view.store(Arc::new(state.view()));
            match answer {
                Ok(answer) => answer(),
                Err(panic) => tracing::error!(pool = %state.def().name, "an operation panicked: {}", text(&*panic)),
            }
            state
        })
        .await;
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
