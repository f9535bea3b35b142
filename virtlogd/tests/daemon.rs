//! The daemon as its clients and guests see it: over the socket and the pipes, killed and started again.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod client;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use client::{Client, Guest, check_lines, refused};
use error::Code;
use protocol::log::LogFilePosition;
use testkit::manager::Manager;

const PROGRAM: &str = env!("CARGO_BIN_EXE_virtlogd");

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    fn with_config(text: &str) -> Bench {
        let bench = Bench::new();
        let folder = bench.dir.path().join("etc/libvirt");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("virtlogd.conf"), text).unwrap();
        bench
    }

    fn manager(&self) -> Manager {
        let mut manager = Manager::new(PROGRAM, "virtlogd", self.dir.path()).unwrap();
        manager.start().unwrap();
        manager
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }
}

async fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_protocol() {
    let bench = Bench::new();
    let manager = bench.manager();
    let client = Client::connect(&manager.socket()).await;
    let log = bench.path("x.log");
    let text = format!("internal error: No open log file {log}");
    refused(client.position(&log).await, Code::InternalError, 63, &text);
    let (start, pipe) = client.open(&log, 0).await.unwrap();
    assert_eq!(start.offset, 0);
    let text = format!("Cannot open log file: '{log}': Device or resource busy");
    refused(client.open(&log, 1).await, Code::SystemError, 63, &text);
    let text = "unsupported flags (0x2) in function virLogHandlerDomainOpenLogFile";
    refused(client.open(&bench.path("y.log"), 2).await, Code::InvalidArg, 63, text);
    let mut pipe = fs::File::from(pipe);
    pipe.write_all(b"hello\nworld\n").unwrap();
    let end = client.position(&log).await.unwrap();
    assert_eq!((end.inode, end.offset), (start.inode, 12));
    let at = |offset| LogFilePosition { inode: start.inode, offset };
    assert_eq!(client.read(&log, at(0), 1024).await.unwrap(), "hello\nworld\n");
    assert_eq!(client.read(&log, at(6), 3).await.unwrap(), "wor");
    assert_eq!(client.read(&log, at(600), 3).await.unwrap(), "");
    let text = "internal error: Requested data len 4194305 is larger than maximum 4194304";
    refused(client.read(&log, at(0), 4_194_305).await, Code::InternalError, 7, text);
    client.append(&log, "said\n").await.unwrap();
    client.append(&bench.path("other.log"), "closed\n").await.unwrap();
    refused(
        client.append("/nonexistent/x.log", "x").await,
        Code::SystemError,
        0,
        "Unable to open file: /nonexistent/x.log: No such file or directory",
    );
    assert_eq!(fs::read(&log).unwrap(), b"hello\nworld\nsaid\n");
    drop(pipe);
    until(|| manager.stored() == ["state-a", "state-b"]).await;
    let (again, _pipe) = client.open(&log, 0).await.unwrap();
    assert_eq!((again.inode, again.offset), (start.inode, 17));
}

#[tokio::test]
async fn twenty_kills_lose_no_byte_and_break_no_pipe() {
    let bench = Bench::with_config("max_size = 200000000\n");
    let mut manager = bench.manager();
    let client = Client::connect(&manager.socket()).await;
    let logs: Vec<String> = (0..3).map(|n| bench.path(&format!("guest{n}.log"))).collect();
    let mut guests = Vec::new();
    for log in &logs {
        guests.push(Guest::start(client.open(log, 0).await.unwrap().1));
    }
    for _ in 0..20 {
        let before = fs::metadata(&logs[0]).unwrap().len();
        until(|| fs::metadata(&logs[0]).unwrap().len() > before).await;
        manager.kill().unwrap();
        manager.start().unwrap();
    }
    for (guest, log) in guests.into_iter().zip(&logs) {
        let count = guest.finish();
        assert!(count > 1_000);
        let total = (0..count).map(|n| 16 + n % 97).sum::<u64>();
        until(|| fs::metadata(log).unwrap().len() >= total).await;
        check_lines(&fs::read(log).unwrap(), count);
    }
    until(|| manager.stored() == ["state-a", "state-b"]).await;
}

