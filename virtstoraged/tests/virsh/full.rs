//! File systems that are full, and the image tool that misbehaves.

use crate::harness::{Daemon, has};

fn is_root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var("REQUIRE").as_deref() != Ok("all"), "needs root");
    println!("skipped: needs root");
    false
}

#[test]
fn a_full_disk_leaves_nothing_half_made() {
    if !is_root() || !has("unshare") {
        return;
    }
    // the pool's file system is the daemon's own, in a mount namespace
    let mount = "M=$(dirname $LOG)/pools/p; mkdir $M; exec unshare -m sh -c \"mount -t tmpfs -o size=4M tmpfs $M && exec \\$0\"";
    let Some(daemon) = Daemon::start_under(mount) else { return };
    daemon.virsh(&["pool-create-as", "p", "dir", "--target", &daemon.path("p")]);
    let refusal = daemon.refused(&["vol-create-as", "p", "big", "64M"]);
    assert!(refusal.contains("No space left on device"), "{refusal}");
    daemon.refused(&["vol-create-as", "p", "meta", "64M", "--format", "qcow2", "--prealloc-metadata"]);
    daemon.virsh(&["pool-refresh", "p"]);
    assert_eq!(daemon.virsh(&["vol-list", "p"]).trim(), "", "something half-made stays");
    daemon.virsh(&["vol-create-as", "p", "small", "1M"]);
    daemon.refused(&["vol-clone", "small", "copy", "p", "--prealloc-metadata"]);
    // an upload that does not fit reports it and the volume stays usable
    daemon.virsh(&["vol-create-as", "p", "thin", "64M", "--allocation", "0"]);
    let source = daemon.path("source");
    std::fs::write(&source, vec![1u8; 32 << 20]).unwrap();
    let refusal = daemon.refused(&["vol-upload", "thin", &source, "p"]);
    assert!(refusal.contains("No space left on device"), "{refusal}");
    daemon.virsh(&["vol-delete", "thin", "p"]);
    assert!(daemon.virsh(&["vol-list", "p"]).contains("small"));
}

#[test]
fn a_file_system_pool_is_mounted_and_unmounted() {
    if !is_root() || !has("unshare") || !has("mkfs.ext2") || !has("blkid") || !has("losetup") {
        return;
    }
    let prepare = "D=$(dirname $LOG); truncate -s 16M $D/disk; exec unshare -m";
    let Some(daemon) = Daemon::start_under(prepare) else { return };
    let disk = daemon.path("../disk");
    let device = std::process::Command::new("losetup").args(["-f", "--show", &disk]).output().unwrap();
    if !device.status.success() {
        assert!(std::env::var("REQUIRE").as_deref() != Ok("all"), "needs loop devices");
        return println!("skipped: needs loop devices");
    }
    let device = String::from_utf8(device.stdout).unwrap().trim().to_owned();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let define = [
            "pool-define-as",
            "f",
            "fs",
            "--source-dev",
            &device,
            "--source-format",
            "ext2",
            "--target",
            &daemon.path("f"),
        ];
        daemon.virsh(&define);
        daemon.virsh(&["pool-build", "f", "--no-overwrite"]);
        let again = daemon.refused(&["pool-build", "f", "--no-overwrite"]);
        assert_eq!(again, format!("Storage pool already built: Device '{device}' already formatted using 'ext2'"));
        daemon.virsh(&["pool-build", "f", "--overwrite"]);
        daemon.virsh(&["pool-start", "f"]);
        let info = daemon.virsh(&["pool-info", "f", "--bytes"]);
        assert!(info.lines().any(|line| line.starts_with("Capacity:") && line.trim_end().len() < 30), "{info}");
        daemon.virsh(&["vol-create-as", "f", "v", "1M"]);
        daemon.virsh(&["pool-destroy", "f"]);
        daemon.virsh(&["pool-start", "f"]);
        assert!(daemon.virsh(&["vol-list", "f"]).contains("v "));
        daemon.virsh(&["pool-destroy", "f"]);
    }));
    let _ = std::process::Command::new("losetup").args(["-d", &device]).status();
    outcome.unwrap();
}

#[test]
fn an_image_tool_out_of_bounds_is_stopped() {
    if !has("prlimit") || !has("python3") {
        return;
    }
    // a tool that wants more memory than any header is worth, in the place of the real one
    let fake = "F=$(dirname $LOG)/bin; mkdir $F; printf '#!/bin/sh\\nexec python3 -c \"x = bytearray(3 << 30)\"\\n' > $F/qemu-img; \
                chmod +x $F/qemu-img; PATH=$F:$PATH; exec";
    let Some(daemon) = Daemon::start_under(fake) else { return };
    let path = daemon.pool("p");
    let refusal = daemon.refused(&["vol-create-as", "p", "v", "1M", "--format", "qcow2"]);
    assert!(refusal.contains("unexpected exit status"), "{refusal}");
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    daemon.virsh(&["vol-create-as", "p", "v", "1M"]);
}
