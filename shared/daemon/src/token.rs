//! The token by which daemons of one host know each other.
//!
//! 32 hex digits in `common/system.token`, made by whichever daemon starts first. A caller that presents it in its identity
//! counts as a daemon; only our own account can read it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

const DIGITS: usize = 32;

/// Reads the token, or makes it.
pub fn load(run_dir: &Path) -> io::Result<String> {
    let folder = run_dir.join("common");
    object::file::create_folder(&folder, 0o700)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(folder.join("system.token"))?;
    // libvirt's own daemons take the same classic lock, so that only one of us writes.
    let whole = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 1, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLKW(&whole))?;
    let mut found = Vec::new();
    (&file).take(DIGITS as u64).read_to_end(&mut found)?;
    if found.len() == DIGITS && found.iter().all(u8::is_ascii_hexdigit) {
        return Ok(found.into_iter().map(char::from).collect());
    }
    let mut random = [0u8; DIGITS / 2];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(token.as_bytes())?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let token = load(dir.path()).unwrap();
        assert_eq!(token.len(), DIGITS);
        assert_eq!(load(dir.path()).unwrap(), token);
        std::fs::write(dir.path().join("common/system.token"), "short").unwrap();
        let other = load(dir.path()).unwrap();
        assert!(other != token && other.len() == DIGITS);
    }
}