#[tokio::test]
async fn kills_while_files_rotate_lose_nothing_either() {
    let bench = Bench::with_config("max_size = 300000\nmax_backups = 32\n");
    let mut manager = bench.manager();
    let client = Client::connect(&manager.socket()).await;
    let log = bench.path("guest.log");
    let guest = Guest::start(client.open(&log, 0).await.unwrap().1);
    for _ in 0..10 {
        let place = || fs::metadata(&log).map(|found| (found.ino(), found.len())).ok();
        let before = place();
        until(|| place() != before).await;
        manager.kill().unwrap();
        manager.start().unwrap();
    }
    let count = guest.finish();
    until(|| manager.stored() == ["state-a", "state-b"]).await;
    let mut bytes = Vec::new();
    for number in (0..32).rev() {
        bytes.extend(fs::read(format!("{log}.{number}")).unwrap_or_default());
    }
    bytes.extend(fs::read(&log).unwrap());
    // More than the backups hold is gone by intent, from the front and by whole files.
    let text = String::from_utf8(bytes).unwrap();
    let first: u64 = text[5..14].parse().unwrap();
    for (line, expected) in text.lines().zip(first..) {
        assert_eq!(line[5..14].parse::<u64>().unwrap(), expected);
    }
    assert_eq!(first + text.lines().count() as u64, count);
}

#[tokio::test]
async fn re_execution_keeps_the_pipes_without_a_store() {
    let bench = Bench::with_config("max_size = 200000000\n");
    let mut manager = Manager::bare(PROGRAM, "virtlogd", bench.dir.path()).unwrap();
    manager.start().unwrap();
    let client = Client::connect(&manager.socket()).await;
    let log = bench.path("guest.log");
    let guest = Guest::start(client.open(&log, 0).await.unwrap().1);
    for _ in 0..10 {
        let before = fs::metadata(&log).unwrap().len();
        until(|| fs::metadata(&log).unwrap().len() > before + 100_000).await;
        manager.reexec().unwrap();
    }
    let count = guest.finish();
    let size = || fs::metadata(&log).unwrap().len();
    let total = (0..count).map(|n| 16 + n % 97).sum::<u64>();
    until(|| size() == total).await;
    check_lines(&fs::read(&log).unwrap(), count);
}

#[tokio::test]
async fn a_crash_without_a_store_is_marked_and_the_log_goes_on() {
    let bench = Bench::new();
    let mut manager = Manager::bare(PROGRAM, "virtlogd", bench.dir.path()).unwrap();
    manager.start().unwrap();
    let client = Client::connect(&manager.socket()).await;
    let log = bench.path("guest.log");
    let (_, pipe) = client.open(&log, 0).await.unwrap();
    let mut pipe = fs::File::from(pipe);
    pipe.write_all(b"before\n").unwrap();
    until(|| fs::read(&log).unwrap() == b"before\n").await;
    manager.kill().unwrap();
    let lost = pipe.write_all(b"nobody reads\n").unwrap_err();
    assert_eq!(lost.kind(), std::io::ErrorKind::BrokenPipe);
    manager.start().unwrap();
    // It listens before it has looked around; it answers after.
    Client::connect(&manager.socket()).await.position(&log).await.unwrap();
    pipe.write_all(b"after\n").unwrap();
    until(|| fs::read_to_string(&log).unwrap().ends_with("here\nafter\n")).await;
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("before\n\n") && text.contains("64 KiB may be missing here"), "{text}");
}

#[tokio::test]
async fn memory_stays_small() {
    let bench = Bench::new();
    let manager = bench.manager();
    let client = Client::connect(&manager.socket()).await;
    let (_, _pipe) = client.open(&bench.path("x.log"), 0).await.unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", manager.pid())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(anonymous.parse::<u32>().unwrap() < 2_048, "{status}");
}
