//! What a daemon keeps over its own death: a record, and descriptors that the record explains.
//!
//! ```text
//!            put() drop()                     keep() forget()
//!   daemon ──▶ STATE.json, memory copies    descriptors ──▶ the service manager's store
//!      ▲             (a journal)                 │             (or the next program image)
//!      └──────────── Keeper::open at start ◀─────┘
//! ```
//!
//! The rule for users is: record first, then the descriptor, then the reply; on release record first, then the
//! effect, then [`Keeper::forget`]. A crash in between leaves a recorded thing without its descriptor (make it again:
//! nobody was told yet, or somebody was and it must exist) or a descriptor without a record (finish the release).
//!
//! The record stands in a file and in two memory files that are kept beside the other descriptors, so that a lost or
//! torn file costs nothing. A change costs one line in each, whatever the number of entries. The record means something
//! only during one boot, as kernel locks and pipes end with it; so it need not reach the disk, only the kernel.

mod journal;
mod slot;
mod volume;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::fd_store::FdStore;
use crate::keep::journal::Head;
use crate::keep::volume::Volume;

pub use journal::Entry;
pub use slot::Slot;

/// Names of the memory copies in the store.
const COPIES: [&str; 2] = ["state-a", "state-b"];
/// Changes after which the record is written anew; more if it has more entries.
const CHANGES_MIN: usize = 256;

/// What an earlier process of the daemon left.
#[derive(Debug)]
pub struct Kept<E> {
    /// Its record; `None` when there is none of this boot.
    pub record: Option<Vec<E>>,
    /// Its descriptors by name.
    pub descriptors: HashMap<String, OwnedFd>,
    /// Whether there are signs of an earlier process at all: without a record, then, something is wrong.
    pub inherited: bool,
}

/// Writes the record and hands over descriptors.
#[derive(Debug)]
pub struct Keeper {
    daemon: &'static str,
    boot_id: String,
    path: PathBuf,
    /// The lines that put what is there now.
    entries: BTreeMap<String, String>,
    serial: u64,
    /// Changes since the record was last written as a whole.
    changes: usize,
    /// The file, unless it has to be written as a whole.
    disk: Option<Volume>,
    memory: [Volume; 2],
    /// Which of the two is appended to; the other is whole but older.
    current: usize,
    store: FdStore,
}

impl Keeper {
    /// Reads what the last process left in the file at `path` and in the `descriptors` we were started with. Nothing
    /// of it is recorded again until [`Keeper::replace`].
    pub fn open<E: Entry>(
        daemon: &'static str,
        path: &Path,
        mut store: FdStore,
        descriptors: Vec<(String, OwnedFd)>,
    ) -> io::Result<(Keeper, Kept<E>)> {
        let boot_id = host::system::boot_id()?;
        let inherited = !descriptors.is_empty();
        let mut descriptors: HashMap<String, OwnedFd> = descriptors.into_iter().collect();
        let mut best: Option<(u64, Vec<E>)> = None;
        let mut weigh = |place: &str, text: &[u8]| match journal::read(text, daemon, &boot_id) {
            Ok(found) if best.as_ref().is_none_or(|(serial, _)| *serial < found.0) => best = Some(found),
            Ok(_) => {}
            Err(why) => tracing::warn!(place, "a copy of the record is left aside: {why}"),
        };
        match volume::read_file(path) {
            Ok(text) => text.iter().for_each(|text| weigh("file", text)),
            Err(e) => tracing::error!(path = %path.display(), error = %e, "cannot read the record of the last process"),
        }
        let mut memory = Vec::new();
        for name in COPIES {
            let copy = match descriptors.remove(name) {
                Some(fd) => {
                    store.adopt(name);
                    Volume::memory(File::from(fd))
                }
                None => {
                    let fresh = host::descriptor::memory_file(name)?;
                    store.keep(name, fresh.as_fd())?;
                    Volume::memory(fresh)
                }
            };
            let text = copy.read().unwrap_or_default();
            if !text.is_empty() {
                weigh(name, &text);
            }
            memory.push(copy);
        }
        for name in descriptors.keys() {
            store.adopt(name);
        }
        let memory = <[Volume; 2]>::try_from(memory).expect("one for each name");
        let (serial, record) = best.map_or((0, None), |(serial, record)| (serial, Some(record)));
        let keeper = Keeper {
            daemon,
            boot_id,
            path: path.to_owned(),
            entries: BTreeMap::new(),
            serial,
            changes: 0,
            disk: None,
            memory,
            current: 0,
            store,
        };
        Ok((keeper, Kept { record, descriptors, inherited }))
    }

