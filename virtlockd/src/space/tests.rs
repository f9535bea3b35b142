//! The lock space against real files and against a model.

use std::fs;

use proptest::prelude::*;

use super::*;

fn owner(pid: i32) -> Owner {
    Owner { pid, start_time: 10 * pid as u64, uuid: format!("{pid}"), name: format!("guest{pid}"), id: 1, since: 0 }
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
        self.spaces.create_space(&space, false).unwrap();
        Key { space, name: name.into() }
    }
}

#[test]
fn one_exclusive_owner() {
    let mut bench = Bench::new();
    let key = bench.disk("a");
    assert!(bench.spaces.acquire(&key, owner(1), false, false, slot(1)).unwrap());
    for shared in [false, true] {
        let refused = bench.spaces.acquire(&key, owner(2), shared, false, slot(2)).unwrap_err();
        assert!(matches!(refused, SpaceError::Held { owners, .. } if owners == [owner(1)]));
    }
    assert!(matches!(bench.spaces.create_resource(&key), Err(SpaceError::Held { .. })));
    assert!(matches!(bench.spaces.delete_resource(&key), Err(SpaceError::Held { .. })));
    assert!(matches!(bench.spaces.release(&key, 2), Err(SpaceError::NotOwner(2))));
    assert!(bench.spaces.release(&key, 1).unwrap().1.is_some());
    assert!(matches!(bench.spaces.release(&key, 1), Err(SpaceError::NotHeld(_))));
    assert!(bench.spaces.acquire(&key, owner(2), false, false, slot(3)).unwrap());
}

#[test]
fn shared_owners_add_up() {
    let mut bench = Bench::new();
    let key = bench.lease("r");
    assert!(bench.spaces.acquire(&key, owner(1), true, true, slot(1)).unwrap());
    assert!(!bench.spaces.acquire(&key, owner(2), true, true, slot(2)).unwrap());
    assert!(!bench.spaces.acquire(&key, owner(1), true, true, slot(3)).unwrap());
    assert!(matches!(bench.spaces.acquire(&key, owner(3), false, true, slot(4)), Err(SpaceError::Held { .. })));
    assert!(bench.spaces.release(&key, 1).unwrap().1.is_none());
    assert!(bench.spaces.holds(owner(1).key()));
    assert!(bench.spaces.release_owner(owner(1).key()).is_empty());
    assert!(!bench.spaces.holds(owner(1).key()));
    let freed = bench.spaces.release_owner(owner(2).key());
    assert_eq!(freed.len(), 1);
    assert_eq!(freed[0].slot, slot(1));
}

#[test]
fn a_reused_pid_is_another_owner() {
    let mut bench = Bench::new();
    let key = bench.disk("a");
    bench.spaces.acquire(&key, owner(7), false, false, slot(1)).unwrap();
    assert!(bench.spaces.release_owner((7, 71)).is_empty());
    assert_eq!(bench.spaces.release_owner((7, 70)).len(), 1);
}

#[test]
fn spaces_are_folders() {
    let mut bench = Bench::new();
    let root = bench.dir.path().to_str().unwrap().to_owned();
    let deep = format!("{root}/x/y");
    bench.spaces.create_space(&deep, true).unwrap();
    bench.spaces.create_space(&deep, false).unwrap();
    assert!(matches!(bench.spaces.create_space(&deep, true), Err(SpaceError::SpaceExists(_))));
    fs::write(format!("{root}/file"), "").unwrap();
    assert!(matches!(bench.spaces.create_space(&format!("{root}/file"), false), Err(SpaceError::NotADirectory(_))));
    let missing = Key { space: format!("{root}/none"), name: "r".into() };
    assert!(matches!(bench.spaces.acquire(&missing, owner(1), false, true, slot(1)), Err(SpaceError::NoSpace(_))));
    let key = Key { space: deep, name: "r".into() };
    bench.spaces.create_resource(&key).unwrap();
    bench.spaces.create_resource(&key).unwrap();
    bench.spaces.delete_resource(&key).unwrap();
    bench.spaces.delete_resource(&key).unwrap();
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let mut bench = Bench::new();
    let space = bench.lease("").space;
    for name in ["", ".", "..", "../a", "a/b", "/etc/passwd"] {
        let key = Key { space: space.clone(), name: name.into() };
        assert!(
            matches!(bench.spaces.acquire(&key, owner(1), false, true, slot(1)), Err(SpaceError::BadName(_))),
            "{name}"
        );
    }
    for name in ["", "a", "./a", "/a/../b", "/.."] {
        let key = Key { space: String::new(), name: name.into() };
        assert!(
            matches!(bench.spaces.acquire(&key, owner(1), false, true, slot(1)), Err(SpaceError::BadName(_))),
            "{name}"
        );
        assert!(
            name.is_empty() || matches!(bench.spaces.create_space(name, false), Err(SpaceError::BadName(_))),
            "{name}"
        );
    }
    std::os::unix::fs::symlink("/etc/passwd", format!("{space}/link")).unwrap();
    let link = Key { space, name: "link".into() };
    assert!(matches!(bench.spaces.acquire(&link, owner(1), false, true, slot(1)), Err(SpaceError::System { .. })));
    assert!(matches!(bench.spaces.create_resource(&link), Err(SpaceError::System { .. })));
}

#[test]
fn one_disk_under_two_names() {
    let mut bench = Bench::new();
    let key = bench.disk("a");
    let link = bench.dir.path().join("b");
    std::os::unix::fs::symlink(&key.name, &link).unwrap();
    bench.spaces.acquire(&key, owner(1), false, false, slot(1)).unwrap();
    let other = Key { space: String::new(), name: link.to_str().unwrap().into() };
    let refused = bench.spaces.acquire(&other, owner(2), false, false, slot(2)).unwrap_err();
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
                    let got = bench.spaces.acquire(&disks[disk], owner(pid), shared, false, slot(number as u64));
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
                    prop_assert_eq!(bench.spaces.release_owner(owner(pid).key()).len(), freed);
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
