//! Uploads and downloads, whole, in part and with holes.

use std::os::unix::fs::{FileExt, MetadataExt};

use crate::harness::Daemon;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn bytes_come_back_as_they_went() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    let (source, target) = (daemon.path("source"), daemon.path("target"));
    let bytes = pattern(3 << 20);
    std::fs::write(&source, &bytes).unwrap();
    daemon.virsh(&["vol-create-as", "p", "v", "3M"]);
    daemon.virsh(&["vol-upload", "v", &source, "p"]);
    assert_eq!(std::fs::read(format!("{path}/v")).unwrap(), bytes);
    daemon.virsh(&["vol-download", "v", &target, "p"]);
    assert_eq!(std::fs::read(&target).unwrap(), bytes);
    daemon.virsh(&["vol-download", "v", &target, "p", "--offset", "1000", "--length", "70000"]);
    assert_eq!(std::fs::read(&target).unwrap(), bytes[1000..71000]);
    std::fs::write(&source, [9u8; 500]).unwrap();
    daemon.virsh(&["vol-upload", "v", &source, "p", "--offset", "4096", "--length", "500"]);
    let now = std::fs::read(format!("{path}/v")).unwrap();
    assert_eq!((&now[4096..4596], &now[..4096], &now[4596..]), (&[9u8; 500][..], &bytes[..4096], &bytes[4596..]));
}

#[test]
fn holes_stay_holes() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    let (source, target) = (daemon.path("source"), daemon.path("target"));
    let file = std::fs::File::create(&source).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(&pattern(100_000), 8 << 20).unwrap();
    file.write_all_at(&pattern(4096), (40 << 20) + 4096).unwrap();
    daemon.virsh(&["vol-create-as", "p", "v", "64M"]);
    daemon.virsh(&["vol-upload", "v", &source, "p", "--sparse"]);
    daemon.virsh(&["vol-download", "v", &target, "p", "--sparse"]);
    let wanted = std::fs::read(&source).unwrap();
    for copy in [format!("{path}/v"), target] {
        assert!(std::fs::read(&copy).unwrap() == wanted, "{copy} differs");
        let blocks = std::fs::metadata(&copy).unwrap().blocks() * 512;
        assert!(blocks < 2 << 20, "{copy} uses {blocks} bytes");
    }
}

#[test]
fn an_image_replaces_an_empty_one() {
    let Some(daemon) = Daemon::start() else { return };
    daemon.pool("p");
    let source = daemon.path("image");
    let made = std::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-o", "preallocation=full", &source, "4M"])
        .status()
        .unwrap();
    assert!(made.success());
    daemon.virsh(&["vol-create-as", "p", "v.qcow2", "1M", "--format", "qcow2"]);
    daemon.virsh(&["vol-upload", "v.qcow2", &source, "p"]);
    assert!(daemon.virsh(&["vol-info", "v.qcow2", "p", "--bytes"]).contains("4194304"), "the new image's size is seen");
}

#[test]
fn bounds() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    let (source, target) = (daemon.path("source"), daemon.path("target"));
    std::fs::write(&source, pattern(2 << 20)).unwrap();
    daemon.virsh(&["vol-create-as", "p", "v", "1M"]);
    let before = std::fs::read(format!("{path}/v")).unwrap();
    for (offset, length) in
        [("1048577", "0"), ("9223372036854775808", "0"), ("1048570", "100"), ("0", "9223372036854775808")]
    {
        let refusal = daemon.refused(&["vol-upload", "v", &source, "p", "--offset", offset, "--length", length]);
        assert!(refusal.starts_with("invalid argument: "), "{offset} {length}: {refusal}");
    }
    for offset in ["1048577", "9223372036854775808"] {
        let refusal = daemon.refused(&["vol-download", "v", &target, "p", "--offset", offset]);
        assert!(refusal.starts_with("invalid argument: "), "{offset}: {refusal}");
    }
    assert!(std::fs::read(format!("{path}/v")).unwrap() == before);
    // more data than there is room: nothing is written past the end
    daemon.refused(&["vol-upload", "v", &source, "p"]);
    assert_eq!(std::fs::metadata(format!("{path}/v")).unwrap().len(), 1 << 20);
    assert!(daemon.virsh(&["vol-list", "p"]).contains('v'));
}
