//! The chain of a log: the file `P` that is written, and its backups `P.0` (newest), `P.1` and so on.
//!
//! A crash between two renames leaves a hole in the numbers and no byte lost; every function here copes with holes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most backups that a chain can have.
pub const BACKUPS_MAX: u32 = 32;

/// Backup `number` of the log at `path`.
pub fn backup(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The log that a file name in a folder belongs to: the name itself, or what precedes a backup number.
pub fn base(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((base, number)) if !base.is_empty() && number.parse().is_ok_and(|n: u32| n < BACKUPS_MAX) => base,
        _ => name,
    }
}

/// Moves `P` out of the way: to `P.0` after moving the backups up, or to nowhere when none are kept.
pub fn rotate(path: &Path, max_backups: u32) -> io::Result<()> {
    let keep = max_backups.min(BACKUPS_MAX);
    for surplus in keep..BACKUPS_MAX {
        remove(&backup(path, surplus))?;
    }
    if keep == 0 {
        return remove(path);
    }
    for number in (0..keep - 1).rev() {
        rename(&backup(path, number), &backup(path, number + 1))?;
    }
    rename(path, &backup(path, 0))
}

/// Removes the log and all its backups.
pub fn delete(path: &Path) -> io::Result<()> {
    remove(path)?;
    (0..BACKUPS_MAX).try_for_each(|number| remove(&backup(path, number)))
}

/// The files of the chain that exist, oldest first.
pub fn files(path: &Path) -> impl Iterator<Item = PathBuf> {
    let backups = (0..BACKUPS_MAX).rev().map(|number| backup(path, number));
    backups.chain([path.to_owned()]).filter(|file| file.symlink_metadata().is_ok_and(|found| found.is_file()))
}

/// How many bytes of `window`, the last ones that fit, stay in front of a rotation: up to and with its last newline,
/// or all of them when it has none.
pub fn cut(window: &[u8]) -> usize {
    window.iter().rposition(|byte| *byte == b'\n').map_or(window.len(), |at| at + 1)
}

fn remove(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    absent_is_fine(fs::rename(from, to))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(dir: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|e| (e.file_name().into_string().unwrap(), fs::read_to_string(e.path()).unwrap()))
            .collect();
        found.sort();
        found
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
    }

    #[test]
    fn backups_move_up_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        for text in ["1", "2", "3", "4"] {
            fs::write(&path, text).unwrap();
            rotate(&path, 2).unwrap();
        }
        assert_eq!(listing(dir.path()), pairs(&[("x.log.0", "4"), ("x.log.1", "3")]));
        fs::write(&path, "5").unwrap();
        let order: Vec<_> = files(&path).map(|p| fs::read_to_string(p).unwrap()).collect();
        assert_eq!(order, ["3", "4", "5"]);
        rotate(&path, 1).unwrap();
        assert_eq!(listing(dir.path()), pairs(&[("x.log.0", "5")]), "surplus backups go");
        fs::write(&path, "6").unwrap();
        rotate(&path, 0).unwrap();
        assert_eq!(listing(dir.path()), pairs(&[]));
    }

    #[test]
    fn a_hole_in_the_numbers_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        fs::write(&path, "new").unwrap();
        fs::write(backup(&path, 1), "old").unwrap();
        assert_eq!(files(&path).count(), 2);
        rotate(&path, 3).unwrap();
        assert_eq!(listing(dir.path()), pairs(&[("x.log.0", "new"), ("x.log.2", "old")]));
        delete(&path).unwrap();
        assert_eq!(listing(dir.path()), pairs(&[]));
    }

    #[test]
    fn bases_and_cuts() {
        for (name, expected) in [
            ("a.log", "a.log"),
            ("a.log.0", "a.log"),
            ("a.log.31", "a.log"),
            ("a.log.32", "a.log.32"),
            ("a.log.x", "a.log.x"),
            (".5", ".5"),
            ("a", "a"),
        ] {
            assert_eq!(base(name), expected, "{name}");
        }
        for (window, expected) in [("", 0), ("abc", 3), ("abc\n", 4), ("a\nb\nc", 4), ("\nabc", 1)] {
            assert_eq!(cut(window.as_bytes()), expected, "{window:?}");
        }
    }
}
