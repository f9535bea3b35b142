//! What a daemon keeps over its own death: a record, and descriptors that the record explains.
//!
//! ```text
//!             record()                    keep() forget()
//!   daemon ──▶ STATE.json, memory copies   descriptors ──▶ the service manager's store
//!      ▲            (serial, JSON)              │             (or the next program image)
//!      └──────────── Keeper::open at start ◀────┘
//! ```
//!
//! The rule for users is: record first, then the descriptor, then the reply; on release record first, then the
//! effect, then [`Keeper::forget`]. A crash in between leaves a recorded thing without its descriptor (make it again:
//! nobody was told yet, or somebody was and it must exist) or a descriptor without a record (finish the release).
//!
//! The record stands in a file and in two memory files that are kept beside the other descriptors, so that a lost or
//! torn file costs nothing. It means something only during one boot: kernel locks and pipes end with it.

mod copy;
mod slot;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fd_store::FdStore;

pub use slot::Slot;

/// Names of the memory copies in the store.
const COPIES: [&str; 2] = ["state-a", "state-b"];
/// Largest record that is read back.
const RECORD_MAX: u64 = 64 * 1024 * 1024;
/// Layout of the envelope.
const FORMAT: u32 = 1;

/// A record with what is needed to trust it.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    format: u32,
    daemon: String,
    boot_id: String,
    serial: u64,
    #[serde(flatten)]
    record: T,
}

/// The part of an envelope that decides whether it counts.
#[derive(Deserialize)]
struct Head {
    format: u32,
    daemon: String,
    boot_id: String,
    serial: u64,
}

/// What an earlier process of the daemon left.
#[derive(Debug)]
pub struct Kept<T> {
    /// Its last record; `None` when there is none of this boot.
    pub record: Option<T>,
    /// Its descriptors by name.
    pub descriptors: HashMap<String, OwnedFd>,
    /// Whether there are signs of an earlier process at all: without a record, then, something is wrong.
    pub inherited: bool,
}

/// Writes records and hands over descriptors.
#[derive(Debug)]
pub struct Keeper {
    daemon: &'static str,
    boot_id: String,
    path: PathBuf,
    copies: [File; 2],
    serial: u64,
    store: FdStore,
}

impl Keeper {
    /// Reads what the last process left in the file at `path` and in the `descriptors` we were started with.
    pub fn open<T: DeserializeOwned>(
        daemon: &'static str,
        path: &Path,
        mut store: FdStore,
        descriptors: Vec<(String, OwnedFd)>,
    ) -> io::Result<(Keeper, Kept<T>)> {
        let boot_id = host::system::boot_id()?;
        let inherited = !descriptors.is_empty();
        let mut descriptors: HashMap<String, OwnedFd> = descriptors.into_iter().collect();
        let mut candidates = Vec::new();
        match object::file::read_limited(path, RECORD_MAX) {
            Ok(bytes) => candidates.push(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => tracing::error!(path = %path.display(), error = %e, "cannot read the record of the last process"),
        }
        let mut copies = Vec::new();
        for name in COPIES {
            let file = match descriptors.remove(name) {
                Some(fd) => {
                    store.adopt(name);
                    File::from(fd)
                }
                None => {
                    let fresh = host::descriptor::memory_file(name)?;
                    store.keep(name, fresh.as_fd())?;
                    fresh
                }
            };
            candidates.extend(copy::read(&file));
            copies.push(file);
        }
        let best = newest(daemon, &boot_id, &candidates);
        let serial = best.as_ref().map_or(0, |(serial, _)| *serial);
        let record = best.and_then(|(_, bytes)| match serde_json::from_slice::<Envelope<T>>(bytes) {
            Ok(envelope) => Some(envelope.record),
            Err(e) => {
                tracing::error!(error = %e, "the record of the last process cannot be understood");
                None
            }
        });
        for name in descriptors.keys() {
            store.adopt(name);
        }
        let copies = <[File; 2]>::try_from(copies).expect("one for each name");
        let keeper = Keeper { daemon, boot_id, path: path.to_owned(), copies, serial, store };
        Ok((keeper, Kept { record, descriptors, inherited }))
    }

    /// Writes the record, so that a process after us finds it whatever happens.
    pub fn record<T: Serialize>(&mut self, record: &T) -> io::Result<()> {
        let serial = self.serial + 1;
        let envelope =
            Envelope { format: FORMAT, daemon: self.daemon.into(), boot_id: self.boot_id.clone(), serial, record };
        let bytes = serde_json::to_vec(&envelope)?;
        object::file::write_atomic(&self.path, &bytes, 0o600)?;
        self.serial = serial;
        // Every other copy stays as it is, so that one is whole at any instant.
        if let Err(e) = copy::write(&self.copies[(serial % 2) as usize], &bytes) {
            tracing::warn!(error = %e, "cannot copy the record to memory");
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
        COPIES.iter().zip(&self.copies).map(|(name, file)| (name.to_string(), file.as_fd())).collect()
    }
}

/// The whole record of this daemon and boot that was written last.
fn newest<'a>(daemon: &str, boot_id: &str, candidates: &'a [Vec<u8>]) -> Option<(u64, &'a [u8])> {
    let heads = candidates.iter().filter_map(|bytes| match serde_json::from_slice::<Head>(bytes) {
        Ok(head) if head.format == FORMAT && head.daemon == daemon && head.boot_id == boot_id => {
            Some((head.serial, bytes.as_slice()))
        }
        Ok(head) => {
            tracing::info!(
                format = head.format,
                daemon = head.daemon,
                "a record of another format, daemon or boot is left aside"
            );
            None
        }
        Err(e) => {
            tracing::error!(error = %e, "a copy of the record is damaged");
            None
        }
    });
    heads.max_by_key(|(serial, _)| *serial)
}

#[cfg(test)]
mod tests;
