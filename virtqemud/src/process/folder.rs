//! Folders and small files of one run.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use daemon::DriverPaths;
use nix::libc;

use crate::domain::guest::RunFolders;

use super::ownership::Owner;

/// Characters of a domain's name that go into the names of its folders.
const SHORT_NAME_LEN: usize = 20;
const MASTER_KEY_LEN: usize = 32;

/// `ID-NAME`, the name cut to 20 characters.
pub fn short_name(id: i32, name: &str) -> String {
    format!("{id}-{}", name.chars().take(SHORT_NAME_LEN).collect::<String>())
}

impl RunFolders {
    /// Where the folders of a run are.
    pub fn of(folders: &DriverPaths, id: i32, name: &str) -> RunFolders {
        let short = short_name(id, name);
        let lib = folders.lib.join(format!("domain-{short}"));
        RunFolders { monitor: lib.join("monitor.sock"), channel: folders.state.join("channel").join(short), lib }
    }

    /// The master key for secrets that travel through the monitor.
    pub fn master_key(&self) -> PathBuf {
        self.lib.join("master-key.aes")
    }

    /// Makes the folders and the key, for QEMU alone.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn make(&self, owner: Option<Owner>) -> io::Result<()> {
        for folder in [&self.lib, &self.channel] {
            // Left behind by a run of an earlier boot that had the same id.
            remove_tree(folder)?;
            fs::DirBuilder::new().recursive(true).mode(0o755).create(folder.parent().unwrap_or(Path::new("/")))?;
            fs::DirBuilder::new().mode(0o750).create(folder)?;
            give(folder, owner)?;
        }
        let mut key = [0u8; MASTER_KEY_LEN];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let path = self.master_key();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)?;
        file.write_all(&key)?;
        give(&path, owner)
    }

    /// Removes both folders with all that is in them.
    ///
    /// # Errors
    /// What the file system answers; that they are gone is fine.
    pub fn remove(&self) -> io::Result<()> {
        remove_tree(&self.lib)?;
        remove_tree(&self.channel)
    }
}

/// Gives what we have just made to QEMU's account.
fn give(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    match owner {
        Some(Owner { uid, gid }) => chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// Does not follow links: `remove_dir_all` removes a link itself.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn short_names() {
        assert_eq!(short_name(7, "a"), "7-a");
        assert_eq!(short_name(7, "äbcdefghijklmnopqrstuvwxyz"), "7-äbcdefghijklmnopqrst");
    }

    #[test]
    fn folders_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let paths = DriverPaths { config: at("c"), state: at("s"), lib: at("l"), cache: at("k"), log: at("o") };
        let folders = RunFolders::of(&paths, 3, "guest");
        assert_eq!(folders.monitor, at("l/domain-3-guest/monitor.sock"));
        assert_eq!(folders.channel, at("s/channel/3-guest"));
        folders.make(None).unwrap();
        let key = fs::metadata(folders.master_key()).unwrap();
        assert_eq!((key.len(), key.permissions().mode() & 0o777), (32, 0o600));
        folders.make(None).unwrap();
        folders.remove().unwrap();
        folders.remove().unwrap();
        assert!(!folders.lib.exists() && !folders.channel.exists());
    }
}
