//! The daemon as its clients see it: over the socket, killed and started again.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod client;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use client::{Client, Guest};
use error::Code;
use host::lock::{Mode, conflict};
use testkit::manager::Manager;

const PROGRAM: &str = env!("CARGO_BIN_EXE_virtlockd");

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    fn manager(&self) -> Manager {
        let mut manager = Manager::new(PROGRAM, "virtlockd", self.dir.path()).unwrap();
        manager.start().unwrap();
        manager
    }

    fn disk(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, "").unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// What an outside process sees of the lock on byte 0.
fn held(path: &str) -> Option<Mode> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    conflict(&file, Mode::Exclusive, 0, 1).unwrap().map(|seen| seen.mode)
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !what() {
        assert!(Instant::now() < end, "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn errors_are_libvirts() {
    let bench = Bench::new();
    let manager = bench.manager();
    let mut client = Client::connect(&manager.socket());
    let disk = bench.disk("a");
    let unregistered = "Requested operation is not valid: lock owner details have not been registered";
    for answer in
        [client.acquire("", &disk, 0), client.restrict(0), client.new_space("/x", 0), client.register_as(1, 0)]
    {
        answer.is(Code::OperationInvalid, 7, unregistered);
    }
    let guest = Guest::start();
    client.register(&guest).ok();
    let flags =
        |name: &str, bits: &str| format!("unsupported flags ({bits}) in function virLockSpaceProtocolDispatch{name}");
    client.acquire("", &disk, 8).is(Code::InvalidArg, 7, &flags("AcquireResource", "0x8"));
    client.release_flags("", &disk, 1).is(Code::InvalidArg, 7, &flags("ReleaseResource", "0x1"));
    client.acquire("/nosuch", "x", 0).is(
        Code::InternalError,
        7,
        "internal error: Lockspace for path /nosuch does not exist",
    );
    let missing = format!("{disk}.missing");
    let text = format!("Unable to open resource {missing}: No such file or directory");
    client.acquire("", &missing, 0).is(Code::SystemError, 51, &text);
    client.acquire("", &disk, 0).ok();
    let locked = format!("resource busy: Lockspace resource '{disk}' is locked");
    client.acquire("", &disk, 0).begins(Code::ResourceBusy, 51, &locked);
    let holder = format!("(by guest 'guest', uuid 07070707-0707-0707-0707-070707070707, pid {}, since 20", guest.pid());
    client.acquire("", &disk, 1).contains(Code::ResourceBusy, 51, &holder);
    client.create("", &disk).begins(Code::ResourceBusy, 51, &locked);
    client.delete("", &disk).begins(Code::ResourceBusy, 51, &locked);
    let other = Guest::start();
    let mut second = Client::connect(&manager.socket());
    second.register(&other).ok();
    let text = format!("internal error: owner {} does not hold the resource lock", other.pid());
    second.release("", &disk).is(Code::InternalError, 51, &text);
    client.release("", &disk).ok();
    let text = format!("resource busy: Lockspace resource '{disk}' is not locked");
    client.release("", &disk).is(Code::ResourceBusy, 51, &text);
    client.new_space("", 0).is(
        Code::OperationInvalid,
        7,
        "Requested operation is not valid: the default lockspace already exists",
    );
    let space = bench.dir.path().join("space").to_str().unwrap().to_owned();
    client.new_space(&space, 0).ok();
    let text = format!("internal error: Lockspace for path {space} already exists");
    client.new_space(&space, 0).is(Code::InternalError, 7, &text);
    client.create_space(&space).ok();
    client.create_space("").ok();
    let text = format!("internal error: Lockspace location {disk} exists, but is not a directory");
    client.create_space(&disk).is(Code::InternalError, 51, &text);
    second.restrict(0).ok();
    let text = "operation forbidden: lock manager connection has been restricted";
    for answer in [second.restrict(0), second.register(&other), second.create_space("/x"), second.acquire("", &disk, 0)]
    {
        answer.is(Code::OperationDenied, 7, text);
    }
}

#[test]
fn leases_come_and_go_with_their_holders() {
    let bench = Bench::new();
    let manager = bench.manager();
    let (one, two) = (Guest::start(), Guest::start());
    let (mut first, mut second) = (Client::connect(&manager.socket()), Client::connect(&manager.socket()));
    first.register(&one).ok();
    second.register(&two).ok();
    let space = bench.dir.path().join("leases").to_str().unwrap().to_owned();
    first.create_space(&space).ok();
    first.acquire(&space, "r", 3).ok();
    let file = format!("{space}/r");
    assert_eq!(held(&file), Some(Mode::Shared));
    second.acquire(&space, "r", 3).ok();
    second.acquire(&space, "r", 2).begins(Code::ResourceBusy, 51, "resource busy: Lockspace resource 'r' is locked");
    first.release(&space, "r").ok();
    assert_eq!(held(&file), Some(Mode::Shared));
    second.release(&space, "r").ok();
    assert!(!fs::exists(&file).unwrap());
}

#[test]
fn a_lock_is_there_at_every_instant_of_fifty_kills() {
    let bench = Bench::new();
    let mut manager = bench.manager();
    let disk = bench.disk("a");
    let (mut guest, other) = (Guest::start(), Guest::start());
    let mut client = Client::connect(&manager.socket());
    client.register(&guest).ok();
    client.acquire("", &disk, 0).ok();
    // An outside process looks all the time.
    let path = disk.clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stop.clone();
    let watch = std::thread::spawn(move || {
        let mut looks = 0;
        while !flag.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(held(&path), Some(Mode::Exclusive), "after {looks} looks");
            looks += 1;
        }
        looks
    });
    for _ in 0..50 {
        manager.kill().unwrap();
        manager.start().unwrap();
        let mut client = Client::connect(&manager.socket());
        client.register(&other).ok();
        client.acquire("", &disk, 0).begins(Code::ResourceBusy, 51, "resource busy: Lockspace");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(watch.join().unwrap() > 100);
    assert_eq!(manager.stored(), ["l0", "state-a", "state-b"]);
    guest.end();
    until(|| held(&disk).is_none());
    until(|| manager.stored() == ["state-a", "state-b"]);
}

#[test]
fn an_owner_that_ends_while_nobody_watches_is_noticed() {
    let bench = Bench::new();
    let mut manager = bench.manager();
    let disk = bench.disk("a");
    let mut guest = Guest::start();
    let mut client = Client::connect(&manager.socket());
    client.register(&guest).ok();
    client.acquire("", &disk, 0).ok();
    manager.kill().unwrap();
    guest.end();
    assert_eq!(held(&disk), Some(Mode::Exclusive), "the store holds it");
    manager.start().unwrap();
    assert_eq!(held(&disk), None);
    assert_eq!(manager.stored(), ["state-a", "state-b"]);
}

#[test]
fn without_a_store_locks_are_taken_again_and_losses_told() {
    let bench = Bench::new();
    let mut manager = Manager::bare(PROGRAM, "virtlockd", bench.dir.path()).unwrap();
    manager.start().unwrap();
    let (kept, lost) = (bench.disk("kept"), bench.disk("lost"));
    let (guest, other) = (Guest::start(), Guest::start());
    let mut client = Client::connect(&manager.socket());
    client.register(&guest).ok();
    client.acquire("", &kept, 0).ok();
    client.acquire("", &lost, 0).ok();
    manager.kill().unwrap();
    let thief = fs::OpenOptions::new().read(true).write(true).open(&lost).unwrap();
    assert!(host::lock::try_lock(&thief, Mode::Exclusive, 0, 1).unwrap());
    manager.start().unwrap();
    let mut client = Client::connect(&manager.socket());
    client.register(&other).ok();
    assert_eq!(held(&kept), Some(Mode::Exclusive), "before anybody is served");
    client.acquire("", &lost, 0).contains(Code::ResourceBusy, 51, &format!("pid {}", guest.pid()));
    drop(thief);
    until(|| held(&lost).is_some());
}

#[test]
fn re_execution_keeps_everything_with_and_without_a_store() {
    for with_store in [true, false] {
        let bench = Bench::new();
        let mut manager =
            if with_store { bench.manager() } else { Manager::bare(PROGRAM, "virtlockd", bench.dir.path()).unwrap() };
        if !with_store {
            manager.start().unwrap();
        }
        let disk = bench.disk("a");
        let (guest, other) = (Guest::start(), Guest::start());
        let mut client = Client::connect(&manager.socket());
        client.register(&guest).ok();
        client.acquire("", &disk, 0).ok();
        let pid = manager.pid();
        for _ in 0..5 {
            manager.reexec().unwrap();
            until(|| {
                Client::try_connect(&manager.socket()).is_some_and(|mut client| client.register(&other).0.is_ok())
            });
            let mut client = Client::connect(&manager.socket());
            client.register(&other).ok();
            client.acquire("", &disk, 0).begins(Code::ResourceBusy, 51, "resource busy: Lockspace");
            assert_eq!(held(&disk), Some(Mode::Exclusive));
        }
        assert_eq!(manager.pid(), pid);
        assert!(guest.is_running(), "our own end is no reason to end the guest");
        let mut client = Client::connect(&manager.socket());
        client.register(&guest).ok();
        client.release("", &disk).ok();
        assert_eq!(held(&disk), None);
    }
}

#[test]
fn a_guest_that_hangs_up_with_locks_is_ended_and_one_without_is_not() {
    let bench = Bench::new();
    let manager = bench.manager();
    let disk = bench.disk("a");
    // The process that connects is the one that is registered, as the one that becomes QEMU does it.
    let script = bench.dir.path().join("owner.py");
    fs::write(&script, client::OWNER_SCRIPT).unwrap();
    let mut owner = testkit::manager::spawn(
        Command::new("python3")
            .arg(&script)
            .arg(manager.socket())
            .arg(&disk)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    )
    .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(owner.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line, "held\n");
    assert_eq!(held(&disk), Some(Mode::Exclusive));
    owner.stdin.take().unwrap().write_all(b"close\n").unwrap();
    let status = owner.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    until(|| held(&disk).is_none());
    let guest = Guest::start();
    let mut client = Client::connect(&manager.socket());
    client.register(&guest).ok();
    client.acquire("", &disk, 0).ok();
    drop(client);
    Client::connect(&manager.socket()).register(&guest).ok();
    assert!(guest.is_running(), "the connection was not its own");
    assert_eq!(held(&disk), Some(Mode::Exclusive));
}

#[test]
fn a_file_that_does_not_open_holds_up_nobody_else() {
    let bench = Bench::new();
    let manager = bench.manager();
    let (stuck, free) = (bench.disk("stuck"), bench.disk("free"));
    // The kernel makes every open wait for the end of a lease, as a dead server would.
    let script = "import fcntl, signal, sys\nsignal.signal(signal.SIGIO, signal.SIG_IGN)\nfile = open(sys.argv[1], 'w')\n\
                  fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)\nprint(flush=True)\nsys.stdin.read()\n";
    let mut holder = testkit::manager::spawn(
        Command::new("python3").args(["-c", script, &stuck]).stdin(Stdio::piped()).stdout(Stdio::piped()),
    )
    .unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut String::new())
        .unwrap();
    let (guest, other) = (Guest::start(), Guest::start());
    let mut slow = Client::connect(&manager.socket());
    slow.register(&guest).ok();
    let path = stuck.clone();
    let waiting = std::thread::spawn(move || slow.acquire("", &path, 0).ok());
    let mut client = Client::connect(&manager.socket());
    client.register(&other).ok();
    let start = Instant::now();
    for _ in 0..20 {
        client.acquire("", &free, 0).ok();
        client.release("", &free).ok();
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(!waiting.is_finished());
    holder.kill().unwrap();
    holder.wait().unwrap();
    waiting.join().unwrap();
    client.acquire("", &stuck, 0).begins(Code::ResourceBusy, 51, "resource busy: Lockspace");
}

#[test]
fn libvirts_own_daemon_and_ours_exclude_each_other() {
    const REFERENCE: &str = "/usr/sbin/virtlockd";
    let root = nix::unistd::geteuid().is_root();
    if !root
        || !fs::exists(REFERENCE).unwrap()
        || fs::read(REFERENCE).is_ok_and(|bytes| !contains(&bytes, b"libvirt.so.0"))
    {
        assert!(std::env::var("REQUIRE").as_deref() != Ok("all"), "needs root and libvirt's virtlockd");
        eprintln!("skipped: needs root and libvirt's virtlockd in {REFERENCE}");
        return;
    }
    let bench = Bench::new();
    let manager = bench.manager();
    let disk = bench.disk("a");
    // Its paths are fixed, so it gets a /run of its own; its socket is reached through that process's root.
    let mut reference = testkit::manager::spawn(
        Command::new("unshare")
            .args(["-m", "sh", "-c", "mount --make-rprivate / && mount -t tmpfs none /run && exec /usr/sbin/virtlockd"])
            .stdin(Stdio::null())
            .stderr(Stdio::null()),
    )
    .unwrap();
    let socket = format!("/proc/{}/root/run/libvirt/virtlockd-sock", reference.id());
    until(|| Client::try_connect(socket.as_ref()).is_some());
    let (one, two) = (Guest::start(), Guest::start());
    let (mut ours, mut theirs) = (Client::connect(&manager.socket()), Client::connect(socket.as_ref()));
    ours.register(&one).ok();
    theirs.register(&two).ok();
    let locked = format!("resource busy: Lockspace resource '{disk}' is locked");
    ours.acquire("", &disk, 0).ok();
    theirs.acquire("", &disk, 0).is(Code::ResourceBusy, 51, &locked);
    ours.release("", &disk).ok();
    theirs.acquire("", &disk, 0).ok();
    let holder = format!("{locked} (by process {}, which is no guest of this host's virtlockd)", reference.id());
    ours.acquire("", &disk, 0).is(Code::ResourceBusy, 51, &holder);
    theirs.release("", &disk).ok();
    ours.acquire("", &disk, 1).ok();
    theirs.acquire("", &disk, 1).ok();
    reference.kill().unwrap();
    reference.wait().unwrap();
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn memory_stays_small() {
    let bench = Bench::new();
    let manager = bench.manager();
    let mut client = Client::connect(&manager.socket());
    client.create_space("").ok();
    let status = fs::read_to_string(format!("/proc/{}/status", manager.pid())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(anonymous.parse::<u32>().unwrap() < 2_048, "{status}");
}
