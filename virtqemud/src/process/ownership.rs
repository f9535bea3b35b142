//! Files change hands: to QEMU's account while a guest uses them, back when the last user is gone.
//!
//! The first owner is remembered in the file's own attributes under libvirt's names, with a count of users and the
//! boot they belong to, so that libvirt and we give back what either has taken. Everything here blocks.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use host::xattr;
use nix::fcntl::AtFlags;
use nix::libc;
use nix::unistd::{Gid, Uid, fchownat};

const OWNER: &CStr = c"trusted.libvirt.security.dac";
const USERS: &CStr = c"trusted.libvirt.security.ref_dac";
const BOOT: &CStr = c"trusted.libvirt.security.timestamp_dac";

/// Who a file is to belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Gives the file to `owner`; with `remember`, notes whose it was.
///
/// # Errors
/// What open or chown answer. A file system that keeps no attributes or refuses the change of owner although the file
/// has the right one already is no error.
pub fn take(path: &Path, owner: Owner, remember: bool) -> io::Result<()> {
    let Some(file) = open(path)? else { return Ok(()) };
    let before = owner_of(&file)?;
    if remember {
        ignore_unsupported(note(&file, before))?;
    }
    if before == owner {
        return Ok(());
    }
    change(&file, owner)
}

/// Ends one use of the file; the last one gives it back to who had it first (root when nobody remembers).
///
/// # Errors
/// What open or chown answer; that the file is gone is fine.
pub fn give_back(path: &Path, remember: bool) -> io::Result<()> {
    let file = match open(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let first = if remember { recall(&file).or_else(unsupported_is(None))? } else { Some(Owner { uid: 0, gid: 0 }) };
    match first {
        Some(first) if first != owner_of(&file)? => change(&file, first),
        _ => Ok(()),
    }
}

/// The file without opening its content; links lead to what they mean, as the administrator made them. None for what
/// never changes hands (a character device such as /dev/null is everybody's).
fn open(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path)?;
    let kind = file.metadata()?.file_type();
    Ok((kind.is_file() || kind.is_block_device() || kind.is_dir()).then_some(file))
}

fn owner_of(file: &File) -> io::Result<Owner> {
    let meta = file.metadata()?;
    Ok(Owner { uid: meta.uid(), gid: meta.gid() })
}

fn change(file: &File, owner: Owner) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    Ok(fchownat(file, c"", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)?)
}

/// Counts one more user; the first one notes the owner.
fn note(file: &File, before: Owner) -> io::Result<()> {
    let users = users(file)?;
    if users == 0 {
        xattr::set(file, OWNER, format!("+{}:+{}", before.uid, before.gid).as_bytes())?;
        xattr::set(file, BOOT, boot_time()?.to_string().as_bytes())?;
    }
    xattr::set(file, USERS, (users + 1).to_string().as_bytes())
}

/// Counts one user less; the first owner when that was the last.
fn recall(file: &File) -> io::Result<Option<Owner>> {
    let users = users(file)?;
    if users > 1 {
        xattr::set(file, USERS, (users - 1).to_string().as_bytes())?;
        return Ok(None);
    }
    let owner = text(file, OWNER)?.as_deref().and_then(parse_owner);
    for name in [USERS, OWNER, BOOT] {
        xattr::remove(file, name)?;
    }
    Ok(owner.filter(|_| users == 1))
}

/// Users counted since this boot; notes of an earlier one mean nothing.
fn users(file: &File) -> io::Result<u32> {
    let Some(users) = text(file, USERS)? else { return Ok(0) };
    let boot: Option<i64> = text(file, BOOT)?.and_then(|t| t.parse().ok());
    // The boot time is computed from clock and uptime by some, so it may be off by a second.
    let now = boot_time()?;
    let valid = boot.is_some_and(|then| (now - then).abs() <= 2);
    Ok(if valid { users.parse().unwrap_or(0) } else { 0 })
}

fn text(file: &File, name: &CStr) -> io::Result<Option<String>> {
    Ok(xattr::get(file, name)?.and_then(|value| String::from_utf8(value).ok()))
}

fn parse_owner(text: &str) -> Option<Owner> {
    let (uid, gid) = text.split_once(':')?;
    Some(Owner { uid: uid.trim_start_matches('+').parse().ok()?, gid: gid.trim_start_matches('+').parse().ok()? })
}

/// Seconds since the epoch at which this host booted.
fn boot_time() -> io::Result<i64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|text| text.trim().parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn ignore_unsupported(result: io::Result<()>) -> io::Result<()> {
    result.or_else(unsupported_is(()))
}

/// Without attributes (file system) or the right to set them (session) nothing is remembered.
fn unsupported_is<T>(value: T) -> impl FnOnce(io::Error) -> io::Result<T> {
    move |e| match e.raw_os_error() {
        Some(libc::ENOTSUP | libc::EPERM | libc::ENOSYS) => Ok(value),
        _ => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_user_gives_the_file_back() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("skipped: needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::write(&path, "x").unwrap();
        let (ann, qemu) = (Owner { uid: 1234, gid: 1235 }, Owner { uid: 64055, gid: 993 });
        std::os::unix::fs::chown(&path, Some(ann.uid), Some(ann.gid)).unwrap();
        let now = || owner_of(&open(&path).unwrap().unwrap()).unwrap();
        take(&path, qemu, true).unwrap();
        if xattr::get(open(&path).unwrap().unwrap(), USERS).is_err() {
            return eprintln!("skipped: needs trusted attributes");
        }
        take(&path, qemu, true).unwrap();
        assert_eq!(now(), qemu);
        give_back(&path, true).unwrap();
        assert_eq!(now(), qemu, "one user is left");
        give_back(&path, true).unwrap();
        assert_eq!(now(), ann);
        give_back(&path, true).unwrap();
        assert_eq!(now(), ann, "nobody used it");
        assert!(xattr::get(open(&path).unwrap().unwrap(), OWNER).unwrap().is_none());
    }

    #[test]
    fn what_is_gone_or_everybodys_is_left_alone() {
        give_back(Path::new("/nonexistent/disk"), true).unwrap();
        take(Path::new("/dev/null"), Owner { uid: 1, gid: 1 }, true).unwrap();
        assert_eq!(fs::metadata("/dev/null").unwrap().uid(), 0);
        assert!(take(Path::new("/nonexistent/disk"), Owner { uid: 0, gid: 0 }, false).is_err());
    }
}
