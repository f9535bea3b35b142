//! One log on disk: appends, rotates, and survives a full disk.
//!
//! Bytes from a guest go from its pipe into the file by `splice`, so that none of them is ever only in our memory: what
//! a killed daemon has not written is still in the pipe. `splice` refuses files opened for appending, so every write
//! goes to an explicit offset, the size of the file at that moment; that also copes with another program that
//! truncates it. Near the size limit `tee` shows the bytes without taking them, to find the newline to rotate at.
//!
//! A file that cannot be written (full disk) must not stop the guest, whose writes would block: its bytes are drained
//! and counted, and the count is written into the log as soon as that works again. That it begins is said first
//! ([`Flow::Failing`]), so that it can be put on record: not even a kill in that time leaves a gap without a mark.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use host::clock::{now, utc};
use host::descriptor::{pipe, pipe_available, splice, splice_to_file, tee};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::chain;

/// Bytes before the size limit in which a newline is looked for, as in libvirt.
const WINDOW: usize = 80;
/// Bytes before the limit from where on we look with `tee` first; fits in the scratch pipe.
const APPROACH: u64 = 4096;
/// Magic numbers (statfs(2)) of the file systems whose files are on another machine or in another process: AFS, Ceph,
/// CIFS, SMB2, Coda, FUSE, GFS2, Lustre, NFS, OCFS2, 9P.
const REMOTE: [u32; 11] = [
    0x5346_414F,
    0x00C3_6400,
    0xFF53_4D42,
    0xFE53_4D42,
    0x7375_7245,
    0x6573_5546,
    0x0116_1970,
    0x0BD0_0BD0,
    0x6969,
    0x7461_636F,
    0x0102_1997,
];
/// Most bytes that one `splice` is asked for.
const CHUNK: usize = 256 * 1024;

/// When to rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size in bytes of one file; 0 = never rotate.
    pub max_size: u64,
    /// Backups that are kept.
    pub max_backups: u32,
}

/// A place in a chain of log files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Inode of the file.
    pub inode: u64,
    /// Byte in it.
    pub offset: u64,
}

/// What a turn of [`LogFile::pump`] ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The pipe is empty for now.
    Empty,
    /// The budget is used up, there may be more.
    More,
    /// Every writer is gone and all bytes are taken.
    Closed,
    /// The file cannot be written; no byte is taken until [`LogFile::start_draining`].
    Failing,
}

/// The writer of one log.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    limits: Limits,
    /// `None` after a rotation that could not make the next file.
    file: Option<File>,
    lost: u64,
    /// More bytes than `lost` are missing: those that the process before us drained.
    lost_before: bool,
    /// Bytes that cannot be written are dropped and counted.
    draining: bool,
    cause: Option<io::Error>,
    /// Where `tee` puts its copies.
    scratch: Option<(File, OwnedFd)>,
}

impl LogFile {
    /// Opens the log for appending, or makes it (0600).
    ///
    /// # Errors
    /// `ELOOP` when the last component is a link, `EINVAL` when it is no regular file.
    pub fn open(path: &Path, limits: Limits) -> io::Result<LogFile> {
        let file = open(path)?;
        Ok(LogFile { file: Some(file), ..LogFile::unopened(path, limits) })
    }

    /// A log that is opened when the first byte comes. Its pipe is drained in any case: as long as it cannot be opened
    /// the bytes count as lost.
    pub fn unopened(path: &Path, limits: Limits) -> LogFile {
        LogFile {
            path: path.to_owned(),
            limits,
            file: None,
            lost: 0,
            lost_before: false,
            draining: false,
            cause: None,
            scratch: None,
        }
    }

    /// The process before us was draining when it ended; the mark is still due.
    pub fn after_loss(mut self) -> LogFile {
        self.lost_before = true;
        self.draining = true;
        self
    }

    /// Whether the file's system depends on a server, which may not answer.
    pub fn is_remote(&mut self) -> io::Result<bool> {
        let found = nix::sys::statfs::fstatfs(self.file()?)?;
        Ok(REMOTE.contains(&(found.filesystem_type().0 as u32)))
    }

