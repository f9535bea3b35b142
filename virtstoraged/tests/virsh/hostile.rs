//! Names, links and special files that mean harm.

use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, Instant};

use crate::harness::{Daemon, first_words};

#[test]
fn names_that_leave_the_pool() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    let long = "x".repeat(256);
    let document = daemon.path("v.xml");
    for name in ["../x", "a/b", "/etc/x", ".", "..", "", &long, "a\nb"] {
        std::fs::write(&document, format!("<volume><name>{name}</name><capacity>1024</capacity></volume>")).unwrap();
        daemon.refused(&["vol-create", "p", &document]);
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    assert!(!std::path::Path::new(&daemon.path("x")).exists());
}

#[test]
fn links_are_never_followed_out() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    let outside = daemon.path("outside");
    std::fs::write(&outside, b"QFI\xfb secret").unwrap();
    let facts = |path: &str| {
        let meta = std::fs::metadata(path).unwrap();
        (std::fs::read(path).unwrap(), meta.mode(), meta.uid(), meta.mtime_nsec(), meta.ctime_nsec(), meta.atime_nsec())
    };
    let before = facts(&outside);
    // reading the file here has set its access time, so it is asked for again
    let accessed = facts(&outside).5;
    std::fs::write(format!("{path}/inside"), vec![1; 8192]).unwrap();
    symlink(&outside, format!("{path}/link")).unwrap();
    symlink("../outside", format!("{path}/relative")).unwrap();
    symlink("/dev/zero", format!("{path}/device")).unwrap();
    symlink("/etc", format!("{path}/folder")).unwrap();
    daemon.virsh(&["pool-refresh", "p"]);
    for name in ["link", "relative", "device", "folder"] {
        let info = daemon.virsh(&["vol-info", name, "p", "--bytes"]);
        assert!(info.contains("Capacity:       0 bytes"), "{name}: {info}");
        let target = daemon.path("copy");
        daemon.refused(&["vol-download", name, &target, "p"]);
        daemon.refused(&["vol-upload", name, &format!("{path}/inside"), "p"]);
        daemon.refused(&["vol-resize", name, "1M", "p"]);
        daemon.refused(&["vol-wipe", name, "p"]);
        daemon.refused(&["vol-clone", name, "clone", "p"]);
        daemon.refused(&["vol-create-as", "p", name, "1M"]);
        daemon.virsh(&["vol-delete", name, "p"]);
        assert!(std::fs::symlink_metadata(format!("{path}/{name}")).is_err(), "{name} is still there");
    }
    assert_eq!(std::fs::metadata(&outside).unwrap().atime_nsec(), accessed, "the target was read");
    let after = facts(&outside);
    assert!(after.0 == before.0 && after.1 == before.1 && after.2 == before.2 && after.3 == before.3);
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn special_files_do_not_hold_a_refresh_up() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    nix::unistd::mkfifo(format!("{path}/pipe").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(format!("{path}/socket")).unwrap();
    std::fs::File::create(format!("{path}/huge")).unwrap().set_len(1 << 42).unwrap();
    symlink(".", format!("{path}/loop")).unwrap();
    let start = Instant::now();
    daemon.virsh(&["pool-refresh", "p"]);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(first_words(&daemon.virsh(&["vol-list", "p"])), ["huge", "loop"]);
}

#[test]
fn a_guests_header_cannot_make_us_read_other_files() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    let secret = daemon.path("secret");
    std::fs::write(&secret, vec![b'S'; 65536]).unwrap();
    let image = format!("{path}/v");
    let make = |arguments: &[&str]| {
        let output = std::process::Command::new("qemu-img").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    // the overlay of a file outside of any pool, and one whose data lies in another file
    make(&["create", "-q", "-f", "qcow2", "-u", "-b", &secret, "-F", "raw", &image, "64K"]);
    daemon.virsh(&["pool-refresh", "p"]);
    let refusal = daemon.refused(&["vol-clone", "v", "stolen", "p"]);
    assert!(refusal.contains("is not a volume of an active pool"), "{refusal}");
    let data = format!("{path}/d");
    make(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        &format!("data_file={},data_file_raw=on", daemon.path("data")),
        &data,
        "64K",
    ]);
    daemon.virsh(&["pool-refresh", "p"]);
    assert!(daemon.refused(&["vol-clone", "d", "stolen", "p"]).contains("data_file"));
    let document = daemon.path("v.xml");
    std::fs::write(&document, "<volume><name>stolen</name><target><format type='raw'/></target></volume>").unwrap();
    let refusal = daemon.refused(&["vol-create-from", "p", &document, "d", "--inputpool", "p"]);
    assert!(refusal.contains("keeps its data in another file"), "{refusal}");
    assert!(!std::path::Path::new(&format!("{path}/stolen")).exists());
}
