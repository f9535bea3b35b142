//! The service with real owners: processes that we start and end.

use std::fs;
use std::process::{Child, Command, Stdio};

use daemon::fd_store::FdStore;
use host::lock::{Mode, conflict};

use super::*;

struct Bench {
    dir: tempfile::TempDir,
}

/// A process that owns locks; ends with the test.
struct Guest {
    child: Child,
    pid: Pid,
}

impl Guest {
    fn start() -> Guest {
        let child = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
        let pid = Pid::open(child.id() as i32).unwrap();
        Guest { child, pid }
    }

    fn owner(&self) -> Owner {
        let (pid, start_time) = (self.pid.number(), self.pid.start_time());
        Owner { pid, start_time, uuid: "u".into(), name: format!("guest{pid}"), id: 1, since: 0 }
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    fn disk(&self, name: &str) -> Key {
        let path = self.dir.path().join(name);
        fs::write(&path, "").unwrap();
        Key { space: String::new(), name: path.to_str().unwrap().into() }
    }

    async fn start(&self, descriptors: Vec<(String, OwnedFd)>) -> Locks {
        let state = self.dir.path().join("state.json");
        let (keeper, kept) = Keeper::open("virtlockd", &state, FdStore::none(), descriptors).unwrap();
        Locks::start(keeper, kept.record, kept.descriptors, || Box::new(())).await.unwrap()
    }

    /// Runs in a runtime of its own whose tasks all die at the end, as those of a killed process.
    fn life<T: Send>(&self, work: impl AsyncFnOnce(&Locks) -> T + Send, descriptors: Vec<(String, OwnedFd)>) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { work(&self.start(descriptors).await).await })
            });
            thread.join().unwrap()
        })
    }
}

/// What an outside process sees of the lock.
fn held(key: &Key) -> Option<Mode> {
    let file = fs::OpenOptions::new().read(true).write(true).open(&key.name).unwrap();
    conflict(&file, Mode::Exclusive, 0, 1).unwrap().map(|seen| seen.mode)
}

