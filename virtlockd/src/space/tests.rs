//! The lock space against real files and against a model.

use std::fs;

use proptest::prelude::*;

use super::*;

fn owner(pid: i32) -> Owner {
    Owner { pid, start_time: 10 * pid as u64, uuid: format!("{pid}"), name: format!("guest{pid}"), id: 1, since: 0 }
}

/// As the service does it: admit, lock, enter. Says whether a file was opened.
fn acquire(
    spaces: &mut Spaces,
    key: &Key,
    owner: Owner,
    shared: bool,
    autocreate: bool,
    slot: Slot,
) -> Result<bool, SpaceError> {
    match spaces.admit(key, &owner, shared, autocreate)? {
        Admission::Joined => Ok(false),
        Admission::Open { path, want } => {
            let file = LockFile::acquire(&path, want).map_err(|e| refused(key, e, autocreate))?;
            spaces.insert(key, Resource { path, shared, autocreate, owners: vec![owner], slot, file: Some(file) });
            Ok(true)
        }
    }
}

fn create_space(spaces: &mut Spaces, path: &str, exclusive: bool) -> Result<(), SpaceError> {
    if spaces.admit_space(path, exclusive)? {
        make_space(path)?;
        spaces.remember_space(path);
    }
    Ok(())
}

/// What the end of a process frees.
fn release_owner(spaces: &mut Spaces, owner: OwnerKey) -> Vec<Resource> {
    spaces.held_by(owner).iter().filter_map(|key| spaces.forget_owner(key, owner)).collect()
}

fn slot(number: u64) -> Slot {
    Slot::new('l', number)
}

struct Bench {
    dir: tempfile::TempDir,
    spaces: Spaces,
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap(), spaces: Spaces::new() }
    }

    fn disk(&self, name: &str) -> Key {
        let path = self.dir.path().join(name);
        fs::write(&path, "").unwrap();
        Key { space: String::new(), name: path.to_str().unwrap().into() }
    }

    fn lease(&mut self, name: &str) -> Key {
        let space = self.dir.path().join("space").to_str().unwrap().to_owned();
        create_space(&mut self.spaces, &space, false).unwrap();
        Key { space, name: name.into() }
    }
}

#[test]
fn one_exclusive_owner() {
    let mut bench = Bench::new();
    let key = bench.disk("a");
    assert!(acquire(&mut bench.spaces, &key, owner(1), false, false, slot(1)).unwrap());
    for shared in [false, true] {
        let refused = acquire(&mut bench.spaces, &key, owner(2), shared, false, slot(2)).unwrap_err();
        assert!(matches!(refused, SpaceError::Held { owners, .. } if owners == [owner(1)]));
    }
    assert!(matches!(bench.spaces.free(&key).and_then(|path| make_file(&key, &path)), Err(SpaceError::Held { .. })));
    assert!(matches!(bench.spaces.free(&key).and_then(|path| remove_file(&key, &path)), Err(SpaceError::Held { .. })));
    assert!(matches!(bench.spaces.release(&key, 2), Err(SpaceError::NotOwner(2))));
    assert!(bench.spaces.release(&key, 1).unwrap().1.is_some());
    assert!(matches!(bench.spaces.release(&key, 1), Err(SpaceError::NotHeld(_))));
    assert!(acquire(&mut bench.spaces, &key, owner(2), false, false, slot(3)).unwrap());
}

#[test]
fn shared_owners_add_up() {
    let mut bench = Bench::new();
    let key = bench.lease("r");
    assert!(acquire(&mut bench.spaces, &key, owner(1), true, true, slot(1)).unwrap());
    assert!(!acquire(&mut bench.spaces, &key, owner(2), true, true, slot(2)).unwrap());
    assert!(!acquire(&mut bench.spaces, &key, owner(1), true, true, slot(3)).unwrap());
    assert!(matches!(acquire(&mut bench.spaces, &key, owner(3), false, true, slot(4)), Err(SpaceError::Held { .. })));
    assert!(bench.spaces.release(&key, 1).unwrap().1.is_none());
    assert!(bench.spaces.holds(owner(1).key()));
    assert!(release_owner(&mut bench.spaces, owner(1).key()).is_empty());
    assert!(!bench.spaces.holds(owner(1).key()));
    let freed = release_owner(&mut bench.spaces, owner(2).key());
    assert_eq!(freed.len(), 1);
    assert_eq!(freed[0].slot, slot(1));
}

#[test]
fn a_reused_pid_is_another_owner() {
    let mut bench = Bench::new();
    let key = bench.disk("a");
    acquire(&mut bench.spaces, &key, owner(7), false, false, slot(1)).unwrap();
    assert!(release_owner(&mut bench.spaces, (7, 71)).is_empty());
    assert_eq!(release_owner(&mut bench.spaces, (7, 70)).len(), 1);
}

