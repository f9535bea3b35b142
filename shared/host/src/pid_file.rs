//! Pid files that stay locked as long as their process lives.
//!
//! libvirt's rule: the file is opened 0644, byte 0 is locked with a classic `fcntl` lock, the path is checked to still
//! name the locked file, and the decimal pid is written without a newline. A held lock means "already running".

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::descriptor;
use crate::lock::range;

/// A locked pid file; removed and unlocked on drop. Classic locks go when *any* descriptor of the file is closed, so
/// nothing else in the process may open it.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// `None` once it was handed over.
    file: Option<File>,
}

impl PidFile {
    /// Locks `path` and writes our pid into it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another process holds it; otherwise what the file system says.
    pub fn acquire(path: &Path) -> io::Result<PidFile> {
        loop {
            let mut file = OpenOptions::new()
                .create(true)
                .read(true)
                .write(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path)?;
            lock(&file)?;
            // Between open and lock the old owner may have removed the file: then we hold a name nobody sees.
            match fs::metadata(path) {
                Ok(now) if (now.dev(), now.ino()) == identity(&file)? => {}
                _ => continue,
            }
            file.set_len(0)?;
            file.write_all(std::process::id().to_string().as_bytes())?;
            return Ok(PidFile { path: path.to_owned(), file: Some(file) });
        }
    }

    /// Takes over a locked file that the program executed before us in this process left open: see
    /// [`PidFile::keep_over_exec`].
    ///
    /// # Errors
    /// `EBADF` when the number is not open; [`io::ErrorKind::WouldBlock`] when another process holds the lock.
    pub fn adopt(path: &Path, number: RawFd) -> io::Result<PidFile> {
        let file = File::from(descriptor::claim(number)?);
        lock(&file)?;
        Ok(PidFile { path: path.to_owned(), file: Some(file) })
    }

    /// Gives the lock to the program that this process executes next; the file is neither removed nor unlocked.
    /// Returns the number for [`PidFile::adopt`].
    pub fn keep_over_exec(mut self) -> io::Result<RawFd> {
        let file = self.file.take().expect("the file is taken out only here, which consumes the owner");
        descriptor::set_close_on_exec(&file, false)?;
        Ok(file.into_raw_fd())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Removed while the lock is still held, so that no successor's file is hit.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn lock(file: &File) -> io::Result<()> {
    let request = range(libc::F_WRLCK as i16, 0, 1);
    match fcntl(file, FcntlArg::F_SETLK(&request)) {
        Ok(_) => Ok(()),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Err(io::ErrorKind::WouldBlock.into()),
        Err(errno) => Err(errno.into()),
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn holds_the_pid_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("virtd.pid");
        fs::write(&path, "99999999 stale").unwrap();
        let held = PidFile::acquire(&path).unwrap();
        // Classic locks never conflict within one process, and reading the file here would drop ours: ask another one.
        let probe = "import fcntl,sys\nf=open(sys.argv[1],'r+')\nif f.read()!=sys.argv[2]: sys.exit(8)\n\
                     try: fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB,1,0)\nexcept OSError: sys.exit(7)";
        let pid = std::process::id().to_string();
        let status = || Command::new("python3").args(["-c", probe]).arg(&path).arg(&pid).status().unwrap().code();
        assert_eq!(status(), Some(7));
        let number = held.keep_over_exec().unwrap();
        assert_eq!(status(), Some(7), "kept for the next program");
        drop(PidFile::adopt(&path, number).unwrap());
        assert!(!path.exists());
    }
}