async fn until(what: impl Fn() -> bool) {
    let end = tokio::time::timeout(Duration::from_secs(10), async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    end.await.expect("it happens");
}

#[tokio::test]
async fn a_lock_ends_with_its_owner() {
    let bench = Bench::new();
    let locks = bench.start(Vec::new()).await;
    let (key, mut guest, other) = (bench.disk("a"), Guest::start(), Guest::start());
    locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap();
    assert_eq!(held(&key), Some(Mode::Exclusive));
    assert!(locks.acquire(&key, &other.owner(), &other.pid, false, false).await.is_err());
    guest.end();
    // Before the watch has told: whoever asks after the death must not be refused.
    locks.acquire(&key, &other.owner(), &other.pid, false, false).await.unwrap();
    assert!(matches!(locks.release(&key, guest.pid.number()).await, Err(LocksError::Space(SpaceError::NotOwner(_)))));
    locks.release(&key, other.pid.number()).await.unwrap();
    assert_eq!(held(&key), None);
}

#[tokio::test]
async fn the_watch_frees_without_being_asked() {
    let bench = Bench::new();
    let locks = bench.start(Vec::new()).await;
    let (key, mut guest) = (bench.disk("a"), Guest::start());
    locks.acquire(&key, &guest.owner(), &guest.pid, true, false).await.unwrap();
    assert_eq!(held(&key), Some(Mode::Shared));
    guest.end();
    until(|| held(&key).is_none()).await;
}

#[tokio::test]
async fn an_owner_that_hangs_up_with_locks_is_ended() {
    let bench = Bench::new();
    let locks = bench.start(Vec::new()).await;
    let (key, mut guest, mut idle) = (bench.disk("a"), Guest::start(), Guest::start());
    locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap();
    locks.connection_closed(idle.pid.clone());
    locks.connection_closed(guest.pid.clone());
    assert_eq!(held(&key), Some(Mode::Exclusive), "not free before it has ended");
    until(|| !guest.pid.is_running()).await;
    guest.child.wait().unwrap();
    until(|| held(&key).is_none()).await;
    assert!(idle.child.try_wait().unwrap().is_none(), "without locks it is left alone");
}

#[tokio::test]
async fn locks_outlive_the_process_with_their_descriptors() {
    let bench = Bench::new();
    let (key, gone) = (bench.disk("a"), bench.disk("b"));
    let (mut guest, mut dead) = (Guest::start(), Guest::start());
    let heirs = bench.life(
        async |locks: &Locks| {
            locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap();
            locks.acquire(&gone, &dead.owner(), &dead.pid, false, false).await.unwrap();
            locks.inheritance().unwrap()
        },
        Vec::new(),
    );
    assert_eq!(held(&key), Some(Mode::Exclusive));
    dead.end();
    let locks = bench.start(heirs).await;
    assert_eq!(held(&key), Some(Mode::Exclusive));
    assert_eq!(held(&gone), None, "its owner ended in between");
    assert!(locks.acquire(&key, &Guest::start().owner(), &guest.pid, false, false).await.is_err());
    guest.end();
    until(|| held(&key).is_none()).await;
}

#[tokio::test]
async fn without_descriptors_locks_are_taken_again() {
    let bench = Bench::new();
    let (key, guest) = (bench.disk("a"), Guest::start());
    bench.life(
        async |locks: &Locks| locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap(),
        Vec::new(),
    );
    assert_eq!(held(&key), None);
    let locks = bench.start(Vec::new()).await;
    assert_eq!(held(&key), Some(Mode::Exclusive));
    locks.release(&key, guest.pid.number()).await.unwrap();
    assert_eq!(held(&key), None);
}

#[tokio::test]
async fn a_lock_that_somebody_else_got_is_listed_and_taken_back() {
    let bench = Bench::new();
    let (key, guest, other) = (bench.disk("a"), Guest::start(), Guest::start());
    bench.life(
        async |locks: &Locks| locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap(),
        Vec::new(),
    );
    let thief = fs::OpenOptions::new().read(true).write(true).open(&key.name).unwrap();
    assert!(host::lock::try_lock(&thief, Mode::Exclusive, 0, 1).unwrap());
    let locks = bench.start(Vec::new()).await;
    let refused = locks.acquire(&key, &other.owner(), &other.pid, false, false).await;
    assert!(matches!(refused, Err(LocksError::Space(SpaceError::Held { owners, .. })) if owners == [guest.owner()]));
    host::lock::unlock(&thief, 0, 1).unwrap();
    until(|| held(&key).is_some()).await;
    locks.release(&key, guest.pid.number()).await.unwrap();
    assert_eq!(held(&key), None);
}

#[tokio::test]
async fn a_lock_without_a_record_is_not_freed() {
    let bench = Bench::new();
    let (key, shared, guest, other) = (bench.disk("a"), bench.disk("b"), Guest::start(), Guest::start());
    let take = async |locks: &Locks| {
        locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap();
        locks.acquire(&shared, &guest.owner(), &guest.pid, true, false).await.unwrap();
        locks.inheritance().unwrap().into_iter().filter(|(name, _)| name.starts_with('l')).collect()
    };
    let heirs: Vec<_> = bench.life(take, Vec::new());
    fs::remove_file(bench.dir.path().join("state.json")).unwrap();
    // Twice: the second record knows that the owner is unknown.
    let heirs = bench.life(async |locks: &Locks| locks.inheritance().unwrap(), heirs);
    let locks = bench.start(heirs).await;
    assert!(held(&key).is_some() && held(&shared).is_some());
    assert!(locks.acquire(&key, &other.owner(), &other.pid, false, false).await.is_err());
    locks.release(&key, guest.pid.number()).await.unwrap();
    locks.acquire(&key, &other.owner(), &other.pid, false, false).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_release_is_finished() {
    let bench = Bench::new();
    let (key, guest) = (bench.disk("a"), Guest::start());
    let heirs = bench.life(
        async |locks: &Locks| {
            locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap();
            let heirs = locks.inheritance().unwrap();
            let mut inner = locks.lock();
            let (_, last) = inner.spaces.release(&key, guest.pid.number()).unwrap();
            inner.record(&key, last.as_ref()).unwrap();
            // Killed here.
            std::mem::forget(last);
            heirs
        },
        Vec::new(),
    );
    assert!(held(&key).is_some());
    bench.start(heirs).await;
    assert_eq!(held(&key), None);
}

#[tokio::test]
async fn a_release_in_progress_is_handed_over() {
    let bench = Bench::new();
    let (key, guest) = (bench.disk("a"), Guest::start());
    let heirs = bench.life(
        async |locks: &Locks| {
            locks.acquire(&key, &guest.owner(), &guest.pid, false, false).await.unwrap();
            // Off the record, and the file system has not answered yet.
            let mut inner = locks.lock();
            let (_, last) = inner.spaces.release(&key, guest.pid.number()).unwrap();
            inner.record(&key, last.as_ref()).unwrap();
            let Resource { slot, file, .. } = last.unwrap();
            inner.leaving.insert(slot, file.unwrap().as_fd().try_clone_to_owned().unwrap());
            drop(inner);
            let heirs = locks.inheritance().unwrap();
            assert!(heirs.iter().any(|(name, _)| name == "l0"));
            heirs
        },
        Vec::new(),
    );
    assert!(held(&key).is_some());
    bench.start(heirs).await;
    assert_eq!(held(&key), None);
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    let bench = Bench::new();
    let locks = bench.start(Vec::new()).await;
    let (key, other, guest) = (bench.disk("a"), bench.disk("b"), Guest::start());
    locks.acquire(&key, &guest.owner(), &guest.pid, true, false).await.unwrap();
    let record = bench.dir.path().join("state.json");
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    fs::write(record.join("in the way"), "").unwrap();
    let denied = |result: Result<(), LocksError>| assert!(matches!(result, Err(LocksError::Record(_))));
    denied(locks.acquire(&other, &guest.owner(), &guest.pid, false, false).await);
    assert_eq!(held(&other), None);
    denied(locks.acquire(&key, &guest.owner(), &guest.pid, true, false).await);
    denied(locks.release(&key, guest.pid.number()).await);
    assert_eq!(held(&key), Some(Mode::Shared));
    fs::remove_dir_all(&record).unwrap();
    locks.release(&key, guest.pid.number()).await.unwrap();
    assert_eq!(held(&key), None, "exactly one entry was left");
}
