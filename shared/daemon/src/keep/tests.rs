//! Records and descriptors over the death of their keeper.

use std::fs;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    name: String,
    text: String,
}

impl Entry for Note {
    fn key(&self) -> String {
        self.name.clone()
    }
}

fn note(name: &str, text: &str) -> Note {
    Note { name: name.into(), text: text.into() }
}

fn open(path: &Path, descriptors: Vec<(String, OwnedFd)>) -> (Keeper, Kept<Note>) {
    Keeper::open("testd", path, FdStore::none(), descriptors).unwrap()
}

/// What the next process gets: copies of the keeper's descriptors, and nothing else of it.
fn heirs(keeper: &Keeper) -> Vec<(String, OwnedFd)> {
    keeper.copies().into_iter().map(|(name, fd)| (name, fd.try_clone_to_owned().unwrap())).collect()
}

#[test]
fn the_record_survives_the_loss_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, kept) = open(&path, Vec::new());
    assert!(kept.record.is_none() && !kept.inherited);
    keeper.replace(&[note("1", "old")]).unwrap();
    keeper.put(&note("2", "x")).unwrap();
    keeper.put(&note("1", "new")).unwrap();
    keeper.drop("2").unwrap();
    keeper.drop("no such").unwrap();
    let heirs = heirs(&keeper);
    assert_eq!(open(&path, Vec::new()).1.record, Some(vec![note("1", "new")]), "by the file alone");
    for damage in [Some(&b""[..]), Some(b"{\"format\":1"), Some(b"\0\0\0\0\n"), None] {
        match damage {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let copies = heirs.iter().map(|(name, fd)| (name.clone(), fd.try_clone().unwrap())).collect();
        let (_, kept) = open(&path, copies);
        assert!(kept.inherited);
        assert_eq!(kept.record, Some(vec![note("1", "new")]), "{damage:?}");
        assert!(kept.descriptors.is_empty());
    }
}

#[test]
fn a_lost_file_is_written_again_with_the_next_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, _) = open(&path, Vec::new());
    keeper.put(&note("1", "a")).unwrap();
    fs::remove_file(&path).unwrap();
    keeper.put(&note("2", "b")).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    keeper.put(&note("3", "c")).unwrap();
    let all = vec![note("1", "a"), note("2", "b"), note("3", "c")];
    assert_eq!(open(&path, Vec::new()).1.record, Some(all));
}

#[test]
fn torn_copies_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, _) = open(&path, Vec::new());
    keeper.replace(&[note("1", "old")]).unwrap();
    keeper.replace(&[note("1", "new")]).unwrap();
    fs::remove_file(&path).unwrap();
    keeper.memory[keeper.current].file().set_len(20).unwrap();
    assert_eq!(open(&path, heirs(&keeper)).1.record, Some(vec![note("1", "old")]), "the other copy counts");
}

#[test]
fn many_changes_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, _) = open(&path, Vec::new());
    let mut largest = 0;
    for number in 0..3 * CHANGES_MIN {
        keeper.put(&note(&(number % 3).to_string(), &number.to_string())).unwrap();
        largest = largest.max(fs::metadata(&path).unwrap().len());
        if number % 100 == 0 {
            let expected: Vec<_> = keeper.entries.keys().cloned().collect();
            let (_, kept) = open(&path, heirs(&keeper));
            assert_eq!(kept.record.unwrap().iter().map(Entry::key).collect::<Vec<_>>(), expected);
        }
    }
    assert!(largest < 40 * 2 * CHANGES_MIN as u64, "{largest}");
}

#[test]
fn records_of_others_are_left_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    let (mut keeper, _) = open(&path, Vec::new());
    keeper.put(&note("1", "mine")).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    let boot = host::system::boot_id().unwrap();
    for (from, to) in [("testd", "other"), ("\"format\":1", "\"format\":2"), (boot.as_str(), "no-such-boot")] {
        assert!(written.contains(from));
        fs::write(&path, written.replace(from, to)).unwrap();
        assert!(open(&path, Vec::new()).1.record.is_none(), "{to}");
    }
}

#[test]
fn a_change_that_cannot_be_written_is_an_error_and_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("folder/state.json");
    fs::create_dir(dir.path().join("folder")).unwrap();
    let (mut keeper, _) = open(&path, Vec::new());
    keeper.put(&note("1", "a")).unwrap();
    fs::remove_dir_all(dir.path().join("folder")).unwrap();
    assert!(keeper.put(&note("2", "b")).is_err());
    assert!(keeper.put(&note("1", "b")).is_err());
    assert!(keeper.drop("1").is_err());
    assert!(keeper.replace(&[note("9", "x")]).is_err());
    fs::create_dir(dir.path().join("folder")).unwrap();
    keeper.put(&note("3", "c")).unwrap();
    assert_eq!(open(&path, Vec::new()).1.record, Some(vec![note("1", "a"), note("3", "c")]));
}
