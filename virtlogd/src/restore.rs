//! Taking up, before anything is served, the pipes of the process before us.
//!
//! With the service manager's store, or over a re-exec, the read ends come back and no byte is missing. After a crash
//! without either, the pipe still exists as long as the guest holds its write end, with what was in it: it is opened
//! again through the guest's `/proc/PID/fd`. What the guest tried to write while nobody read is lost, and marked.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use daemon::keep::Slot;
use nix::libc;

use crate::logs::inode;
use crate::state::Entry;

/// A log to go on with.
#[derive(Debug)]
pub struct Taken {
    /// What it is.
    pub entry: Entry,
    /// The read end.
    pub pipe: OwnedFd,
    /// The pipe had no reader for a while.
    pub gap: bool,
}

/// The outcome.
#[derive(Debug)]
pub struct Restored {
    /// The logs.
    pub files: Vec<Taken>,
    /// Number of the next descriptor name.
    pub next_slot: u64,
    /// Names whose descriptors are of no use.
    pub dropped: Vec<Slot>,
}

/// Takes up a record and the descriptors that came with it. A pipe that no record explains is written to a file in
/// the folder `fallback`: its guest must not be stopped by a full pipe, nor killed by a broken one.
pub fn restore(record: Option<Vec<Entry>>, mut descriptors: HashMap<String, OwnedFd>, fallback: &Path) -> Restored {
    let known = record.is_some();
    let files = record.unwrap_or_default();
    let mut next_slot = files.iter().map(|entry| entry.slot.number() + 1).max().unwrap_or(0);
    let mut restored = Restored { files: Vec::new(), next_slot, dropped: Vec::new() };
    let mut homeless = Vec::new();
    for entry in files {
        match descriptors.remove(entry.slot.as_str()) {
            Some(pipe) => restored.files.push(Taken { entry, pipe, gap: false }),
            None => homeless.push(entry),
        }
    }
    restored.reopen(homeless);
    for (name, pipe) in descriptors {
        // Only our own names; the number must not be given to another pipe.
        let Some(slot) = Slot::parse('p', &name) else { continue };
        next_slot = next_slot.max(slot.number() + 1);
        if known {
            // The record was written, then we died: it was closed.
            restored.dropped.push(slot);
            continue;
        }
        let path = fallback.join(format!("unknown-{name}.log")).to_string_lossy().into_owned();
        tracing::error!(path, "a pipe without any record of its log is written here");
        let number = inode(&pipe).unwrap_or_default();
        let entry = Entry {
            path,
            driver: String::new(),
            domain: String::new(),
            uuid: String::new(),
            slot,
            pipe: number,
            remote: false,
            losing: false,
        };
        restored.files.push(Taken { entry, pipe, gap: false });
    }
    restored.next_slot = next_slot;
    restored
}

impl Restored {
    /// Finds the pipes of logs that came without their descriptor.
    fn reopen(&mut self, homeless: Vec<Entry>) {
        if homeless.is_empty() {
            return;
        }
        let writers = writers(&homeless.iter().map(|entry| entry.pipe).collect());
        for entry in homeless {
            let found = writers.get(&entry.pipe).map(|path| reopen(path, entry.pipe));
            match found {
                Some(Ok(pipe)) => {
                    tracing::warn!(
                        path = entry.path,
                        guest = entry.domain,
                        "the pipe of this log was without a reader"
                    );
                    self.files.push(Taken { entry, pipe, gap: true });
                }
                Some(Err(e)) => {
                    tracing::error!(path = entry.path, guest = entry.domain, error = %e, "the pipe of this log is lost");
                    self.dropped.push(entry.slot);
                }
                None => {
                    tracing::info!(
                        path = entry.path,
                        guest = entry.domain,
                        "the writer of this log ended while we were away"
                    );
                    self.dropped.push(entry.slot);
                }
            }
        }
    }
}

/// Opens a new read end of the pipe that a descriptor in `/proc` stands for.
fn reopen(path: &Path, pipe: u64) -> io::Result<OwnedFd> {
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    let file = OwnedFd::from(file);
    // The number may have been closed and used again since we looked.
    if inode(&file)? == pipe { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Where in `/proc` these pipes are held: pipe number → descriptor of a process.
fn writers(pipes: &HashSet<u64>) -> HashMap<u64, PathBuf> {
    let mut found = HashMap::new();
    let Ok(processes) = fs::read_dir("/proc") else { return found };
    for process in processes.flatten() {
        let is_process = process.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if !is_process || found.len() == pipes.len() {
            continue;
        }
        // Processes end while we look.
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let number = target.to_str().and_then(|text| text.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok());
            if let Some(number) = number.filter(|number| pipes.contains(number)) {
                found.insert(number, descriptor.path());
            }
        }
    }
    found
}
