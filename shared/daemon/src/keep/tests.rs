//! Records and descriptors over the death of their keeper.

use std::fs;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}

fn note(text: &str) -> Note {
    Note { text: text.into() }
}

fn open(path: &Path, descriptors: Vec<(String, OwnedFd)>) -> (Keeper, Kept<Note>) {
    Keeper::open("testd", path, FdStore::none(), descriptors).unwrap()
}

/// What the next process gets: copies of the keeper's descriptors, and nothing else of it.
fn die(keeper: Keeper) -> Vec<(String, OwnedFd)> {
    keeper.copies().into_iter().map(|(name, fd)| (name, fd.try_clone_to_owned().unwrap())).collect()
}

#[test]
fn the_record_survives_the_loss_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, kept) = open(&path, Vec::new());
    assert!(kept.record.is_none() && !kept.inherited);
    for text in ["one", "two", "three"] {
        keeper.record(&note(text)).unwrap();
    }
    let heirs = die(keeper);
    assert_eq!(open(&path, Vec::new()).1.record, Some(note("three")), "by the file alone");
    for damage in [Some(&b""[..]), Some(b"{\"format\":1"), Some(b"\0\0\0\0"), None] {
        match damage {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let copies = heirs.iter().map(|(name, fd)| (name.clone(), fd.try_clone().unwrap())).collect();
        let (mut keeper, kept) = open(&path, copies);
        assert!(kept.inherited);
        assert_eq!(kept.record, Some(note("three")), "{damage:?}");
        assert!(kept.descriptors.is_empty());
        keeper.record(&note("three")).unwrap();
    }
}

#[test]
fn one_torn_copy_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, _) = open(&path, Vec::new());
    keeper.record(&note("old")).unwrap();
    keeper.record(&note("new")).unwrap();
    fs::remove_file(&path).unwrap();
    keeper.copies[0].set_len(20).unwrap();
    assert_eq!(open(&path, die(keeper)).1.record, Some(note("old")), "the other copy counts");
}

#[test]
fn records_of_others_are_left_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, _) = open(&path, Vec::new());
    keeper.record(&note("mine")).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    let boot = host::system::boot_id().unwrap();
    for (from, to) in [("testd", "other"), ("\"format\":1", "\"format\":2"), (boot.as_str(), "no-such-boot")] {
        assert!(written.contains(from));
        fs::write(&path, written.replace(from, to)).unwrap();
        assert!(open(&path, Vec::new()).1.record.is_none(), "{to}");
    }
}

#[test]
fn a_record_that_cannot_be_written_is_an_error() {
    let (mut keeper, _) = open(Path::new("/nonexistent/state.json"), Vec::new());
    assert!(keeper.record(&note("x")).is_err());
}