    /// Records exactly these entries, and nothing that was there before.
    pub fn replace<E: Entry>(&mut self, entries: &[E]) -> io::Result<()> {
        let lines = entries.iter().map(|entry| Ok((entry.key(), journal::put(entry)?)));
        let lines = lines.collect::<io::Result<_>>()?;
        let before = std::mem::replace(&mut self.entries, lines);
        self.rewrite().inspect_err(|_| self.entries = before)
    }

    /// Records an entry, so that a process after us finds it whatever happens.
    pub fn put(&mut self, entry: &impl Entry) -> io::Result<()> {
        let (key, line) = (entry.key(), journal::put(entry)?);
        let before = self.entries.insert(key.clone(), line.clone());
        self.change(&line).inspect_err(|_| {
            match before {
                Some(before) => self.entries.insert(key, before),
                None => self.entries.remove(&key),
            };
        })
    }

    /// Takes an entry off the record.
    pub fn drop(&mut self, key: &str) -> io::Result<()> {
        let Some(before) = self.entries.remove(key) else { return Ok(()) };
        let line = journal::drop(key)?;
        self.change(&line).inspect_err(|_| {
            self.entries.insert(key.to_owned(), before);
        })
    }

    /// Adds one line; the entries have the change already.
    fn change(&mut self, line: &str) -> io::Result<()> {
        let many = self.changes >= CHANGES_MIN.max(self.entries.len());
        let Some(disk) = self.disk.as_mut().filter(|disk| !many && disk.is_intact()) else {
            return self.rewrite();
        };
        disk.append(line.as_bytes())?;
        self.serial += 1;
        self.changes += 1;
        if let Err(e) = self.memory[self.current].append(line.as_bytes()) {
            tracing::warn!(error = %e, "cannot copy the record to memory");
        }
        Ok(())
    }

    /// Writes the record as a whole: the file in one step, then the older copy.
    fn rewrite(&mut self) -> io::Result<()> {
        let head = Head {
            format: journal::FORMAT,
            daemon: self.daemon.to_owned(),
            boot_id: self.boot_id.clone(),
            serial: self.serial + 1,
            entries: self.entries.len(),
        };
        let mut text = journal::head(&head)?;
        self.entries.values().for_each(|line| text.push_str(line));
        self.disk = Some(Volume::create(&self.path, text.as_bytes())?);
        self.serial += 1;
        self.changes = 0;
        let other = 1 - self.current;
        match self.memory[other].replace(text.as_bytes()) {
            Ok(()) => self.current = other,
            Err(e) => tracing::warn!(error = %e, "cannot copy the record to memory"),
        }
        Ok(())
    }

    /// Gives a copy of the descriptor to the service manager, under a name of at most seven characters.
    ///
    /// # Errors
    /// When its store is full or it cannot be reached: what the descriptor stands for would not survive us.
    pub fn keep(&mut self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.store.keep(name, fd)
    }

    /// Takes a descriptor back. What it stood for must be over already: the manager's copy may live a moment longer.
    pub fn forget(&mut self, name: &str) {
        self.store.forget(name);
    }

    /// To be called at a regular end: when nothing is kept but the copies of the record, they are taken back too. systemd
    /// 254 blocks the sockets of a stopped service that has anything in its store; the file has the record as well.
    pub fn leave(&mut self) {
        if self.store.holds_only(&COPIES) {
            COPIES.iter().for_each(|name| self.store.forget(name));
        }
    }

    /// Whether a service manager keeps descriptors for us.
    pub fn survives_crashes(&self) -> bool {
        self.store.is_active()
    }

    /// The keeper's own descriptors, which the next program image needs beside the kept ones.
    pub fn copies(&self) -> Vec<(String, BorrowedFd<'_>)> {
        COPIES.iter().zip(&self.memory).map(|(name, copy)| (name.to_string(), copy.file().as_fd())).collect()
    }
}

#[cfg(test)]
mod tests;
