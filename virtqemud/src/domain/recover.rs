//! Start-up: definitions from disk, running guests found again, then autostart.
//!
//! ```text
//!  status document ─▶ same boot? ─▶ same process? ─▶ monitor ─▶ ask QEMU ─▶ reconcile ─▶ serve
//!        │                 │no           │no            │no
//!        │broken           └─────────────┴─▶ clean up   └─▶ listed without monitor, can be destroyed
//!        └─▶ logged, then looked for by pid file (`rescue`)
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conf::domain::DomainDef;
use error::{Code, Error};
use host::{Pid, run_blocking};
use nix::sys::signal::Signal;
use object::{autostart, file};
use uuid::Uuid;

use crate::driver::Driver;
use crate::process::folder::short_name;
use crate::process::live;
use crate::process::stop::{self, Remains};
use crate::qmp::Monitor;
use crate::qmp::commands::QueryStatus;

use super::actor::{Actor, FIRST_RETRY};
use super::guest::{Guest, RunFolders};
use super::handle::Domain;
use super::lifecycle::{StartOptions, end_process};
use super::rescue;
use super::state::State;
use super::status::Status;

/// Longest document that is read; libvirt's clients cannot send longer ones.
const DOCUMENT_MAX: u64 = 16 << 20;
/// A guest whose monitor does not answer delays the daemon's start no more than this; it is tried again later.
const RECONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// Loads definitions, then finds running guests again, all at once.
///
/// # Errors
/// Only when a folder cannot be read; a broken document costs its own domain.
pub async fn load(driver: &Arc<Driver>) -> anyhow::Result<()> {
    let folders = driver.folders.clone();
    let (definitions, statuses) = run_blocking(move || -> std::io::Result<_> {
        file::sweep(&folders.config)?;
        file::sweep(&folders.state)?;
        Ok((file::with_suffix(&folders.config, ".xml")?, file::with_suffix(&folders.state, ".xml")?))
    })
    .await?;
    for (name, path) in definitions {
        if let Err(e) = load_definition(driver, &name, path).await {
            tracing::error!(domain = %name, error = %e, "cannot load the definition");
        }
    }
    let recoveries = statuses.into_iter().map(|(name, path)| async move {
        if let Err(e) = recover(driver, &name, path).await {
            tracing::error!(domain = %name, error = %e, "cannot recover the guest from its status document");
        }
    });
    futures_util::future::join_all(recoveries).await;
    rescue::rescue_all(driver).await;
    sweep(driver).await;
    Ok(())
}

/// Removes folders of runs that nobody knows of: a start was cut short before its status document was written. Where a
/// pid file of that name is left, a guest may live that could not be taken back: its folders stay.
async fn sweep(driver: &Driver) {
    let kept: Vec<RunFolders> = driver
        .domains
        .list()
        .iter()
        .filter_map(|domain| {
            let view = domain.view();
            view.id.map(|id| RunFolders::of(&driver.folders, id, &view.name))
        })
        .collect();
    let (lib, state) = (driver.folders.lib.clone(), driver.folders.state.clone());
    run_blocking(move || {
        let channels = state.join("channel");
        let pid_files = file::with_suffix(&state, ".pid").unwrap_or_default();
        let unclear = |path: &PathBuf| {
            let folder = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let run = folder.strip_prefix("domain-").unwrap_or(&folder);
            pid_files.iter().any(|(name, _)| {
                run.split_once('-').is_some_and(|(id, _)| id.parse().is_ok_and(|id| short_name(id, name) == run))
            })
        };
        let known = |path: &PathBuf| kept.iter().any(|folders| folders.lib == *path || folders.channel == *path);
        let ours = |name: &str| {
            name.strip_prefix("domain-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        for (folder, prefixed) in [(lib, true), (channels, false)] {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let doomed = entries
                .filter(|entry| !prefixed || ours(&entry.file_name().to_string_lossy()))
                .map(|entry| entry.path());
            for path in doomed.filter(|path| path.is_dir() && !known(path) && !unclear(path)) {
                tracing::info!(path = %path.display(), "removing what a start left behind");
                if let Err(e) = std::fs::remove_dir_all(&path) {
                    tracing::warn!(path = %path.display(), error = %e, "cannot remove it");
                }
            }
        }
    })
    .await;
}

async fn read(path: PathBuf) -> error::Result<String> {
    let shown = path.display().to_string();
    let bytes = run_blocking(move || file::read_limited(&path, DOCUMENT_MAX)).await;
    let bytes = bytes.map_err(|e| Error::system(error::Domain::Qemu, &e, format!("cannot read '{shown}'")))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::new(error::Domain::Qemu, Code::InternalError, format!("'{shown}' is not UTF-8")))
}