    /// Where the next byte goes.
    pub fn position(&mut self) -> io::Result<Position> {
        let found = self.file()?.metadata()?;
        Ok(Position { inode: found.ino(), offset: found.size() })
    }

    /// Whether bytes that cannot be written are dropped.
    pub fn is_losing(&self) -> bool {
        self.draining
    }

    /// From now on bytes that cannot be written are dropped and counted, until they can.
    pub fn start_draining(&mut self) {
        self.draining = true;
    }

    /// Moves bytes from the pipe to the log until the pipe is empty or `budget` bytes are taken.
    ///
    /// # Errors
    /// Only when the pipe itself fails; trouble with the file ends up in the count of lost bytes.
    pub fn pump(&mut self, pipe: BorrowedFd<'_>, budget: usize) -> io::Result<Flow> {
        let mut taken = 0;
        while taken < budget {
            if self.has_lost() {
                self.mark_loss();
            }
            let step = match self.transfer(pipe) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Err(e),
                Err(e) if self.draining => self.drain(pipe, e),
                Err(e) => {
                    self.cause = Some(e);
                    return Ok(Flow::Failing);
                }
                moved => moved,
            };
            match step {
                Ok(0) => return Ok(Flow::Closed),
                Ok(count) => taken += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Flow::Empty),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Flow::More)
    }

    /// Takes what is in the pipe now, however fast more comes in.
    pub fn pump_present(&mut self, pipe: BorrowedFd<'_>) -> io::Result<Flow> {
        match pipe_available(pipe)? {
            0 => Ok(Flow::Empty),
            present => self.pump(pipe, present),
        }
    }

    /// Writes the count of lost bytes into the log, if there is one and the file takes it; else `true`.
    pub fn mark_loss(&mut self) -> bool {
        if !self.draining {
            return false;
        }
        if self.has_lost()
            && let Err(e) = self.append_whole(self.loss().as_bytes())
        {
            self.cause = Some(e);
            return true;
        }
        if self.has_lost() {
            tracing::warn!(path = %self.path.display(), bytes = self.lost, "log is written again after a loss");
        }
        (self.lost, self.lost_before, self.draining, self.cause) = (0, false, false, None);
        false
    }

    fn has_lost(&self) -> bool {
        self.lost > 0 || self.lost_before
    }

    /// The mark that stands for lost bytes.
    fn loss(&self) -> String {
        let count = match (self.lost_before, self.lost) {
            (false, count) => count.to_string(),
            (true, 0) => "unknown number of".to_owned(),
            (true, count) => format!("at least {count}"),
        };
        let cause = self.cause.as_ref().map_or_else(|| "restarted meanwhile".to_owned(), error::reason);
        format!("\n{}: virtlogd: {count} bytes lost: {cause}\n", utc(now()))
    }

    /// Says in the log that bytes may be missing here: while nobody read the pipe, the guest's writes failed.
    pub fn mark_gap(&mut self) {
        let text = format!("\n{}: virtlogd: restarted after a crash, up to 64 KiB may be missing here\n", utc(now()));
        if let Err(e) = self.append_whole(text.as_bytes()) {
            tracing::error!(path = %self.path.display(), error = %e, "cannot mark a gap in the log");
        }
    }

    /// Appends a message, rotating as for bytes of a guest.
    pub fn append(&mut self, mut message: &[u8]) -> io::Result<()> {
        while !message.is_empty() {
            let size = self.file()?.metadata()?.size();
            let room = self.room(size);
            if message.len() as u64 <= room {
                return self.file()?.write_all_at(message, size);
            }
            let fits = &message[..room as usize];
            let (head, window) = fits.split_at(fits.len().saturating_sub(WINDOW));
            let count = head.len() + chain::cut(window);
            self.file()?.write_all_at(&message[..count], size)?;
            message = &message[count..];
            self.rotate()?;
        }
        Ok(())
    }

    /// One step: how many bytes went into the file, 0 at the end of the pipe, `WouldBlock` when it is empty.
    fn transfer(&mut self, pipe: BorrowedFd<'_>) -> io::Result<usize> {
        let size = self.file()?.metadata()?.size();
        let room = self.room(size);
        let waiting = if room == u64::MAX { 0 } else { pipe_available(pipe)? as u64 };
        if waiting <= room {
            if room == 0 {
                return idle(pipe);
            }
            return splice_to_file(pipe, self.file()?, size, CHUNK.min(usize::try_from(room).unwrap_or(CHUNK)));
        }
        if room > APPROACH {
            return splice_to_file(pipe, self.file()?, size, CHUNK.min((room - APPROACH) as usize));
        }
        let mut count = 0;
        if room > 0 {
            let shown = self.peek(pipe, room as usize)?;
            if shown.len() < room as usize {
                // The scratch pipe has fewer slots than the guest's; go on in smaller steps.
                return splice_to_file(pipe, self.file()?, size, shown.len());
            }
            let (head, window) = shown.split_at(shown.len().saturating_sub(WINDOW));
            let end = head.len() + chain::cut(window);
            count = splice_to_file(pipe, self.file()?, size, end)?;
            if count < end {
                return Ok(count);
            }
        }
        self.rotate()?;
        match count {
            0 => self.transfer(pipe),
            _ => Ok(count),
        }
    }

    /// Takes one chunk out of the pipe and counts it as lost.
    fn drain(&mut self, pipe: BorrowedFd<'_>, cause: io::Error) -> io::Result<usize> {
        if self.lost == 0 {
            tracing::error!(path = %self.path.display(), error = %cause, "cannot write the log, its bytes are dropped");
        }
        let sink = OpenOptions::new().write(true).open("/dev/null")?;
        let count = splice(pipe, &sink, CHUNK)?;
        self.lost += count as u64;
        self.cause = Some(cause);
        Ok(count)
    }

    /// Copies of the next bytes of the pipe, which stay in it.
    fn peek(&mut self, from: BorrowedFd<'_>, length: usize) -> io::Result<Vec<u8>> {
        let (read, write) = match self.scratch.take() {
            Some(ends) => ends,
            None => {
                let (read, write) = pipe()?;
                (File::from(read), write)
            }
        };
        let count = tee(from, &write, length)?;
        let mut bytes = vec![0; count];
        (&read).read_exact(&mut bytes)?;
        // Kept only when it is empty again: a failed read drops it above.
        self.scratch = Some((read, write));
        Ok(bytes)
    }

    fn room(&self, size: u64) -> u64 {
        if self.limits.max_size == 0 { u64::MAX } else { self.limits.max_size.saturating_sub(size) }
    }

    fn rotate(&mut self) -> io::Result<()> {
        chain::rotate(&self.path, self.limits.max_backups)?;
        self.file = None;
        self.file = Some(open(&self.path)?);
        Ok(())
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            self.file = Some(open(&self.path)?);
        }
        Ok(self.file.as_ref().expect("opened above"))
    }

    /// Appends all of `text` or nothing.
    fn append_whole(&mut self, text: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        let size = file.metadata()?.size();
        file.write_all_at(text, size).inspect_err(|_| {
            // A part of the marker may have found room; without this it would be repeated on every attempt.
            if let Err(e) = file.set_len(size) {
                tracing::debug!(error = %e, "cannot cut a half-written marker");
            }
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: a FIFO in this place must not hang us before it is recognised.
    let flags = (OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path);
    let file = opened.map_err(|e| match e.kind() {
        // Another program has a lease on the file; not to be taken for an empty pipe.
        io::ErrorKind::WouldBlock => io::Error::from_raw_os_error(nix::libc::EBUSY),
        _ => e,
    })?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(nix::libc::EINVAL));
    }
    Ok(file)
}

/// The state of an empty pipe in the words of `splice`: 0 = no writer left, else `WouldBlock`.
fn idle(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO)?;
    let seen = fds[0].revents().unwrap_or(PollFlags::empty());
    if seen.contains(PollFlags::POLLHUP) && !seen.contains(PollFlags::POLLIN) {
        return Ok(0);
    }
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests;
