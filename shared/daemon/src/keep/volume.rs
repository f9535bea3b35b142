//! A file that a journal is appended to: on disk, or in memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Largest text that is read back.
const LENGTH_MAX: u64 = 64 * 1024 * 1024;
/// Mode of the file on disk.
const MODE: u32 = 0o600;

/// An open file and where its text ends.
#[derive(Debug)]
pub struct Volume {
    file: File,
    length: u64,
}

impl Volume {
    /// A file in memory; what is in it counts until it is replaced.
    pub fn memory(file: File) -> Volume {
        Volume { file, length: 0 }
    }

    /// Writes a whole text to a file on disk, in one step that is done or not done.
    pub fn create(path: &Path, text: &[u8]) -> io::Result<Volume> {
        object::file::write_atomic(path, text, MODE)?;
        let file = fs::OpenOptions::new().write(true).open(path)?;
        Ok(Volume { file, length: text.len() as u64 })
    }

    /// Replaces the text; a crash in between leaves a damaged one.
    pub fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        self.append(text)
    }

    /// Adds a line. After an error the text is as before.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all_at(line, self.length).inspect_err(|_| {
            // A part of a line would spoil the next one.
            if let Err(e) = self.file.set_len(self.length) {
                tracing::error!(error = %e, "cannot cut a half-written line of the record");
            }
        })?;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Whether the file on disk still has its name, and the length that we gave it.
    pub fn is_intact(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() > 0 && found.len() == self.length)
    }

    /// The descriptor.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The whole text, whoever wrote it.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let length = self.file.metadata()?.len().min(LENGTH_MAX);
        let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut text, 0)?;
        Ok(text)
    }
}

/// The text of the file on disk; `None` when there is none.
pub fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match object::file::read_limited(path, LENGTH_MAX) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
