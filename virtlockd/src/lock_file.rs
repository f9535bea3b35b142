//! One locked file: the open file description that carries the lock and what must happen to it.
//!
//! The lock is an open-file-description lock on byte 0, the byte that libvirt's virtlockd locks with classic `fcntl`
//! locks, so that both daemons exclude each other on one host and, over NFS, on several. It lives as long as any
//! copy of the descriptor, the service manager's included, so it must be dropped by [`LockFile::unlock`].

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use host::lock::{Mode, conflict, try_lock, unlock};
use nix::fcntl::OFlag;

/// First locked byte and length of the range, as libvirt's.
const RANGE: (i64, i64) = (0, 1);
/// How often a file may vanish between our open and our lock before we call it busy.
const RECREATE_MAX: u32 = 64;

/// How a resource's file is opened and locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Read lock instead of a write lock.
    pub shared: bool,
    /// Make the file (0600) when it is missing, unlink it when the last holder goes.
    pub autocreate: bool,
    /// Follow a link in the last component. Wanted for disk paths (`/dev/vg/lv` is one), not inside lockspaces.
    pub follow: bool,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// The file cannot be opened.
    #[error("open the file")]
    Open(#[source] io::Error),
    /// Somebody outside holds the byte; the pid is known for classic locks of this host only.
    #[error("locked outside")]
    Busy(Option<i32>),
    /// The kernel or the file system refuses to lock.
    #[error("lock the file")]
    Lock(#[source] io::Error),
}

/// An open, locked file.
#[derive(Debug)]
pub struct LockFile {
    file: File,
}

impl LockFile {
    /// Opens `path` and takes the lock without waiting.
    pub fn acquire(path: &Path, want: Want) -> Result<LockFile, LockFileError> {
        for _ in 0..RECREATE_MAX {
            let file = open(path, want).map_err(LockFileError::Open)?;
            lock(&file, want.shared)?;
            // An autocreated file may have been unlinked by its last holder after we opened it: then our lock is on
            // a name that nobody else will find.
            if !want.autocreate || names(path, &file).map_err(LockFileError::Open)? {
                return Ok(LockFile { file });
            }
        }
        Err(LockFileError::Busy(None))
    }

    /// Takes over a descriptor that outlived an earlier process. Descriptors are kept only after they are locked, so
    /// no file system has to be asked.
    pub fn adopt(fd: OwnedFd) -> LockFile {
        LockFile { file: File::from(fd) }
    }

    /// Whether the lock is a read lock; for descriptors of which nothing else is known.
    pub fn is_shared(&self) -> io::Result<bool> {
        // Of two readers neither can have the write lock; a lone reader may as well become a writer.
        Ok(!try_lock(&self.file, Mode::Exclusive, RANGE.0, RANGE.1)?)
    }

    /// Drops the lock in every copy of the descriptor.
    pub fn drop_lock(&self) -> io::Result<()> {
        unlock(&self.file, RANGE.0, RANGE.1)
    }

    /// Drops the lock for good. With `unlink` the autocreated file goes first, unless others
    /// still share it.
    pub fn unlock(self, path: &Path, shared: bool, unlink: bool) -> io::Result<()> {
        if unlink && (!shared || try_lock(&self.file, Mode::Exclusive, RANGE.0, RANGE.1)?) {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), error = %e, "cannot unlink the released lock file");
                }
                _ => {}
            }
        }
        self.drop_lock()
    }
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(path: &Path, want: Want) -> io::Result<File> {
    let mut flags = OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    if !want.follow {
        flags |= OFlag::O_NOFOLLOW;
    }
    OpenOptions::new().read(true).write(true).create(want.autocreate).mode(0o600).custom_flags(flags.bits()).open(path)
}

fn lock(file: &File, shared: bool) -> Result<(), LockFileError> {
    let mode = if shared { Mode::Shared } else { Mode::Exclusive };
    match try_lock(file, mode, RANGE.0, RANGE.1) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let holder = conflict(file, mode, RANGE.0, RANGE.1).ok().flatten();
            Err(LockFileError::Busy(holder.and_then(|c| c.pid)))
        }
        Err(e) => Err(LockFileError::Lock(e)),
    }
}

/// Whether `path` still names the file that is open.
fn names(path: &Path, file: &File) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCLUSIVE: Want = Want { shared: false, autocreate: false, follow: true };
    const SHARED: Want = Want { shared: true, ..EXCLUSIVE };

    #[test]
    fn exclusive_and_shared_holders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        assert!(matches!(LockFile::acquire(&path, EXCLUSIVE), Err(LockFileError::Open(_))));
        fs::write(&path, "").unwrap();
        let first = LockFile::acquire(&path, EXCLUSIVE).unwrap();
        assert!(matches!(LockFile::acquire(&path, EXCLUSIVE), Err(LockFileError::Busy(None))));
        assert!(matches!(LockFile::acquire(&path, SHARED), Err(LockFileError::Busy(None))));
        first.unlock(&path, false, false).unwrap();
        let (one, _two) = (LockFile::acquire(&path, SHARED).unwrap(), LockFile::acquire(&path, SHARED).unwrap());
        assert!(matches!(LockFile::acquire(&path, EXCLUSIVE), Err(LockFileError::Busy(None))));
        let copy = one.as_fd().try_clone_to_owned().unwrap();
        drop(one);
        assert!(LockFile::adopt(copy).is_shared().unwrap());
        assert!(path.exists());
    }

    #[test]
    fn an_autocreated_file_goes_with_its_last_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        let auto = Want { autocreate: true, follow: false, ..EXCLUSIVE };
        let file = LockFile::acquire(&path, auto).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        file.unlock(&path, false, true).unwrap();
        assert!(!path.exists());
        let both = Want { shared: true, ..auto };
        let (one, two) = (LockFile::acquire(&path, both).unwrap(), LockFile::acquire(&path, both).unwrap());
        one.unlock(&path, true, true).unwrap();
        assert!(path.exists(), "the other holder still needs the name");
        two.unlock(&path, true, true).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn links_are_followed_only_for_disk_paths() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, link) = (dir.path().join("disk"), dir.path().join("link"));
        fs::write(&disk, "").unwrap();
        std::os::unix::fs::symlink(&disk, &link).unwrap();
        let held = LockFile::acquire(&link, EXCLUSIVE).unwrap();
        assert!(matches!(LockFile::acquire(&disk, EXCLUSIVE), Err(LockFileError::Busy(_))), "one disk, two names");
        drop(held);
        let strict = Want { follow: false, ..EXCLUSIVE };
        assert!(matches!(LockFile::acquire(&link, strict), Err(LockFileError::Open(_))));
    }
}