#[test]
fn spaces_are_folders() {
    let mut bench = Bench::new();
    let root = bench.dir.path().to_str().unwrap().to_owned();
    let deep = format!("{root}/x/y");
    create_space(&mut bench.spaces, &deep, true).unwrap();
    create_space(&mut bench.spaces, &deep, false).unwrap();
    assert!(matches!(create_space(&mut bench.spaces, &deep, true), Err(SpaceError::SpaceExists(_))));
    fs::write(format!("{root}/file"), "").unwrap();
    assert!(matches!(
        create_space(&mut bench.spaces, &format!("{root}/file"), false),
        Err(SpaceError::NotADirectory(_))
    ));
    let missing = Key { space: format!("{root}/none"), name: "r".into() };
    assert!(matches!(
        acquire(&mut bench.spaces, &missing, owner(1), false, true, slot(1)),
        Err(SpaceError::NoSpace(_))
    ));
    let key = Key { space: deep, name: "r".into() };
    bench.spaces.free(&key).and_then(|path| make_file(&key, &path)).unwrap();
    bench.spaces.free(&key).and_then(|path| make_file(&key, &path)).unwrap();
    bench.spaces.free(&key).and_then(|path| remove_file(&key, &path)).unwrap();
    bench.spaces.free(&key).and_then(|path| remove_file(&key, &path)).unwrap();
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let mut bench = Bench::new();
    let space = bench.lease("").space;
    for name in ["", ".", "..", "../a", "a/b", "/etc/passwd"] {
        let key = Key { space: space.clone(), name: name.into() };
        assert!(
            matches!(acquire(&mut bench.spaces, &key, owner(1), false, true, slot(1)), Err(SpaceError::BadName(_))),
            "{name}"
        );
    }
    for name in ["", "a", "./a", "/a/../b", "/.."] {
        let key = Key { space: String::new(), name: name.into() };
        assert!(
            matches!(acquire(&mut bench.spaces, &key, owner(1), false, true, slot(1)), Err(SpaceError::BadName(_))),
            "{name}"
        );
        assert!(
            name.is_empty() || matches!(create_space(&mut bench.spaces, name, false), Err(SpaceError::BadName(_))),
            "{name}"
        );
    }
    std::os::unix::fs::symlink("/etc/passwd", format!("{space}/link")).unwrap();
    let link = Key { space, name: "link".into() };
    assert!(matches!(
        acquire(&mut bench.spaces, &link, owner(1), false, true, slot(1)),
        Err(SpaceError::System { .. })
    ));
    assert!(matches!(
        bench.spaces.free(&link).and_then(|path| make_file(&link, &path)),
        Err(SpaceError::System { .. })
    ));
}

#[test]
fn one_disk_under_two_names() {
    let mut bench = Bench::new();
    let key = bench.disk("a");
    let link = bench.dir.path().join("b");
    std::os::unix::fs::symlink(&key.name, &link).unwrap();
    acquire(&mut bench.spaces, &key, owner(1), false, false, slot(1)).unwrap();
    let other = Key { space: String::new(), name: link.to_str().unwrap().into() };
    let refused = acquire(&mut bench.spaces, &other, owner(2), false, false, slot(2)).unwrap_err();
    assert!(matches!(refused, SpaceError::HeldOutside { pid: None, .. }));
}

/// A step of a random history: who, which of three disks, what.
#[derive(Clone, Debug)]
enum Step {
    Acquire { pid: i32, disk: usize, shared: bool },
    Release { pid: i32, disk: usize },
    Die { pid: i32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..4i32, 0..3usize, any::<bool>()).prop_map(|(pid, disk, shared)| Step::Acquire { pid, disk, shared }),
        (1..4i32, 0..3usize).prop_map(|(pid, disk)| Step::Release { pid, disk }),
        (1..4i32).prop_map(|pid| Step::Die { pid }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens, an exclusive lock has one owner, and the kernel agrees with the table.
    #[test]
    fn table_kernel_and_model_agree(steps in proptest::collection::vec(step(), 1..60)) {
        let mut bench = Bench::new();
        let disks: Vec<Key> = ["a", "b", "c"].iter().map(|name| bench.disk(name)).collect();
        // The model: is it shared, and who holds it how often.
        let mut model: Vec<(bool, Vec<i32>)> = vec![(false, Vec::new()); 3];
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Acquire { pid, disk, shared } => {
                    let (was_shared, owners) = &mut model[disk];
                    let allowed = owners.is_empty() || (shared && *was_shared);
                    let got = acquire(&mut bench.spaces, &disks[disk], owner(pid), shared, false, slot(number as u64));
                    prop_assert_eq!(got.is_ok(), allowed);
                    if allowed {
                        *was_shared = shared;
                        owners.push(pid);
                    }
                }
                Step::Release { pid, disk } => {
                    let owners = &mut model[disk].1;
                    let at = owners.iter().rposition(|p| *p == pid);
                    let got = bench.spaces.release(&disks[disk], pid);
                    prop_assert_eq!(got.is_ok(), at.is_some());
                    if let Some(at) = at {
                        owners.remove(at);
                        prop_assert_eq!(got.unwrap().1.is_some(), owners.is_empty());
                    }
                }
                Step::Die { pid } => {
                    let mut freed = 0;
                    for (_, owners) in &mut model {
                        let before = owners.len();
                        owners.retain(|p| *p != pid);
                        freed += usize::from(before > 0 && owners.is_empty());
                    }
                    prop_assert_eq!(release_owner(&mut bench.spaces, owner(pid).key()).len(), freed);
                }
            }
            for (disk, (shared, owners)) in model.iter().enumerate() {
                let file = fs::OpenOptions::new().read(true).write(true).open(&disks[disk].name).unwrap();
                let seen = host::lock::conflict(&file, host::lock::Mode::Exclusive, 0, 1).unwrap();
                let mode = if *shared { host::lock::Mode::Shared } else { host::lock::Mode::Exclusive };
                prop_assert_eq!(seen.map(|c| c.mode), (!owners.is_empty()).then_some(mode));
            }
        }
    }
}
