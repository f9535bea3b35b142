//! The service in one process: what a restart keeps is handed over as the service manager would.

use std::fs::{self, File};
use std::io::Write;

use daemon::fd_store::FdStore;

use super::*;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn start(&self, descriptors: Vec<(String, OwnedFd)>) -> Logs {
        self.start_with(1_000, descriptors)
    }

    fn start_with(&self, max_size: u64, descriptors: Vec<(String, OwnedFd)>) -> Logs {
        let state = self.dir.path().join("state.json");
        let (keeper, kept) = Keeper::open("virtlogd", &state, FdStore::none(), descriptors).unwrap();
        let limits = Limits { max_size, max_backups: 3 };
        Logs::start(limits, keeper, kept.record, kept.descriptors, self.dir.path(), Box::new(|| Box::new(()))).unwrap()
    }

    /// What the next process would find on record: slots and paths.
    fn recorded(&self) -> Vec<(String, String)> {
        let state = self.dir.path().join("state.json");
        let (_, kept) = Keeper::open::<Entry>("virtlogd", &state, FdStore::none(), Vec::new()).unwrap();
        kept.record.unwrap().into_iter().map(|entry| (entry.slot.as_str().to_owned(), entry.path)).collect()
    }
}

fn writer() -> Writer {
    Writer { driver: "qemu".into(), domain: "guest".into(), uuid: "u".into() }
}

/// Runs in a runtime of its own whose tasks all die at the end, as those of a killed process.
fn in_a_life_of_its_own<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        });
        thread.join().unwrap()
    })
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
async fn a_log_from_open_to_close() {
    let bench = Bench::new();
    let logs = bench.start(Vec::new());
    let path = bench.path("x.log");
    assert!(matches!(logs.position(&path).await, Err(LogsError::NotOpen(_))));
    let (position, pipe) = logs.open(&path, writer(), false).await.unwrap();
    assert_eq!(position.offset, 0);
    assert!(matches!(logs.open(&path, writer(), true).await, Err(LogsError::Open(_))));
    let doubled = path.replace("/x.log", "//./x.log");
    assert!(matches!(logs.open(&doubled, writer(), true).await, Err(LogsError::Open(_))));
    let mut pipe = File::from(pipe);
    pipe.write_all(b"one\n").unwrap();
    logs.append(&path, b"two\n".to_vec()).await.unwrap();
    pipe.write_all(b"three\n").unwrap();
    let end = logs.position(&path).await.unwrap();
    assert_eq!((end.inode, end.offset), (position.inode, 14));
    assert_eq!(logs.read(&path, position, 100).await.unwrap(), b"one\ntwo\nthree\n");
    assert_eq!(bench.recorded(), [("p0".to_owned(), path.clone())]);
    pipe.write_all(b"last\n").unwrap();
    drop(pipe);
    until(|| !logs.is_open(Path::new(&path))).await;
    assert_eq!(bench.recorded(), []);
    assert_eq!(logs.read(&path, end, 100).await.unwrap(), b"last\n");
    logs.append(&path, b"closed\n".to_vec()).await.unwrap();
    let (position, _pipe) = logs.open(&path, writer(), false).await.unwrap();
    assert_eq!(position.offset, 26);
}

#[tokio::test]
async fn truncation_takes_the_backups_along() {
    let bench = Bench::new();
    let logs = bench.start(Vec::new());
    let path = bench.path("x.log");
    logs.append(&path, vec![b'x'; 3_500]).await.unwrap();
    assert!(fs::exists(bench.path("x.log.2")).unwrap());
    let (position, _pipe) = logs.open(&path, writer(), true).await.unwrap();
    assert_eq!(position.offset, 0);
    assert!(!fs::exists(bench.path("x.log.0")).unwrap() && !fs::exists(bench.path("x.log.2")).unwrap());
}

#[tokio::test]
async fn paths_that_lead_elsewhere_are_refused() {
    let bench = Bench::new();
    let logs = bench.start(Vec::new());
    for path in ["", "x.log", "./x", "/a/../etc/x", "/..", "/", "/tmp/"] {
        assert!(matches!(logs.open(path, writer(), false).await, Err(LogsError::BadPath(_))), "{path}");
        assert!(matches!(logs.append(path, b"x".to_vec()).await, Err(LogsError::BadPath(_))), "{path}");
        assert!(
            matches!(logs.read(path, Position { inode: 0, offset: 0 }, 9).await, Err(LogsError::BadPath(_))),
            "{path}"
        );
    }
    assert!(matches!(logs.open("/nonexistent/x", writer(), false).await, Err(LogsError::System { .. })));
    std::os::unix::fs::symlink("/etc/hostname", bench.path("link.log")).unwrap();
    assert!(logs.open(&bench.path("link.log"), writer(), true).await.is_ok(), "truncation removes the link itself");
    std::os::unix::fs::symlink("/etc/hostname", bench.path("other.log")).unwrap();
    assert!(matches!(logs.open(&bench.path("other.log"), writer(), false).await, Err(LogsError::System { .. })));
    assert!(matches!(logs.append(&bench.path("other.log"), b"x".to_vec()).await, Err(LogsError::System { .. })));
}

