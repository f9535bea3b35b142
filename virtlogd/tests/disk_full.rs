//! A full disk under the logs: the guest goes on, lost bytes are counted and marked, logging resumes by itself.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with the other tests")]
mod client;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use client::Client;
use testkit::manager::Manager;

async fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_full_disk_costs_counted_bytes_and_no_guest() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("REQUIRE").as_deref() != Ok("all"), "needs root for a file system of its own");
        eprintln!("skipped: needs root for a file system of its own");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    fs::create_dir(&small).unwrap();
    // The daemon in a mount namespace of its own, with a disk of 256 KiB.
    let wrapper = dir.path().join("wrapper");
    let program = env!("CARGO_BIN_EXE_virtlogd");
    let small = small.to_str().unwrap();
    let script = format!(
        "#!/bin/sh\nexec unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs -o size=256k none {small} && exec {program}'\n"
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let mut manager = Manager::new(wrapper.to_str().unwrap(), "virtlogd", dir.path()).unwrap();
    manager.start().unwrap();
    let inside = format!("/proc/{}/root{small}", manager.pid());
    let client = Client::connect(&manager.socket()).await;
    let log = format!("{small}/x.log");
    let (_, pipe) = client.open(&log, 0).await.unwrap();
    let filler = format!("{inside}/filler");
    fs::write(&filler, vec![0; 200 * 1024]).unwrap();
    // Far more than fits, from a guest that must never wait.
    let writer = std::thread::spawn(move || {
        let mut pipe = fs::File::from(pipe);
        for _ in 0..1_000 {
            pipe.write_all(&[b'x'; 1_023]).unwrap();
            pipe.write_all(b"\n").unwrap();
        }
        pipe
    });
    until(|| writer.is_finished()).await;
    let mut pipe = writer.join().unwrap();
    let full = client.position(&log).await.unwrap().offset;
    assert!(full < 60 * 1024, "{full}");
    fs::remove_file(&filler).unwrap();
    // Without another byte from the guest.
    let inside = format!("{inside}/x.log");
    until(|| fs::read(&inside).unwrap().ends_with(b" bytes lost: No space left on device\n")).await;
    pipe.write_all(b"back\n").unwrap();
    until(|| fs::read(&inside).unwrap().ends_with(b"\nback\n")).await;
    let text = fs::read_to_string(&inside).unwrap();
    let marks: Vec<u64> =
        text.lines().filter_map(|line| line.strip_suffix(" bytes lost: No space left on device")).map(lost).collect();
    let kept = text.bytes().filter(|byte| *byte == b'x').count() as u64;
    let newlines = text.lines().filter(|line| !line.is_empty() && line.bytes().all(|b| b == b'x')).count() as u64;
    let written = marks.iter().sum::<u64>() + kept + newlines;
    // Newlines of the guest and of the marks cannot be told apart when a line was cut: one each at most.
    let slack = 2 * marks.len() as u64 + 2;
    assert!(written.abs_diff(1_024_000) <= slack, "{written} {marks:?}");
}

fn lost(mark: &str) -> u64 {
    mark.rsplit_once(' ').map_or(mark, |(_, number)| number).parse().unwrap()
}
