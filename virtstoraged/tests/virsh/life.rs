//! Pools and volumes from definition to removal, with libvirt's words.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use crate::harness::{Daemon, first_words};

#[test]
fn a_directory_pool() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.path("images");
    daemon.virsh(&["pool-define-as", "images", "dir", "--target", &path]);
    assert_eq!(first_words(&daemon.virsh(&["pool-list", "--all"])), ["images"]);
    assert_eq!(first_words(&daemon.virsh(&["pool-list"])), [""; 0]);
    assert_eq!(
        daemon.refused(&["pool-start", "images"]),
        format!("cannot open directory '{path}': No such file or directory")
    );
    daemon.virsh(&["pool-build", "images"]);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o711);
    daemon.virsh(&["pool-start", "images"]);
    daemon.virsh(&["pool-autostart", "images"]);
    assert!(
        daemon
            .root(if nix::unistd::geteuid().is_root() { "etc/libvirt/storage" } else { "config/libvirt/storage" })
            .join("autostart/images.xml")
            .exists()
    );
    let info = daemon.virsh(&["pool-info", "images"]);
    for line in ["State:          running", "Persistent:     yes", "Autostart:      yes"] {
        assert!(info.contains(line), "{info}");
    }
    let invalid = |detail: &str| format!("Requested operation is not valid: {detail}");
    assert_eq!(daemon.refused(&["pool-start", "images"]), invalid("storage pool 'images' is already active"));
    assert_eq!(daemon.refused(&["pool-build", "images"]), invalid("storage pool 'images' is already active"));
    assert_eq!(daemon.refused(&["pool-undefine", "images"]), invalid("storage pool 'images' is still active"));
    assert_eq!(
        daemon.refused(&["pool-define-as", "other", "dir", "--target", &path]),
        "operation failed: Storage source conflict with pool: 'images'"
    );
    daemon.virsh(&["pool-destroy", "images"]);
    assert_eq!(daemon.refused(&["vol-list", "images"]), invalid("storage pool 'images' is not active"));
    daemon.virsh(&["pool-delete", "images"]);
    assert!(!std::path::Path::new(&path).exists());
    daemon.virsh(&["pool-undefine", "images"]);
    assert_eq!(
        daemon.refused(&["pool-info", "images"]),
        "Storage pool not found: no storage pool with matching name 'images'"
    );
}

#[test]
fn volumes() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    daemon.virsh(&["vol-create-as", "p", "thin", "10M", "--allocation", "0"]);
    daemon.virsh(&["vol-create-as", "p", "thick", "1M"]);
    daemon.virsh(&["vol-create-as", "p", "base.qcow2", "64M", "--format", "qcow2"]);
    let backing = format!("{path}/base.qcow2");
    let overlay = [
        "vol-create-as",
        "p",
        "top.qcow2",
        "128M",
        "--format",
        "qcow2",
        "--backing-vol",
        &backing,
        "--backing-vol-format",
        "qcow2",
    ];
    daemon.virsh(&overlay);
    assert_eq!(first_words(&daemon.virsh(&["vol-list", "p"])), ["base.qcow2", "thick", "thin", "top.qcow2"]);
    for name in ["thin", "thick", "base.qcow2", "top.qcow2"] {
        assert_eq!(std::fs::metadata(format!("{path}/{name}")).unwrap().mode() & 0o7777, 0o600, "{name}");
    }
    let info = daemon.virsh(&["vol-info", "thin", "p", "--bytes"]);
    assert!(info.contains("Capacity:       10485760 bytes") && info.contains("Allocation:     0 bytes"), "{info}");
    assert!(
        daemon.virsh(&["vol-info", "thin", "p", "--physical", "--bytes"]).contains("Physical:       10485760 bytes")
    );
    daemon.virsh(&["pool-refresh", "p"]);
    let xml = daemon.virsh(&["vol-dumpxml", "top.qcow2", "p"]);
    let expected = format!("  <backingStore>\n    <path>{backing}</path>\n    <format type='qcow2'/>\n");
    assert!(
        xml.contains(&expected)
            && xml
                .contains("    <compat>1.1</compat>\n    <clusterSize unit='B'>65536</clusterSize>\n    <features/>\n"),
        "{xml}"
    );
    assert!(xml.contains("<capacity unit='bytes'>134217728</capacity>"));
    assert_eq!(daemon.virsh(&["vol-path", "thin", "p"]).trim(), format!("{path}/thin"));
    assert_eq!(daemon.virsh(&["vol-pool", &format!("{path}//thin")]).trim(), "p");
    assert_eq!(daemon.virsh(&["vol-name", &format!("{path}/thin")]).trim(), "thin");
    assert_eq!(daemon.virsh(&["vol-key", "thin", "p"]).trim(), format!("{path}/thin"));
    daemon.virsh(&["vol-resize", "thin", "20M", "p"]);
    assert_eq!(std::fs::metadata(format!("{path}/thin")).unwrap().len(), 20 << 20);
    let shrink =
        "invalid argument: Can't shrink capacity below current capacity unless shrink flag explicitly specified";
    assert_eq!(daemon.refused(&["vol-resize", "thin", "5M", "p"]), shrink);
    daemon.virsh(&["vol-resize", "base.qcow2", "80M", "p"]);
    assert!(daemon.virsh(&["vol-info", "base.qcow2", "p", "--bytes"]).contains("83886080"));
    assert!(
        std::process::Command::new("qemu-img")
            .args(["check", "-q", "-f", "qcow2", &backing])
            .status()
            .unwrap()
            .success()
    );
    std::fs::write(format!("{path}/thick"), vec![7u8; 1 << 20]).unwrap();
    daemon.virsh(&["vol-clone", "thick", "copy", "p"]);
    assert_eq!(std::fs::read(format!("{path}/copy")).unwrap(), vec![7u8; 1 << 20]);
    // virsh copies the document, so the clone lies over the same base; one made without stands alone
    daemon.virsh(&["vol-clone", "top.qcow2", "overlay.qcow2", "p"]);
    let document = daemon.path("flat.xml");
    std::fs::write(&document, "<volume><name>flat.qcow2</name><target><format type='qcow2'/></target></volume>")
        .unwrap();
    daemon.virsh(&["vol-create-from", "p", &document, "top.qcow2", "--inputpool", "p"]);
    daemon.virsh(&["pool-refresh", "p"]);
    assert!(daemon.virsh(&["vol-dumpxml", "overlay.qcow2", "p"]).contains(&format!("<path>{backing}</path>")));
    let flat = daemon.virsh(&["vol-dumpxml", "flat.qcow2", "p"]);
    assert!(!flat.contains("backingStore") && flat.contains("<capacity unit='bytes'>134217728</capacity>"), "{flat}");
    daemon.virsh(&["vol-wipe", "thick", "p"]);
    assert_eq!(std::fs::read(format!("{path}/thick")).unwrap(), vec![0u8; 1 << 20]);
    assert_eq!(daemon.refused(&["vol-create-as", "p", "thin", "1M"]), "storage volume 'thin' exists already");
    // a file that appeared since the last refresh is found
    std::fs::write(format!("{path}/new"), "x").unwrap();
    assert_eq!(daemon.virsh(&["vol-path", "new", "p"]).trim(), format!("{path}/new"));
    for name in ["thin", "thick", "copy", "flat.qcow2", "overlay.qcow2", "top.qcow2", "base.qcow2", "new"] {
        daemon.virsh(&["vol-delete", name, "p"]);
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    // virsh tries name, key and path; the last refusal is shown
    assert_eq!(
        daemon.refused(&["vol-info", "thin", "p"]),
        "Storage volume not found: no storage vol with matching path 'thin'"
    );
}

