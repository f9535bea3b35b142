//! The launcher as a process: descriptors, environment, refusals, and what survives whom.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use error::Code;
use nix::sys::signal::Signal;
use virtqemud::launcher::{LaunchSpec, Launcher, Lease, Owner, Resource};

fn launcher() -> Launcher {
    Launcher::of_program(env!("CARGO_BIN_EXE_virtqemud"))
}

fn shell(script: &str, fds: Vec<i32>) -> LaunchSpec {
    LaunchSpec {
        program: "/bin/sh".into(),
        argv: vec!["sh".into(), "-c".into(), script.into()],
        env: vec![("WORD".into(), "value".into())],
        fds,
        user: None,
        limits: Vec::new(),
        directory: PathBuf::from("/"),
        lease: None,
    }
}

fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

async fn text_of(read: OwnedFd) -> String {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).map(|_| text)
    });
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the pipe closes").unwrap().unwrap()
}

#[tokio::test]
async fn a_program_gets_what_it_was_given_and_nothing_else() {
    let launcher = launcher();
    let (read, write) = host::descriptor::pipe().unwrap();
    let script = "echo $WORD $PWD; ls /proc/self/fd | tr '\\n' ' '; echo more >&7; ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader; kill -PIPE $$; echo alive";
    let fds = [null(), write.try_clone().unwrap(), null(), write];
    let launched = launcher.launch(&shell(script, vec![0, 1, 2, 7]), &fds).await.unwrap();
    drop(fds);
    let pid = launched.go().await.unwrap();
    let text = text_of(read).await;
    // 3 is the folder that ls reads itself.
    assert_eq!(text, "value /\n0 1 2 3 7 more\nleader\n", "SIGPIPE has its default action: nothing follows it");
    pid.exited().await.unwrap();
}

#[tokio::test]
async fn nothing_is_executed_without_go() {
    let launcher = launcher();
    let (read, write) = host::descriptor::pipe().unwrap();
    let fds = [null(), write, null()];
    let launched = launcher.launch(&shell("echo ran", vec![0, 1, 2]), &fds).await.unwrap();
    drop(fds);
    let pid = launched.pid().clone();
    drop(launched);
    assert_eq!(text_of(read).await, "");
    tokio::time::timeout(Duration::from_secs(10), pid.exited()).await.expect("the child leaves").unwrap();
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_is_told() {
    let launcher = launcher();
    let mut spec = shell("", vec![0]);
    spec.program = "/nonexistent/qemu".into();
    let refused = launcher.launch(&spec, &[null()]).await.unwrap().go().await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::SystemError));
    assert!(refused.message.contains("/nonexistent/qemu"), "{}", refused.message);
    // The launcher is fine.
    launcher.launch(&shell("true", vec![0]), &[null()]).await.unwrap().go().await.unwrap();
}

#[tokio::test]
async fn an_absent_lock_daemon_refuses_before_anything_runs() {
    let launcher = launcher();
    let mut spec = shell("true", vec![0]);
    let resources = vec![Resource { space: String::new(), name: "/disk".into(), flags: 0 }];
    let owner = Owner { uuid: [1; 16], name: "g".into(), id: 1 };
    spec.lease = Some(Lease { socket: "/nonexistent/virtlockd-sock".into(), owner, resources });
    let refused = launcher.launch(&spec, &[null()]).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::SystemError));
    assert!(
        refused.message.contains("Failed to connect socket to '/nonexistent/virtlockd-sock'"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn guests_outlive_their_launcher() {
    let launcher = launcher();
    let first = launcher.launch(&shell("exec sleep 1000", vec![0]), &[null()]).await.unwrap().go().await.unwrap();
    drop(launcher);
    let other = self::launcher();
    let second = other.launch(&shell("exec sleep 1000", vec![0]), &[null()]).await.unwrap().go().await.unwrap();
    assert!(first.is_running());
    for pid in [first, second] {
        pid.signal(Signal::SIGKILL).unwrap();
        pid.exited().await.unwrap();
    }
}
