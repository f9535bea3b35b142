//! The daemon is killed and comes back.

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
    let folder =
        daemon.root(if nix::unistd::geteuid().is_root() { "etc/libvirt/storage" } else { "config/libvirt/storage" });
    std::fs::write(folder.join("bad.xml"), "<pool").unwrap();
    std::fs::write(folder.join("renamed.xml"), std::fs::read(folder.join("good.xml")).unwrap()).unwrap();
    daemon.kill_and_restart();
    assert_eq!(first_words(&daemon.virsh(&["pool-list", "--all"])), ["good"]);
}
