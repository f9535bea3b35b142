//! No file of a volume is ever more open than it is in the end.

use std::os::unix::fs::MetadataExt;

use crate::harness::{Daemon, has};

/// The octal number that ends a system call's arguments.
fn mode(line: &str) -> Option<u32> {
    let arguments = line.rsplit_once(") =")?.0;
    u32::from_str_radix(arguments.rsplit(", ").next()?.trim_start_matches('0'), 8).ok()
}

#[test]
fn files_are_made_closed_and_opened_last() {
    if !has("strace") {
        return;
    }
    let calls = "openat,openat2,open,creat,mkdirat,chmod,fchmod,fchmodat,fchown,fchownat";
    let Some(daemon) = Daemon::start_under(&format!("exec strace -f -y -qq -e trace={calls} -o \"$LOG.trace\"")) else {
        return;
    };
    let path = daemon.pool("p");
    let document = daemon.path("v.xml");
    for (name, format) in [("secret-raw", "raw"), ("secret-qcow2", "qcow2"), ("secret-dir", "dir")] {
        let permissions = "<permissions><mode>0640</mode><owner>0</owner><group>0</group></permissions>";
        let permissions =
            if nix::unistd::geteuid().is_root() { permissions } else { "<permissions><mode>0640</mode></permissions>" };
        let text = format!(
            "<volume><name>{name}</name><capacity unit='M'>1</capacity><target><format type='{format}'/>{permissions}</target></volume>"
        );
        std::fs::write(&document, text).unwrap();
        daemon.virsh(&["vol-create", "p", &document]);
        assert_eq!(std::fs::metadata(format!("{path}/{name}")).unwrap().mode() & 0o777, 0o640, "{name}");
    }
    daemon.virsh(&["vol-clone", "secret-raw", "secret-copy", "p"]);
    daemon.virsh(&["vol-clone", "secret-qcow2", "secret-copy.qcow2", "p"]);
    let trace = daemon.trace();
    let (mut made, mut opened) = (0, 0);
    for line in trace.lines().filter(|line| line.contains("secret-") && !line.contains("resumed>")) {
        if (line.contains("O_CREAT") && line.contains("O_EXCL")) || line.contains("mkdirat(") {
            let mode = mode(line).unwrap_or_else(|| panic!("no mode in {line}"));
            assert!(mode & 0o077 == 0, "made open to others: {line}");
            made += 1;
        } else if line.contains("chmod(") {
            opened += 1;
            let mode = mode(line).unwrap_or_else(|| panic!("no mode in {line}"));
            assert!(mode & !0o640 == 0, "wider than asked for: {line}");
        } else if line.contains("chown(") {
            let name = line.split("secret-").nth(1).and_then(|rest| rest.split('>').next()).unwrap_or("");
            let chmod_before = trace
                .lines()
                .take_while(|other| *other != line)
                .any(|other| other.contains("chmod(") && other.contains(&format!("secret-{name}>")));
            assert!(!chmod_before, "opened before it had its owner: {line}");
        }
    }
    assert!(made >= 5 && opened >= 5, "{made} {opened}\n{trace}");
}
