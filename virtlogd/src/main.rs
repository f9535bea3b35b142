//! The log daemon: writes what guests print, rotates it, and loses none of it.
//!
//! | module | holds |
//! |---|---|
//! | `api` | the log protocol's procedures and errors |
//! | `logs` | the service: which logs are open, recorded, served |
//! | `log_file` | one log: from the pipe to the file, rotation, full disks |
//! | `chain`, `reader` | a log and its rotated files; reading across them |
//! | `cleanup` | removal of old logs |
//! | `state`, `restore` | what the next process must know, and taking it up |
//!
//! Never here: a byte of a guest that is only in our memory.

mod api;
mod chain;
mod cleanup;
mod log_file;
mod logs;
mod reader;
mod restore;
mod settings;
mod state;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use daemon::fd_store::FdStore;
use daemon::keep::Keeper;
use daemon::{Context, Services, Spec};

use crate::api::{Api, LogProgram};
use crate::logs::Logs;
use crate::settings::Settings;

const NAME: &str = "virtlogd";
/// How often old logs are looked for.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

fn main() -> ExitCode {
    daemon::run(Spec::helper(NAME, "log daemon"), load)
}

async fn load(context: Context) -> anyhow::Result<Services> {
    let settings = Settings::read(&context.config, &context.paths.log_dir)?;
    let store = FdStore::from_environment().context("cannot reach the service manager")?;
    let record = context.paths.run_dir.join("virtlogd-state.json");
    let (keeper, kept) = Keeper::open(NAME, &record, store, context.take_stored()).context("cannot keep logs")?;
    tracing::info!(crashes = keeper.survives_crashes(), inherited = kept.inherited, "pipes outlive this process");
    let idle = context.clone();
    let logs = Logs::start(
        settings.limits,
        keeper,
        kept.record,
        kept.descriptors,
        &settings.log_root,
        Box::new(move || Box::new(idle.inhibit())),
    );
    let logs = logs.with_context(|| format!("cannot write '{}'", record.display()))?;
    if let Some(age) = settings.max_age {
        tokio::spawn(clean_daily(settings.log_root, age, logs.clone()));
    }
    let program = Arc::new(LogProgram::new(Api::new(logs.clone())));
    let last = logs.clone();
    Ok(Services::new().program(program).on_reexec(move || Ok(logs.inheritance()?)).on_close(move || async move {
        last.drain().await;
        last.leave();
    }))
}

async fn clean_daily(root: std::path::PathBuf, age: Duration, logs: Logs) {
    loop {
        let (root, logs) = (root.clone(), logs.clone());
        let work = move || cleanup::clean(&root, age, SystemTime::now(), |log: &Path| logs.is_open(log));
        if let Err(e) = host::run_blocking(work).await {
            tracing::warn!(error = %e, "cannot clean up old logs");
        }
        tokio::time::sleep(CLEANUP_INTERVAL).await;
    }
}
