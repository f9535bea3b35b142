//! A pool's directory, held open: every name is looked up beneath it and no link leads out.
//!
//! A guest, a user of an NFS export or whoever else may write in a pool's directory can put links and special files there.
//! So a name is first opened without reading (`O_PATH`), judged, and what was judged is what is then opened for use.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// What a name in the directory is.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A regular file, in the directory or reached by a link that stays beneath it.
    File(Handle),
    /// A directory.
    Folder(FileStat),
    /// A link that leads out of the directory; its target is never looked at.
    Link(FileStat),
    /// A device, socket or pipe, or a link to nothing.
    Special,
}

/// A regular file that is identified but not opened.
#[derive(Debug)]
pub(crate) struct Handle {
    fd: OwnedFd,
    /// Its attributes.
    pub(crate) stat: FileStat,
}

impl Handle {
    /// Opens the very file for reading.
    pub(crate) fn read(&self) -> io::Result<File> {
        File::open(self.magic_path())
    }

    /// Opens the very file for reading and writing.
    pub(crate) fn write(&self) -> io::Result<File> {
        File::options().read(true).write(true).open(self.magic_path())
    }

    fn magic_path(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

impl Folder {
    /// Opens a directory that the administrator named.
    pub(crate) fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(&path, flags, Mode::empty())?;
        Ok(Folder { fd, path })
    }

    /// Where it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a name in it.
    pub(crate) fn join(&self, name: &str) -> String {
        format!("{}/{name}", self.path.to_string_lossy().trim_end_matches('/'))
    }

    /// Attributes of the directory.
    pub(crate) fn stat(&self) -> io::Result<FileStat> {
        Ok(fstat(&self.fd)?)
    }

    /// All names but `.` and `..`.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut dir =
            Dir::openat(&self.fd, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// What `name`, one component, is.
    pub(crate) fn look(&self, name: &str) -> io::Result<Entry> {
        if !is_component(name) {
            return Err(Errno::ENOENT.into());
        }
        let own = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if !matches!(kind(&own), SFlag::S_IFREG | SFlag::S_IFDIR | SFlag::S_IFLNK) {
            return Ok(Entry::Special);
        }
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let fd = match openat2(&self.fd, name, how) {
            Ok(fd) => fd,
            Err(Errno::EXDEV) => return Ok(Entry::Link(own)),
            Err(_) if kind(&own) == SFlag::S_IFLNK => return Ok(Entry::Special),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&fd)?;
        match kind(&stat) {
            SFlag::S_IFREG => Ok(Entry::File(Handle { fd, stat })),
            SFlag::S_IFDIR => Ok(Entry::Folder(stat)),
            _ => Ok(Entry::Special),
        }
    }

    /// Whether anything has this name.
    pub(crate) fn exists(&self, name: &str) -> bool {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// The regular file `name`, for use; everything else is an error that says what it is.
    pub(crate) fn file(&self, name: &str) -> io::Result<Handle> {
        match self.look(name)? {
            Entry::File(handle) => Ok(handle),
            Entry::Folder(_) => Err(Errno::EISDIR.into()),
            Entry::Link(_) => Err(Errno::ELOOP.into()),
            Entry::Special => Err(Errno::ENXIO.into()),
        }
    }

    /// Makes a new regular file, readable by nobody but its owner, and opens it.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// Makes a new directory, open to nobody but its owner.
    pub(crate) fn create_folder(&self, name: &str) -> io::Result<Folder> {
        mkdirat(&self.fd, name, Mode::S_IRWXU)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty())?;
        Ok(Folder { fd, path: self.path.join(name) })
    }

    /// The directory's descriptor, for its owner and mode.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Removes a file or link; one that is gone already is fine.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes an empty directory.
    pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)?)
    }
}

/// Whether `name` is one component that names something in the directory.
pub(crate) fn is_component(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_are_judged_before_they_are_opened() {
        let (outside, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| dir.path().join(name);
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::fs::write(at("file"), "f").unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        symlink("file", at("inner")).unwrap();
        symlink(outside.path().join("secret"), at("outer")).unwrap();
        symlink(format!("../{}/secret", outside.path().file_name().unwrap().to_str().unwrap()), at("dotdot")).unwrap();
        symlink("nothing", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(matches!(folder.look("file").unwrap(), Entry::File(_)));
        assert!(matches!(folder.look("inner").unwrap(), Entry::File(_)));
        assert!(matches!(folder.look("sub").unwrap(), Entry::Folder(_)));
        assert!(matches!(folder.look("pipe").unwrap(), Entry::Special));
        for name in ["outer", "dotdot"] {
            assert!(matches!(folder.look(name).unwrap(), Entry::Link(_)), "{name}");
            assert!(folder.file(name).is_err());
        }
        for name in ["dangling", "loop"] {
            assert!(matches!(folder.look(name).unwrap(), Entry::Special), "{name}");
            assert!(folder.file(name).is_err());
        }
        for name in ["", ".", "..", "../x", "sub/x"] {
            assert!(folder.look(name).is_err(), "{name}");
        }
        assert_eq!(folder.names().unwrap().len(), 8);
        assert!(folder.create("outer").is_err(), "an existing link is not written through");
    }
}