#[test]
fn a_failed_creation_leaves_nothing() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.pool("p");
    let document = daemon.path("v.xml");
    for (target, backing) in [
        ("<format type='qcow2'/><compat>2.0</compat>", String::new()),
        ("<format type='qcow2'/><clusterSize>1000</clusterSize>", String::new()),
        ("<format type='bochs'/>", String::new()),
        (
            "<format type='qcow2'/>",
            format!("<backingStore><path>{path}/none</path><format type='raw'/></backingStore>"),
        ),
        ("<permissions><owner>4294967294</owner><mode>0777</mode></permissions>", "<bad".into()),
    ] {
        let text =
            format!("<volume><name>v</name><capacity unit='M'>1</capacity><target>{target}</target>{backing}</volume>");
        std::fs::write(&document, text).unwrap();
        daemon.refused(&["vol-create", "p", &document]);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "{target}");
        assert_eq!(daemon.virsh(&["vol-list", "p"]).trim(), "");
    }
    daemon.refused(&["vol-create-as", "p", "big", "300T", "--allocation", "300T"]);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    daemon.virsh(&["vol-create-as", "p", "v", "1M"]);
}

#[test]
fn a_transient_pool() {
    let Some(daemon) = Daemon::start() else { return };
    let path = daemon.path("t");
    daemon.virsh(&["pool-create-as", "t", "dir", "--target", &path, "--build"]);
    assert!(daemon.virsh(&["pool-info", "t"]).contains("Persistent:     no"));
    assert_eq!(daemon.refused(&["pool-autostart", "t"]), "internal error: pool has no config file");
    assert_eq!(first_words(&daemon.virsh(&["pool-list", "--transient"])), ["t"]);
    daemon.virsh(&["pool-destroy", "t"]);
    assert_eq!(daemon.virsh(&["pool-list", "--all"]).trim(), "");
}

#[test]
fn events() {
    let Some(daemon) = Daemon::start() else { return };
    daemon.pool("p");
    daemon.pool("silent");
    let mut command = daemon.command(&["pool-event", "p", "--event", "lifecycle", "--loop"]);
    let mut listener = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    // the registration has no output of its own: poke until the first event comes
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let heard = std::thread::scope(|scope| {
        let daemon = &daemon;
        scope.spawn(move || {
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) =
                stopped.recv_timeout(std::time::Duration::from_millis(50))
            {
                daemon.virsh(&["pool-destroy", "silent"]);
                daemon.virsh(&["pool-destroy", "p"]);
                daemon.virsh(&["pool-start", "silent"]);
                daemon.virsh(&["pool-start", "p"]);
            }
        });
        let heard: Vec<String> = lines.by_ref().take(2).map(Result::unwrap).collect();
        drop(stop);
        heard
    });
    let _ = listener.kill();
    let _ = listener.wait();
    for line in &heard {
        assert!(line.starts_with("event 'lifecycle' for storage pool p: "), "{heard:?}");
    }
    let kinds: Vec<&str> = heard.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert!(kinds.contains(&"Started") && kinds.contains(&"Stopped"), "{heard:?}");
}
