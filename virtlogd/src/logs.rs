//! The log service: which logs are open, the record of them, and one task for each that moves its bytes.
//!
//! ```text
//!   open:  file ─▶ pipe ─▶ record ─▶ read end to the store ─▶ write end to the caller
//!   bytes: pipe ─splice▶ file, a bounded amount per turn, the tasks taking turns
//!   close: end of pipe ─▶ record ─▶ read end back
//! ```
//!
//! The table sits behind a plain mutex, each log behind its own; neither is held while anything waits. Logs on file
//! systems that depend on a server are opened and written on threads that may block: a dead server holds up the guests
//! whose logs it has, and nobody else.

mod serve;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::keep::{Keeper, Slot};
use host::descriptor::{pipe, set_nonblocking};
use host::run_blocking;

use crate::chain;
use crate::log_file::{Limits, LogFile, Position};
use crate::state::Entry;

/// How long the end of the daemon waits for files.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The path is not absolute, or has `..` in it.
    #[error("bad path {0}")]
    BadPath(String),
    /// Somebody writes this log already.
    #[error("log {0} is open")]
    Open(String),
    /// Nobody writes this log.
    #[error("log {0} is not open")]
    NotOpen(String),
    /// It could not be made to outlive us, so it was not done.
    #[error("cannot record the change")]
    Record(#[source] io::Error),
    /// A file operation failed.
    #[error("{what}")]
    System {
        what: String,
        #[source]
        source: io::Error,
    },
}

/// For whom a log is written.
#[derive(Clone, Debug)]
pub struct Writer {
    /// "qemu".
    pub driver: String,
    /// Name of the guest.
    pub domain: String,
    /// UUID of the guest.
    pub uuid: String,
}

/// Makes the guard that keeps the daemon from leaving for idleness.
pub type BeginInhibit = Box<dyn Fn() -> Box<dyn std::any::Any + Send + Sync> + Send>;

/// The service; clones share it.
#[derive(Clone)]
pub struct Logs {
    limits: Limits,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    open: BTreeMap<PathBuf, Arc<Open>>,
    /// Being opened.
    opening: HashSet<PathBuf>,
    keeper: Keeper,
    next_slot: u64,
    begin_inhibit: BeginInhibit,
}

/// One log that is being written.
struct Open {
    entry: Entry,
    pipe: OwnedFd,
    log: Mutex<LogFile>,
    _inhibit: Box<dyn std::any::Any + Send + Sync>,
}

impl Logs {
    /// Takes up the logs that the process before us wrote. Needs a tokio runtime.
    pub fn start(
        limits: Limits,
        keeper: Keeper,
        record: Option<Vec<Entry>>,
        descriptors: HashMap<String, OwnedFd>,
        fallback: &Path,
        begin_inhibit: BeginInhibit,
    ) -> io::Result<Logs> {
        let restored = crate::restore::restore(record, descriptors, fallback);
        let inner = Inner {
            open: BTreeMap::new(),
            keeper,
            next_slot: restored.next_slot,
            begin_inhibit,
            opening: HashSet::new(),
        };
        let logs = Logs { limits, inner: Arc::new(Mutex::new(inner)) };
        let mut inner = logs.lock();
        for taken in restored.files {
            // Opened with the first byte: its file system may not answer now.
            let log = LogFile::unopened(Path::new(&taken.entry.path), limits);
            let log = if taken.entry.losing { log.after_loss() } else { log };
            let open = inner.insert(taken.entry, taken.pipe, log);
            // It came without the store's help, so the store has no copy.
            if taken.gap
                && let Err(e) = inner.keeper.keep(open.entry.slot.as_str(), open.pipe.as_fd())
            {
                tracing::error!(path = open.entry.path, error = %e, "this log would not survive another crash");
            }
            logs.spawn(open, taken.gap);
        }
        let entries: Vec<Entry> = inner.open.values().map(|open| open.entry.clone()).collect();
        inner.keeper.replace(&entries)?;
        for slot in restored.dropped {
            inner.keeper.forget(slot.as_str());
        }
        drop(inner);
        Ok(logs)
    }