#[tokio::test]
async fn a_log_that_cannot_be_recorded_is_not_opened() {
    let bench = Bench::new();
    let logs = bench.start(Vec::new());
    let record = bench.dir.path().join("state.json");
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    fs::write(record.join("in the way"), "").unwrap();
    let path = bench.path("x.log");
    assert!(matches!(logs.open(&path, writer(), false).await, Err(LogsError::Record(_))));
    assert!(!logs.is_open(Path::new(&path)));
}

#[tokio::test]
async fn the_next_process_goes_on_with_the_pipes() {
    let bench = Bench::new();
    let path = bench.path("x.log");
    let (position, pipe, heirs) = in_a_life_of_its_own(async || {
        let logs = bench.start(Vec::new());
        let (position, pipe) = logs.open(&path, writer(), false).await.unwrap();
        (position, pipe, logs.inheritance().unwrap())
    });
    let mut pipe = File::from(pipe);
    pipe.write_all(b"one\n").unwrap();
    assert_eq!(heirs.len(), 3, "the pipe and two copies of the record");
    // Without the record's file, as well.
    fs::remove_file(bench.path("state.json")).unwrap();
    let next = bench.start(heirs);
    pipe.write_all(b"two\n").unwrap();
    assert_eq!(next.position(&path).await.unwrap().offset, 8);
    assert_eq!(next.read(&path, position, 100).await.unwrap(), b"one\ntwo\n");
    let (_, other) = next.open(&bench.path("y.log"), writer(), false).await.unwrap();
    assert_eq!(bench.recorded()[1].0, "p1", "names are not used twice");
    drop(other);
}

