//! One storage pool.
//!
//! ```text
//!  api ──▶ Pool (handle) ──turn──▶ actor: State ──▶ files, backend
//!   ▲                                │
//!   └────────── View ◀──publishes────┘
//! ```
//!
//! - `Pool` is a cheap clone; everyone reads its published [`View`] and never waits.
//! - The actor (`actor`) is the only writer: it runs one turn at a time on a blocking thread and publishes before it answers.
//! - Long work (filling a volume, wiping, streams) runs beside it; a turn before reserves the volume, a turn after enters the result.
//! - Looks at files outside of turns pass the pool's `gate`, so that storage which stopped answering costs one thread.
//! - `state` is what a pool is, `store` its files, `lifecycle` what can be done with the pool as a whole, `refresh` the look at its volumes.

mod actor;
mod gate;
mod lifecycle;
mod refresh;
mod state;
pub(crate) mod store;

pub(crate) use actor::Pool;
pub(crate) use lifecycle::{StartKind, defined};
pub(crate) use state::{State, View};

use error::{Code, Domain, Error};

pub(crate) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::OperationInvalid, detail)
}

pub(crate) fn internal(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::InternalError, detail)
}