    /// Opens the log for a guest. Returns where its first byte will be, and the pipe to write to.
    pub async fn open(&self, path: &str, writer: Writer, truncate: bool) -> Result<(Position, OwnedFd), LogsError> {
        let place = check_path(path)?;
        let _opening = self.reserve(&place).ok_or_else(|| LogsError::Open(path.to_owned()))?;
        let (file, limits) = (place.clone(), self.limits);
        let (log, position, remote) = run_blocking(move || open_file(&file, limits, truncate)).await?;
        let (read, write) = new_pipe().map_err(|source| system("Cannot open fifo pipe".into(), source))?;
        let pipe = inode(&read).map_err(|source| system("Cannot open fifo pipe".into(), source))?;
        let mut inner = self.lock();
        let slot = Slot::new('p', inner.next_slot);
        inner.next_slot += 1;
        let Writer { driver, domain, uuid } = writer;
        let path = place.to_string_lossy().into_owned();
        let open = inner.insert(Entry { path, driver, domain, uuid, slot, pipe, remote, losing: false }, read, log);
        let settled = inner.keeper.put(&open.entry);
        let settled = settled.and_then(|()| inner.keeper.keep(open.entry.slot.as_str(), open.pipe.as_fd()));
        if let Err(e) = settled {
            inner.close(&open);
            return Err(LogsError::Record(e));
        }
        drop(inner);
        tracing::info!(path = open.entry.path, guest = open.entry.domain, "log opened");
        self.spawn(open, false);
        Ok((position, write))
    }

    /// Where the next byte of an open log goes, once what its pipe holds is written.
    pub async fn position(&self, path: &str) -> Result<Position, LogsError> {
        let open = self.find(path).ok_or_else(|| LogsError::NotOpen(path.to_owned()))?;
        let work = |open: &Open, log: &mut LogFile| log.pump_present(open.pipe.as_fd()).and_then(|_| log.position());
        let position = open.with_log(work).await;
        position.map_err(|source| system(format!("Unable to write to file {path}"), source))
    }

    /// Reads across the chain of a log; see [`crate::reader::read`].
    pub async fn read(&self, path: &str, position: Position, maximum: usize) -> Result<Vec<u8>, LogsError> {
        let place = check_path(path)?;
        // A reader who has just seen a guest die wants its last words.
        if let Some(open) = self.find(path)
            && let Err(e) = open.with_log(|open, log| log.pump_present(open.pipe.as_fd())).await
        {
            tracing::warn!(path, error = %e, "cannot drain the pipe before reading");
        }
        let read = run_blocking(move || crate::reader::read(&place, position, maximum)).await;
        read.map_err(|source| {
            let what = format!("Unable to seek to inode {} offset {}", position.inode, position.offset);
            system(what, source)
        })
    }

    /// Appends a message to a log, open or not.
    pub async fn append(&self, path: &str, message: Vec<u8>) -> Result<(), LogsError> {
        let place = check_path(path)?;
        let failed = |source| system(format!("Unable to write to file {path}"), source);
        if let Some(open) = self.find(path) {
            // What the guest said before comes before.
            let work = move |open: &Open, log: &mut LogFile| {
                log.pump_present(open.pipe.as_fd()).and_then(|_| log.append(&message))
            };
            return open.with_log(work).await.map_err(failed);
        }
        let limits = self.limits;
        let opened = run_blocking(move || LogFile::open(&place, limits).map(|log| (log, message))).await;
        let (mut log, message) = opened.map_err(|source| system(format!("Unable to open file: {path}"), source))?;
        run_blocking(move || log.append(&message)).await.map_err(failed)
    }

    /// Whether the log is being written.
    pub fn is_open(&self, path: &Path) -> bool {
        self.lock().open.contains_key(path)
    }

