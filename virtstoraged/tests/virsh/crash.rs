//! The daemon is killed and comes back.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Daemon, first_words};

#[test]
fn pools_outlive_the_daemon() {
    let Some(mut daemon) = Daemon::start() else { return };
    let path = daemon.pool("kept");
    daemon.virsh(&["vol-create-as", "kept", "v.qcow2", "10M", "--format", "qcow2"]);
    daemon.virsh(&["pool-create-as", "transient", "dir", "--target", &daemon.path("t"), "--build"]);
    daemon.virsh(&["pool-define-as", "down", "dir", "--target", &daemon.path("d")]);
    daemon.virsh(&["pool-autostart", "kept"]);
    let uuid = daemon.virsh(&["pool-uuid", "kept"]);
    daemon.kill_and_restart();
    assert_eq!(first_words(&daemon.virsh(&["pool-list"])), ["kept", "transient"]);
    assert_eq!(first_words(&daemon.virsh(&["pool-list", "--inactive"])), ["down"]);
    assert_eq!(daemon.virsh(&["pool-uuid", "kept"]), uuid);
    assert!(daemon.virsh(&["pool-info", "kept"]).contains("Autostart:      yes"));
    assert!(daemon.virsh(&["pool-info", "transient"]).contains("Persistent:     no"));
    assert_eq!(first_words(&daemon.virsh(&["vol-list", "kept"])), ["v.qcow2"]);
    // a pool whose directory went away is not up any more, and can be started again once it is back
    let moved = format!("{path}.moved");
    std::fs::rename(&path, &moved).unwrap();
    daemon.kill_and_restart();
    assert_eq!(first_words(&daemon.virsh(&["pool-list"])), ["transient"]);
    std::fs::rename(&moved, &path).unwrap();
    daemon.virsh(&["pool-start", "kept"]);
    assert_eq!(first_words(&daemon.virsh(&["vol-list", "kept"])), ["v.qcow2"]);
}

#[test]
fn a_broken_file_costs_only_its_pool() {
    let Some(mut daemon) = Daemon::start() else { return };
    daemon.pool("good");
    let folder = daemon.config_folder();
    std::fs::write(folder.join("bad.xml"), "<pool").unwrap();
    std::fs::write(folder.join("renamed.xml"), std::fs::read(folder.join("good.xml")).unwrap()).unwrap();
    daemon.kill_and_restart();
    assert_eq!(first_words(&daemon.virsh(&["pool-list", "--all"])), ["good"]);
}

#[test]
fn killed_at_any_moment_it_comes_back_whole() {
    let Some(mut daemon) = Daemon::start() else { return };
    let folder = daemon.config_folder();
    for round in 0..12u64 {
        let name = format!("p{round}");
        let target = daemon.path(&name);
        let script = format!(
            "pool-define-as {name} dir --target {target}; pool-build {name}; pool-start {name}; pool-autostart {name}; \
             vol-create-as {name} raw 2M; vol-create-as {name} image 2M --format qcow2; vol-resize image 3M {name}; \
             vol-clone raw copy {name}; vol-delete raw {name}; pool-destroy {name}; pool-undefine {name}"
        );
        let mut client = daemon.command(&[&script]);
        let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // moments spread over the whole script, which takes some 150 ms
        std::thread::sleep(Duration::from_millis(4 + round * 13));
        daemon.kill_and_restart();
        let _ = client.kill();
        let _ = client.wait();
        for pool in first_words(&daemon.virsh(&["pool-list", "--all"])) {
            daemon.virsh(&["pool-dumpxml", &pool]);
            if daemon.virsh(&["pool-list", "--name"]).lines().any(|line| line.trim() == pool) {
                // whatever is listed can be looked at and removed, half-made or not
                for volume in first_words(&daemon.virsh(&["vol-list", &pool])) {
                    daemon.virsh(&["vol-dumpxml", &volume, &pool]);
                    daemon.virsh(&["vol-delete", &volume, &pool]);
                }
                daemon.virsh(&["pool-destroy", &pool]);
            }
            daemon.virsh(&["pool-undefine", &pool]);
        }
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "autostart"), "round {round}: {left:?}");
        let links = std::fs::read_dir(folder.join("autostart")).map_or(0, Iterator::count);
        assert_eq!(links, 0, "round {round}: an autostart link of nothing");
    }
}

#[test]
fn a_reload_finds_new_definitions() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("old");
    let text = format!("<pool type='dir'><name>new</name><target><path>{path}.new</path></target></pool>");
    std::fs::write(daemon.config_folder().join("new.xml"), text).unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    let start = Instant::now();
    while first_words(&daemon.virsh(&["pool-list", "--all"])) != ["new", "old"] {
        assert!(start.elapsed() < Duration::from_secs(10), "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(first_words(&daemon.virsh(&["pool-list"])), ["old"], "what ran goes on");
}