#[tokio::test]
async fn a_pipe_without_its_descriptor_is_found_at_the_guest() {
    let bench = Bench::new();
    let path = bench.path("x.log");
    let (read, write) = pipe().unwrap();
    let mut guest = std::process::Command::new("sh")
        .args(["-c", "echo before; read go; echo after; read go"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::from(write))
        .spawn()
        .unwrap();
    let mut fds = [nix::poll::PollFd::new(read.as_fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, nix::poll::PollTimeout::from(5_000u16)).unwrap();
    let entry = |name: &str, slot, pipe| Entry {
        path: bench.path(name),
        driver: "qemu".into(),
        domain: "g".into(),
        uuid: "u".into(),
        slot: Slot::new('p', slot),
        pipe,
        remote: false,
        losing: false,
    };
    let files = vec![entry("x.log", 4, inode(&read).unwrap()), entry("gone.log", 5, 1)];
    let state = bench.dir.path().join("state.json");
    let (mut keeper, _) = Keeper::open::<Entry>("virtlogd", &state, FdStore::none(), Vec::new()).unwrap();
    keeper.replace(&files).unwrap();
    drop((read, keeper));
    let logs = bench.start(Vec::new());
    assert!(!logs.is_open(Path::new(&bench.path("gone.log"))));
    let stdin = guest.stdin.as_mut().unwrap();
    stdin.write_all(b"go\ngo\n").unwrap();
    guest.wait().unwrap();
    until(|| !logs.is_open(Path::new(&path))).await;
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("\n2"), "{text}");
    assert!(text.contains("may be missing here\n"), "{text}");
    assert!(text.ends_with("here\nbefore\nafter\n"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_holds_up_its_own_logs_only() {
    let bench = Bench::new();
    let (stuck, free) = (bench.path("stuck.log"), bench.path("free.log"));
    let (read, write) = new_pipe().unwrap();
    let entry = Entry {
        path: stuck.clone(),
        driver: "qemu".into(),
        domain: "g".into(),
        uuid: "u".into(),
        slot: Slot::new('p', 0),
        pipe: inode(&read).unwrap(),
        remote: true,
        losing: false,
    };
    let state = bench.dir.path().join("state.json");
    let (mut keeper, _) = Keeper::open::<Entry>("virtlogd", &state, FdStore::none(), Vec::new()).unwrap();
    keeper.replace(&[entry]).unwrap();
    drop(keeper);
    let mut guest = File::from(write);
    guest.write_all(b"said before\n").unwrap();
    let logs = bench.start(vec![("p0".into(), read)]);
    // A thread that does not come back from the file system holds the log.
    let open = logs.find(&stuck).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (here, there) = std::sync::mpsc::channel();
    let held = std::thread::spawn(move || {
        let _log = open.log();
        here.send(()).unwrap();
        let _ = stopped.recv();
    });
    there.recv().unwrap();
    let (waiting, path) = (logs.clone(), stuck.clone());
    let position = tokio::spawn(async move { waiting.position(&path).await });
    let (start, pipe) = logs.open(&free, writer(), false).await.unwrap();
    File::from(pipe).write_all(b"not held up\n").unwrap();
    assert_eq!(logs.read(&free, start, 100).await.unwrap(), b"not held up\n");
    assert!(!position.is_finished());
    drop(stop);
    held.join().unwrap();
    assert_eq!(position.await.unwrap().unwrap().offset, 12);
    assert_eq!(fs::read(&stuck).unwrap(), b"said before\n");
}

#[tokio::test]
async fn a_loss_is_marked_even_if_the_process_ends_meanwhile() {
    let bench = Bench::new();
    let folder = bench.dir.path().join("full");
    fs::create_dir(&folder).unwrap();
    let path = bench.path("full/x.log");
    let (pipe, heirs) = in_a_life_of_its_own(async || {
        let logs = bench.start_with(100, Vec::new());
        let (_, pipe) = logs.open(&path, writer(), false).await.unwrap();
        let mut pipe = File::from(pipe);
        fs::remove_dir_all(&folder).unwrap();
        pipe.write_all(&[b'x'; 500]).unwrap();
        until(|| logs.find(&path).unwrap().log().is_losing()).await;
        (pipe, logs.inheritance().unwrap())
    });
    let _logs = bench.start_with(1_000, heirs);
    fs::create_dir(&folder).unwrap();
    until(|| fs::read_to_string(&path).is_ok_and(|text| text.contains("virtlogd: unknown number of bytes lost: ")))
        .await;
    let mut pipe = pipe;
    pipe.write_all(b"back\n").unwrap();
    until(|| fs::read(&path).is_ok_and(|bytes| bytes.ends_with(b"back\n"))).await;
    let state = bench.dir.path().join("state.json");
    let (_, kept) = Keeper::open::<Entry>("virtlogd", &state, FdStore::none(), Vec::new()).unwrap();
    assert!(kept.record.unwrap().iter().all(|entry| !entry.losing));
}

#[tokio::test]
async fn a_log_is_opened_once() {
    let bench = Bench::new();
    let logs = bench.start(Vec::new());
    let path = bench.path("x.log");
    let first = logs.reserve(Path::new(&path)).unwrap();
    assert!(matches!(logs.open(&path, writer(), true).await, Err(LogsError::Open(_))));
    drop(first);
    let (_, _pipe) = logs.open(&path, writer(), false).await.unwrap();
    assert!(logs.reserve(Path::new(&path)).is_none());
    // Another program's lease is an error, neither a wait nor an end.
    let script = "import fcntl, signal, sys\nsignal.signal(signal.SIGIO, signal.SIG_IGN)\nfile = open(sys.argv[1], 'w')\nfcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
                  print(flush=True)\nsys.stdin.read()\n";
    let leased = bench.path("leased.log");
    let mut command = std::process::Command::new("python3");
    command.args(["-c", script, &leased]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut answer = std::io::BufReader::new(holder.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut answer, &mut String::new()).unwrap();
    let refused = logs.append(&leased, b"x".to_vec()).await;
    let Err(LogsError::System { source, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.kind(), io::ErrorKind::ResourceBusy);
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[tokio::test]
async fn a_pipe_without_a_record_still_flows() {
    let bench = Bench::new();
    let (pipe, heirs) = in_a_life_of_its_own(async || {
        let logs = bench.start(Vec::new());
        let (_, pipe) = logs.open(&bench.path("x.log"), writer(), false).await.unwrap();
        (pipe, logs.inheritance().unwrap().into_iter().filter(|(name, _)| name == "p0").collect())
    });
    fs::remove_file(bench.path("state.json")).unwrap();
    let next = bench.start(heirs);
    File::from(pipe).write_all(b"still here\n").unwrap();
    let fallback = bench.path("unknown-p0.log");
    until(|| fs::read(&fallback).is_ok_and(|bytes| bytes == b"still here\n")).await;
    until(|| !next.is_open(Path::new(&fallback))).await;
}

#[tokio::test]
async fn a_flooding_guest_does_not_starve_a_quiet_one() {
    let bench = Bench::new();
    let logs = bench.start_with(2_000_000, Vec::new());
    let (_, flood) = logs.open(&bench.path("flood.log"), writer(), false).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stop.clone();
    let flooder = std::thread::spawn(move || {
        let mut flood = File::from(flood);
        while !flag.load(std::sync::atomic::Ordering::Relaxed) {
            flood.write_all(&[b'x'; 65_536]).unwrap();
        }
    });
    let (_, quiet) = logs.open(&bench.path("quiet.log"), writer(), false).await.unwrap();
    let mut quiet = File::from(quiet);
    for count in 1..=20 {
        quiet.write_all(b"tick\n").unwrap();
        let place = bench.path("quiet.log");
        until(|| fs::metadata(&place).is_ok_and(|found| found.size() == 5 * count)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    // The flooder's last write ends when the log is read on.
    until(|| flooder.is_finished()).await;
    flooder.join().unwrap();
}