    /// Writes what the pipes hold now: the last thing before an end that may be for good.
    pub async fn drain(&self) {
        let all: Vec<Arc<Open>> = self.lock().open.values().cloned().collect();
        let drained = async {
            for open in all {
                let work = |open: &Open, log: &mut LogFile| {
                    let drained = log.pump_present(open.pipe.as_fd());
                    log.mark_loss();
                    drained
                };
                if let Err(e) = open.with_log(work).await {
                    tracing::warn!(path = open.entry.path, error = %e, "cannot drain the pipe before the end");
                }
            }
        };
        if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
            tracing::warn!("a file system does not answer; bytes for it stay in their pipes");
        }
    }

    /// Leaves nothing with the service manager if nothing is held; to be called at a regular end.
    pub fn leave(&self) {
        self.lock().keeper.leave();
    }

    /// The descriptors that the next image of this program needs, by name.
    pub fn inheritance(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let inner = self.lock();
        let pipes = inner.open.values().map(|open| (open.entry.slot.as_str(), open.pipe.as_fd()));
        let copies = inner.keeper.copies();
        let all = copies.iter().map(|(name, fd)| (name.as_str(), *fd)).chain(pipes);
        all.map(|(name, fd)| Ok((name.to_owned(), fd.try_clone_to_owned()?))).collect()
    }

    fn find(&self, path: &str) -> Option<Arc<Open>> {
        self.lock().open.get(&check_path(path).ok()?).cloned()
    }

    /// Keeps others from opening the same log; `None` when it is open.
    fn reserve(&self, place: &Path) -> Option<Opening> {
        let mut inner = self.lock();
        let free = !inner.open.contains_key(place) && inner.opening.insert(place.to_owned());
        free.then(|| Opening { logs: self.clone(), place: place.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, entry: Entry, pipe: OwnedFd, log: LogFile) -> Arc<Open> {
        let path = PathBuf::from(&entry.path);
        let open = Arc::new(Open { entry, pipe, log: Mutex::new(log), _inhibit: (self.begin_inhibit)() });
        self.open.insert(path, open.clone());
        open
    }

    fn close(&mut self, open: &Open) {
        self.open.remove(Path::new(&open.entry.path));
        if let Err(e) = self.keeper.drop(open.entry.slot.as_str()) {
            tracing::error!(path = open.entry.path, error = %e, "the record still shows a closed log");
        }
        self.keeper.forget(open.entry.slot.as_str());
    }
}

/// The right to open a log, until dropped.
struct Opening {
    logs: Logs,
    place: PathBuf,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.logs.lock().opening.remove(&self.place);
    }
}

impl Open {
    /// Works on the log: here, or where it may block if its file system depends on a server.
    async fn with_log<T: Send + 'static>(
        self: &Arc<Open>,
        work: impl FnOnce(&Open, &mut LogFile) -> T + Send + 'static,
    ) -> T {
        if !self.entry.remote {
            return work(self, &mut self.log());
        }
        let open = self.clone();
        run_blocking(move || work(&open, &mut open.log())).await
    }

    fn log(&self) -> MutexGuard<'_, LogFile> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a log's file, after removing its chain if that is wanted. May block as long as the file system likes.
fn open_file(place: &Path, limits: Limits, truncate: bool) -> Result<(LogFile, Position, bool), LogsError> {
    let path = place.display();
    if truncate {
        chain::delete(place).map_err(|source| system(format!("Unable to delete file {path}"), source))?;
    }
    let failed = |source| system(format!("Unable to open file: {path}"), source);
    let mut log = LogFile::open(place, limits).map_err(failed)?;
    let position = log.position().map_err(failed)?;
    let remote = log.is_remote().map_err(failed)?;
    Ok((log, position, remote))
}

/// A pipe whose read end does not block.
fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe()?;
    set_nonblocking(&read, true)?;
    Ok((read, write))
}

/// A log is named by an absolute path that does not climb; doubled slashes and dots are taken out.
fn check_path(path: &str) -> Result<PathBuf, LogsError> {
    let parts = Path::new(path).components();
    let climbs = parts.clone().any(|part| part == Component::ParentDir);
    let plain: PathBuf = parts.collect();
    let names_a_file = plain.file_name().is_some() && !path.ends_with('/');
    if plain.is_absolute() && !climbs && names_a_file { Ok(plain) } else { Err(LogsError::BadPath(path.to_owned())) }
}

fn system(what: String, source: io::Error) -> LogsError {
    LogsError::System { what, source }
}

/// Number of the pipe behind a descriptor.
pub fn inode(pipe: &OwnedFd) -> io::Result<u64> {
    Ok(std::fs::File::from(pipe.try_clone()?).metadata()?.ino())
}

#[cfg(test)]
mod tests;