async fn load_definition(driver: &Arc<Driver>, name: &str, path: PathBuf) -> error::Result<()> {
    let text = read(path.clone()).await?;
    let def = driver.load_stored(&text).await?;
    if def.name != name {
        let detail = format!("Domain config filename '{}' does not match domain name '{}'", path.display(), def.name);
        return Err(Error::new(error::Domain::Qemu, Code::InternalError, detail));
    }
    let marked = autostart::is_set(&driver.autostart_link(name), &path);
    let def = Arc::new(def);
    enter(driver, def, true, marked).map(drop)
}

fn enter(driver: &Arc<Driver>, def: Arc<DomainDef>, persistent: bool, marked: bool) -> error::Result<Domain> {
    let make = || Actor::spawn(driver.clone(), def.clone(), persistent, marked);
    let refused = |clash| Error::new(error::Domain::Qemu, Code::OperationFailed, format!("domain {clash}"));
    driver.domains.insert_with(Uuid::from_bytes(def.uuid), &def.name, make).map_err(refused)
}

async fn recover(driver: &Arc<Driver>, name: &str, path: PathBuf) -> error::Result<()> {
    let text = read(path).await?;
    let document = xml::parse(&text)?;
    let status = Status::parse(document.root())?;
    let missing = || Error::new(error::Domain::Qemu, Code::InternalError, "status document has no domain");
    let source = document.root().child("domain").ok_or_else(missing)?.source().to_owned();
    drop(document);
    let def = driver.load_live(&source).await?;
    let id = def.id.unwrap_or(0);
    driver.note_id(id);
    if def.name != name {
        return Err(Error::new(
            error::Domain::Qemu,
            Code::InternalError,
            format!("status document is about domain '{}'", def.name),
        ));
    }
    let def = Arc::new(def);
    let folders = RunFolders {
        lib: status.lib_dir.clone(),
        channel: status.channel_dir.clone(),
        monitor: status.monitor.clone(),
    };
    let remains = Remains { def: def.clone(), folders: folders.clone(), owned: status.owned.clone() };
    let process = status.process.clone();
    let same_boot = process.boot_id == driver.boot_id;
    let pid =
        if same_boot { Pid::open_verified(process.pid, process.start_time).ok().filter(Pid::is_running) } else { None };
    let Some(pid) = pid else {
        tracing::info!(domain = name, "guest is gone");
        stop::clean_remains(driver, remains).await;
        return Ok(());
    };
    if status.starting {
        tracing::warn!(domain = name, pid = pid.number(), "ending a guest whose start was cut short");
        end_process(&pid, Signal::SIGKILL, false).await?;
        stop::clean_remains(driver, remains).await;
        return Ok(());
    }
    let domain = match driver.domains.by_uuid(&Uuid::from_bytes(def.uuid)) {
        Some(domain) => domain,
        None => enter(driver, def.clone(), false, false)?,
    };
    driver.reserve_ports(&def);
    let found = Found { id, def, pid, folders, status };
    domain.ask(move |actor| Box::pin(actor.adopt(found))).await
}

/// A guest that lives.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: i32,
    pub(super) def: Arc<DomainDef>,
    pub(super) pid: Pid,
    pub(super) folders: RunFolders,
    pub(super) status: Status,
}

