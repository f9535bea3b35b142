//! The disk lock daemon: keeps two guests from writing to one disk.
//!
//! | module | holds |
//! |---|---|
//! | `api` | the lock protocol's procedures, sessions, errors |
//! | `locks` | the service: what is held, recorded, watched |
//! | `space` | lock spaces, resources, owner lists |
//! | `lock_file` | one locked file |
//! | `owner`, `state` | who holds; what the next process must know |
//! | `restore` | taking up what the process before us held |
//!
//! Never here: a lock that ends because we do.

mod api;
mod lock_file;
mod locks;
mod owner;
mod restore;
mod space;
mod state;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use daemon::fd_store::FdStore;
use daemon::keep::Keeper;
use daemon::{Context, Services, Spec};

use crate::api::{Api, LockProgram};
use crate::locks::Locks;

const NAME: &str = "virtlockd";

fn main() -> ExitCode {
    daemon::run(Spec::helper(NAME, "disk lock daemon"), load)
}

async fn load(context: Context) -> anyhow::Result<Services> {
    let store = FdStore::from_environment().context("cannot reach the service manager")?;
    let record = context.paths.run_dir.join("virtlockd-state.json");
    let (keeper, kept) = Keeper::open(NAME, &record, store, context.take_stored()).context("cannot keep locks")?;
    tracing::info!(crashes = keeper.survives_crashes(), inherited = kept.inherited, "locks outlive this process");
    let idle = context.clone();
    let locks = Locks::start(keeper, kept.record, kept.descriptors, move || Box::new(idle.inhibit()))
        .await
        .with_context(|| format!("cannot write '{}'", record.display()))?;
    let api = Api::new(locks.clone(), context.shutdown.clone());
    let last = locks.clone();
    Ok(Services::new()
        .program(Arc::new(LockProgram::new(api)))
        .on_reexec(move || Ok(locks.inheritance()?))
        .on_close(move || async move { last.leave() }))
}
