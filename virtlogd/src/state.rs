//! The record that virtlogd leaves for the next process: which logs are being written.

use daemon::keep::Slot;
use serde::{Deserialize, Serialize};

/// One open log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The file.
    pub path: String,
    /// Who asked: "qemu".
    pub driver: String,
    /// Name of the guest.
    pub domain: String,
    /// UUID of the guest.
    pub uuid: String,
    /// Name of the pipe's descriptor.
    pub slot: Slot,
    /// Inode number of the pipe, to find its writer when the descriptor is lost.
    pub pipe: u64,
    /// The file is on a file system that depends on a server.
    #[serde(default)]
    pub remote: bool,
    /// Bytes are being dropped because the file cannot be written, and the log does not say so yet.
    #[serde(default)]
    pub losing: bool,
}

impl daemon::keep::Entry for Entry {
    fn key(&self) -> String {
        self.slot.as_str().to_owned()
    }
}