impl Actor {
    /// Takes a running guest back. Without an answer from its monitor it is listed all the same.
    pub(super) async fn adopt(&mut self, found: Found) -> error::Result<()> {
        let Found { id, def, pid, folders, status } = found;
        let victim = self.domain.set_victim(pid.clone());
        let mut guest = Guest {
            id,
            def,
            death: Guest::watch(&pid),
            pid,
            victim,
            monitor: None,
            events: None,
            vcpu_threads: status.vcpu_threads,
            folders,
            owned: status.owned,
            fake_reboot: status.fake_reboot,
            ending: (status.state == State::SHUTDOWN).then_some(State::OFF_SHUTDOWN),
            changed: status.changed_live,
        };
        self.state = status.state;
        let reconnected = reconnect(&mut guest).await;
        self.guest = Some(guest);
        self.driver.hold();
        match reconnected {
            Ok(status) => self.reconcile(&status).await?,
            Err(e) => {
                tracing::error!(domain = %self.name, error = %e, "monitor does not answer: until it does the guest can only be destroyed");
                self.retry_monitor(FIRST_RETRY);
            }
        }
        tracing::info!(domain = %self.name, id, "guest found again");
        self.publish();
        Ok(())
    }

    /// What QEMU says now against what the document said.
    pub(super) async fn reconcile(&mut self, status: &str) -> error::Result<()> {
        match status {
            "shutdown" => {
                // It powered off while nobody listened.
                let off = crate::qmp::Event {
                    name: "SHUTDOWN".into(),
                    data: serde_json::Value::Null,
                    timestamp: Default::default(),
                    lost: 0,
                };
                if let Some(guest) = &mut self.guest {
                    guest.ending = None;
                }
                self.on_monitor_event(off).await;
            }
            "running" if !self.state.same(State::RUNNING) => self.state = State::RUNNING,
            "paused" | "prelaunch" if !self.state.same(State::PAUSED) => self.state = State::PAUSED_UNKNOWN,
            "io-error" => self.state = State::PAUSED_IO_ERROR,
            "watchdog" => self.state = State::PAUSED_WATCHDOG,
            "guest-panicked" => self.state = State::PANICKED,
            "suspended" => self.state = State::ASLEEP,
            _ => {}
        }
        self.write_status(false).await
    }
}

/// Connects to the monitor and asks for the run state and what may have changed.
pub(super) async fn reconnect(guest: &mut Guest) -> error::Result<String> {
    let path = guest.folders.monitor.clone();
    let failed = super::lifecycle::refused;
    let (monitor, events) = Monitor::connect(&path, RECONNECT_DEADLINE).await.map_err(failed)?;
    let status = monitor.execute_within(&QueryStatus {}, RECONNECT_DEADLINE).await.map_err(failed)?;
    if let Ok(threads) = live::vcpu_threads(&monitor).await {
        guest.vcpu_threads = threads;
    }
    guest.monitor = Some(monitor);
    guest.events = Some(events);
    Ok(status.status)
}

/// Starts what is marked to start with the host: once a boot, one failure does not keep the others.
pub async fn autostart_all(driver: &Arc<Driver>) {
    let marker = driver.folders.state.join("autostarted");
    match run_blocking(move || autostart::first_start_of_boot(&marker)).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(e) => return tracing::error!(error = %e, "cannot note that autostart is done: starting nothing"),
    }
    for domain in driver.domains.list() {
        let view = domain.view();
        let once = take_once(driver, &view.name).await;
        if !(view.autostart || once) || view.is_active() {
            continue;
        }
        tracing::info!(domain = %view.name, "autostart");
        if let Err(e) = domain.ask(|actor| Box::pin(actor.start(StartOptions::default()))).await {
            tracing::error!(domain = %view.name, error = %e, "Failed to autostart VM");
        }
    }
}

/// Whether the domain is marked for this boot only; the mark is gone afterwards.
async fn take_once(driver: &Driver, name: &str) -> bool {
    let (link, definition) = (driver.autostart_once_link(name), driver.definition_file(name));
    let taken = run_blocking(move || {
        let marked = autostart::is_set(&link, &definition);
        file::remove_durable(&link).map(|_| marked)
    });
    taken.await.unwrap_or_else(|e| {
        tracing::error!(domain = name, error = %e, "cannot remove the mark of a start at this boot only");
        false
    })
}
