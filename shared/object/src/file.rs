//! Files of objects: written whole or not at all, on disk before anyone is told.
//!
//! A write goes to a new file of a unique name in the same folder, is synced, renamed over the old one, and the folder
//! is synced. Killed at any instruction it leaves the old content or the new, and at worst a file `.NAME.*.new`, which
//! [`sweep`] removes at the next start. Everything here blocks: call it through `host::run_blocking`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc;

const TEMPORARY_SUFFIX: &str = ".new";

/// Writes `bytes` to `path` in one step that is either done, and durable, or not done. The file has exactly `mode` at
/// the end and never more permissions on the way.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = replace(path, bytes, mode, true)?;
    sync_folder(folder)
}

/// As [`write_atomic`] without waiting for the disk: for state that survives our death in the page cache and means nothing
/// after a reboot (status documents of running objects).
pub fn write_volatile(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, false).map(drop)
}

fn replace<'a>(path: &'a Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<&'a Path> {
    let (folder, temporary) = temporary_name(path)?;
    let written = create_new(&temporary, mode)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            // The umask may have taken bits away at creation.
            file.set_permissions(Permissions::from_mode(mode))?;
            if durable { file.sync_all() } else { Ok(()) }
        })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(folder)
}

/// Makes `path` a symbolic link to `target` in one step, replacing what was there.
pub fn link_atomic(path: &Path, target: &Path) -> io::Result<()> {
    let (folder, temporary) = temporary_name(path)?;
    std::os::unix::fs::symlink(target, &temporary)?;
    if let Err(error) = fs::rename(&temporary, path) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder)
}

/// Removes a file and makes that durable. `false`: there was none.
pub fn remove_durable(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)?).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] when it is longer; links are followed.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Makes a folder with its missing parents (those 0755), the last one with exactly `mode` if it was missing.
pub fn create_folder(path: &Path, mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The files of a folder whose names end in `suffix` and do not begin with a dot, by name, each with the name less
/// the suffix. A missing folder is empty. Names that are not UTF-8 are left out.
pub fn with_suffix(folder: &Path, suffix: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(file_name) = entry.file_name().into_string() else {
            continue;
        };
        if let Some(name) = file_name.strip_suffix(suffix).filter(|name| !name.is_empty() && !name.starts_with('.')) {
            found.push((name.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what writes that were cut short left in a folder. Only at start, before anything writes.
pub fn sweep(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether an object's name can stand in a file name: not empty, no slash, no control character, not `.` or `..`.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= 240
        && !name.chars().any(|c| c == '/' || c.is_control())
}

/// Makes renames and removals in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(parent) => Ok(parent),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The folder of `path`, and a name in it that nobody else uses: ours by pid, and by counter among our threads.
fn temporary_name(path: &Path) -> io::Result<(&Path, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let folder = folder_of(path)?;
    let base: &OsStr = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut name = OsString::from(".");
    name.push(base);
    let serial = COUNTER.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{serial}{TEMPORARY_SUFFIX}", std::process::id()));
    let temporary = folder.join(name);
    // A process killed earlier may have had our pid.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok((folder, temporary)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn content_and_mode_are_replaced_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guest.xml");
        write_atomic(&path, b"one", 0o600).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode_of(&path)), (b"one".to_vec(), 0o600));
        write_atomic(&path, b"two", 0o666).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode_of(&path)), (b"two".to_vec(), 0o666));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
        assert!(remove_durable(&path).unwrap());
        assert!(!remove_durable(&path).unwrap());
    }

    #[test]
    fn a_failed_write_leaves_the_old_state() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("folder");
        fs::create_dir(&target).unwrap();
        assert!(write_atomic(&target, b"x", 0o600).is_err());
        assert!(target.is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_atomic(&dir.path().join("missing/file"), b"x", 0o600).is_err());
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_replaced_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "keep").unwrap();
        let path = dir.path().join("a.xml");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        write_atomic(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"keep");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn listing_skips_what_is_not_an_object() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.xml", "a.xml", ".a.xml.1-2.new", "c.txt", ".xml", ".hidden.xml"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let names: Vec<String> = with_suffix(dir.path(), ".xml").unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        sweep(dir.path()).unwrap();
        assert!(!dir.path().join(".a.xml.1-2.new").exists());
        assert_eq!(with_suffix(&dir.path().join("none"), ".xml").unwrap(), []);
        assert_eq!(read_limited(&dir.path().join("a.xml"), 5).unwrap(), b"a.xml");
        let long = read_limited(&dir.path().join("a.xml"), 4).unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        for (name, fine) in [("vm", true), ("a b", true), ("", false), (".", false), ("..", false), ("a/b", false)] {
            assert_eq!(is_file_name(name), fine, "{name:?}");
        }
        assert!(!is_file_name("a\nb"));
        assert!(!is_file_name(&"x".repeat(241)));
    }

    #[test]
    fn folders_get_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_folder(&path, 0o700).unwrap();
        assert_eq!(mode_of(&path), 0o700);
        create_folder(&path, 0o755).unwrap();
        assert_eq!(mode_of(&path), 0o700, "an existing folder is left as it is");
    }
}
