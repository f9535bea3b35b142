//! The daily clean-up: chains of logs below `log_root` that nobody has written for long.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::chain;

/// Removes every chain in the folders directly below `root` of which no file was modified for `age`, unless
/// `is_open` says that the log is being written. Trouble with one file is logged and skipped.
pub fn clean(root: &Path, age: Duration, now: SystemTime, is_open: impl Fn(&Path) -> bool) -> io::Result<()> {
    for folder in fs::read_dir(root)? {
        let folder = folder?;
        // Of the entry itself: links lead out of the tree.
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for (log, files) in stale(&folder.path(), age, now)? {
            if is_open(&log) {
                continue;
            }
            for file in files {
                match fs::remove_file(&file) {
                    Ok(()) => tracing::info!(path = %file.display(), "removed old log"),
                    Err(e) => tracing::warn!(path = %file.display(), error = %e, "cannot remove old log"),
                }
            }
        }
    }
    Ok(())
}

/// The chains of one folder whose newest file is older than `age`: log → files.
fn stale(folder: &Path, age: Duration, now: SystemTime) -> io::Result<BTreeMap<PathBuf, Vec<PathBuf>>> {
    let mut chains: BTreeMap<PathBuf, (SystemTime, Vec<PathBuf>)> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let base = chain::base(name);
        if !entry.file_type()?.is_file() || !base.ends_with(".log") {
            continue;
        }
        let modified = entry.metadata()?.modified()?;
        let (newest, files) = chains.entry(folder.join(base)).or_insert((modified, Vec::new()));
        *newest = modified.max(*newest);
        files.push(entry.path());
    }
    chains.retain(|_, (newest, _)| now.duration_since(*newest).is_ok_and(|idle| idle > age));
    Ok(chains.into_iter().map(|(log, (_, files))| (log, files)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_old_closed_chains_go() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("qemu");
        fs::create_dir(&folder).unwrap();
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        let make = |name: &str, days: u32| {
            let path = if name.contains('/') { dir.path().join(name) } else { folder.join(name) };
            let file = fs::File::create(path).unwrap();
            file.set_modified(now - day * days).unwrap();
        };
        for (name, days) in [
            ("old.log", 9),
            ("old.log.0", 20),
            ("mixed.log", 1),
            ("mixed.log.0", 20),
            ("open.log", 9),
            ("new.log", 1),
            ("notes.txt", 99),
            ("orphan.log.3", 30),
            ("./top.log", 99),
        ] {
            make(name, days);
        }
        std::os::unix::fs::symlink(&folder, dir.path().join("link")).unwrap();
        clean(dir.path(), day * 7, now, |log| log.ends_with("open.log")).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["mixed.log", "mixed.log.0", "new.log", "notes.txt", "open.log"]);
        assert!(dir.path().join("top.log").exists());
    }
}
