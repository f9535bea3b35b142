//! Byte range locks that belong to the open file description (`F_OFD_SETLK`).
//!
//! Unlike classic `fcntl` locks they follow the descriptor through dup, fork, exec and the service manager's store, and
//! closing another descriptor of the same file does not drop them. They still exclude classic locks and, on NFS,
//! other hosts. Releasing needs [`unlock`]: closing one copy keeps the lock while another copy lives.

use std::io;
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Whether others may hold the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Several holders.
    Shared,
    /// One holder.
    Exclusive,
}

/// A lock that stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Mode of the holder.
    pub mode: Mode,
    /// The holding process; `None` when the lock belongs to an open file description.
    pub pid: Option<i32>,
}

/// Takes the lock on `length` bytes from `start` (0 = to the end) without waiting.
/// `true`: taken; `false`: someone else holds it.
pub fn try_lock(file: impl AsFd, mode: Mode, start: i64, length: i64) -> io::Result<bool> {
    let request = range(kind(mode), start, length);
    match fcntl(file, FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Drops the lock of this open file description on the range.
pub fn unlock(file: impl AsFd, start: i64, length: i64) -> io::Result<()> {
    let request = range(libc::F_UNLCK as i16, start, length);
    fcntl(file, FcntlArg::F_OFD_SETLK(&request))?;
    Ok(())
}

/// Who would refuse the lock, seen from this open file description.
pub fn conflict(file: impl AsFd, mode: Mode, start: i64, length: i64) -> io::Result<Option<Conflict>> {
    let mut request = range(kind(mode), start, length);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut request))?;
    if request.l_type == libc::F_UNLCK as i16 {
        return Ok(None);
    }
    let mode = if request.l_type == libc::F_RDLCK as i16 { Mode::Shared } else { Mode::Exclusive };
    Ok(Some(Conflict { mode, pid: (request.l_pid > 0).then_some(request.l_pid) }))
}

pub(crate) fn range(kind: i16, start: i64, length: i64) -> libc::flock {
    libc::flock { l_type: kind, l_whence: libc::SEEK_SET as i16, l_start: start, l_len: length, l_pid: 0 }
}

fn kind(mode: Mode) -> i16 {
    match mode {
        Mode::Shared => libc::F_RDLCK as i16,
        Mode::Exclusive => libc::F_WRLCK as i16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn two_descriptions_exclude_each_other_and_copies_share() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let (one, two) = (open(), open());
        assert!(try_lock(&one, Mode::Exclusive, 100, 1).unwrap());
        assert!(!try_lock(&two, Mode::Shared, 100, 1).unwrap());
        assert!(try_lock(&two, Mode::Exclusive, 101, 1).unwrap());
        let holder = conflict(&two, Mode::Shared, 100, 1).unwrap().unwrap();
        assert_eq!(holder, Conflict { mode: Mode::Exclusive, pid: None });
        let copy = one.try_clone().unwrap();
        drop(one);
        assert!(!try_lock(&two, Mode::Shared, 100, 1).unwrap(), "a copy keeps the lock");
        unlock(&copy, 100, 1).unwrap();
        assert!(try_lock(&two, Mode::Shared, 100, 1).unwrap());
        assert!(try_lock(&copy, Mode::Shared, 100, 1).unwrap());
        assert_eq!(conflict(&two, Mode::Shared, 100, 1).unwrap(), None);
    }
}
