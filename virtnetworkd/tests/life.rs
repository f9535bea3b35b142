//! The daemon in a network namespace of its own, driven by an unmodified virsh: everything real, nothing of this host touched.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for something that happens in well under a second.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the tests need beside the daemon.
const TOOLS: [&str; 7] = ["virsh", "dnsmasq", "nft", "ip", "unshare", "nsenter", "busybox"];

/// Names what is missing; with REQUIRE=all that is a failure.
fn ready() -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = |tool: &&&str| !path.split(':').any(|folder| Path::new(folder).join(tool).is_file());
    let mut missing: Vec<&str> = TOOLS.iter().filter(found).copied().collect();
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !root {
        missing.push("root");
    }
    if missing.is_empty() {
        return true;
    }
    assert_ne!(std::env::var("REQUIRE").as_deref(), Ok("all"), "needs {}", missing.join(", "));
    println!("skipped: needs {}", missing.join(", "));
    false
}

/// A host of our own: a network namespace, a root folder, the daemon.
struct Host {
    /// Keeps the namespace.
    holder: Child,
    root: PathBuf,
    daemon: Option<Child>,
    /// Goes last: the files outlive the processes.
    _folder: tempfile::TempDir,
}

fn wait<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        // dnsmasq reads its files as nobody
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let holder = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().unwrap();
        let host = Host { holder, root: folder.path().to_owned(), daemon: None, _folder: folder };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let path = format!("/proc/{}/ns/net", host.holder.id());
        wait("the namespace", || std::fs::read_link(&path).ok().filter(|ns| *ns != own));
        host.ok("ip link set lo up");
        host
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net"]);
        command
    }

    /// Runs a line of words in the namespace.
    fn run(&self, line: &str) -> Output {
        self.inside().args(line.split(' ')).output().unwrap()
    }

    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(&mut self) {
        let mut command = self.inside();
        command.arg(env!("CARGO_BIN_EXE_virtnetworkd")).arg("--root").arg(&self.root);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.root.join("log")).unwrap();
        self.daemon = Some(command.stderr(log).stdin(Stdio::null()).spawn().unwrap());
        let socket = self.root.join("run/libvirt/virtnetworkd-sock");
        wait("the daemon", || UnixStream::connect(&socket).ok());
    }

    fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn uri(&self) -> String {
        format!("network:///system?socket={}/run/libvirt/virtnetworkd-sock&mode=direct", self.root.display())
    }

    fn try_virsh(&self, line: &str) -> Output {
        let mut command = self.inside();
        command.args(["virsh", "-q", "-c", &self.uri()]).args(line.split(' ')).env("LC_ALL", "C").output().unwrap()
    }

    fn virsh(&self, line: &str) -> String {
        let output = self.try_virsh(line);
        assert!(
            output.status.success(),
            "virsh {line}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            std::fs::read_to_string(self.root.join("log")).unwrap_or_default()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The complaint of a call that must fail.
    fn refused(&self, line: &str) -> String {
        let output = self.try_virsh(line);
        assert!(!output.status.success(), "virsh {line} worked");
        String::from_utf8(output.stderr).unwrap()
    }

    fn document(&self, name: &str, text: &str) -> String {
        let path = self.root.join(format!("{name}.document"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn dnsmasq(&self, name: &str) -> Option<i32> {
        let text = std::fs::read_to_string(self.path(&format!("run/libvirt/network/{name}.pid"))).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains(&*self.root.to_string_lossy()).then_some(pid)
    }

    /// Processes of a program that have our root in their command line.
    fn processes(&self, program: &str) -> Vec<i32> {
        let root = self.root.to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(program) && line.contains(&root)
        };
        numbers.filter(ours).collect()
    }

    /// Everything of networks on this host: bridges, rules, dnsmasq, state.
    fn traces(&self) -> String {
        let mut found = String::new();
        for line in self.ok("ip -o link").lines().filter(|l| l.contains("virbr") || l.contains("tbr")) {
            found.push_str(line);
        }
        found.push_str(&self.ok("nft list ruleset"));
        for pid in self.processes("dnsmasq") {
            found.push_str(&format!("dnsmasq {pid}"));
        }
        for folder in ["run/libvirt/network", "var/lib/libvirt/dnsmasq"] {
            for entry in std::fs::read_dir(self.path(folder)).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap();
                if !["driver.pid", "autostarted", "leaseshelper.lock"].contains(&name.as_str()) {
                    found.push_str(&name);
                }
            }
        }
        found
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.root.join("log")).unwrap_or_default());
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for pid in self.processes("dnsmasq") {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

const NAT: &str = "<network><name>default</name><forward/><bridge name='virbr0' stp='off'/><ip address='192.168.122.1' netmask='255.255.255.0'>\
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>";

/// Another namespace with one end of a cable; the other end is a port of the bridge.
struct Guest {
    holder: Child,
}

impl Guest {
    fn plug_in(host: &Host, tap: &str, bridge: &str) -> Guest {
        let holder = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().unwrap();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let path = format!("/proc/{}/ns/net", holder.id());
        wait("the namespace", || std::fs::read_link(&path).ok().filter(|ns| *ns != own));
        host.ok(&format!("ip link add {tap} type veth peer name eth0 address 52:54:00:00:00:77 netns {}", holder.id()));
        host.ok(&format!("ip link set {tap} master {bridge} up"));
        let guest = Guest { holder };
        guest.run(&["ip", "link", "set", "eth0", "up"]);
        guest
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new("nsenter").args(["--target", &self.holder.id().to_string(), "--net"]).args(words).output().unwrap()
    }

    /// Asks for an address and takes it.
    fn lease(&self, folder: &Path, name: &str) -> String {
        let script = folder.join("udhcpc.script");
        std::fs::write(&script, "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr flush dev $interface\nip addr add $ip/24 dev $interface\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let option = format!("hostname:{name}");
        let words = ["busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", "10", "-T", "1", "-x", &option, "-s"];
        let output = self.run(&[&words[..], &[script.to_str().unwrap()]].concat());
        assert!(output.status.success(), "no lease: {}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(self.run(&["ip", "-4", "-o", "addr", "show", "dev", "eth0"]).stdout).unwrap();
        shown.split_whitespace().nth(3).unwrap_or_default().to_owned()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn a_nat_network_serves_a_guest_and_leaves_nothing_behind() {
    if !ready() {
        return;
    }
    let mut host = Host::new();
    host.start();
    let document = host.document("default", NAT);
    host.virsh(&format!("net-define {document}"));
    assert!(host.virsh("net-list --all").contains("inactive"));
    host.virsh("net-start default");
    assert!(host.refused("net-start default").contains("network is already active"));
    host.virsh("net-autostart default");
    assert!(host.path("etc/libvirt/qemu/networks/autostart/default.xml").is_symlink());
    let info = host.virsh("net-info default");
    for line in ["Active:         yes", "Persistent:     yes", "Autostart:      yes", "Bridge:         virbr0"] {
        assert!(info.contains(line), "{info}");
    }
    assert!(host.virsh("net-dumpxml default").contains("<port start='1024' end='65535'/>"));
    assert!(!host.virsh("net-dumpxml --inactive default").contains("<port"));
    let rules = host.ok("nft list ruleset");
    assert!(rules.contains("masquerade to :1024-65535") && rules.contains("guest_cross"), "{rules}");

    let guest = Guest::plug_in(&host, "tap0", "virbr0");
    let address = guest.lease(&host.root, "tiny");
    assert!(address.starts_with("192.168.122.") && address.ends_with("/24"), "{address}");
    let leases = host.virsh("net-dhcp-leases default");
    assert!(leases.contains(&address) && leases.contains("tiny") && leases.contains("52:54:00:00:00:77"), "{leases}");
    assert!(host.virsh("net-dhcp-leases default --mac 52:54:00:00:00:99").is_empty());
    let ping = guest.run(&["busybox", "ping", "-c", "1", "-W", "2", "192.168.122.1"]);
    assert!(ping.status.success());
    let asked = guest.run(&["busybox", "nslookup", "tiny", "192.168.122.1"]);
    assert!(String::from_utf8_lossy(&asked.stdout).contains(address.trim_end_matches("/24")), "DNS knows the guest");

    let pid = host.dnsmasq("default").unwrap();
    let fixed = host.document("host", "<host mac='52:54:00:00:00:77' name='fixed' ip='192.168.122.200'/>");
    host.virsh(&format!("net-update default add ip-dhcp-host {fixed} --live --config"));
    assert_eq!(host.dnsmasq("default"), Some(pid), "host files are read again, not by a new dnsmasq");
    wait("the static address", || (guest.lease(&host.root, "tiny") == "192.168.122.200/24").then_some(()));
    let txt = host.document("txt", "<txt name='where' value='rack4'/>");
    host.virsh(&format!("net-update default add dns-txt {txt} --live"));
    assert_ne!(host.dnsmasq("default"), Some(pid), "records need a new dnsmasq");
    assert!(!host.virsh("net-dumpxml --inactive default").contains("rack4"));

    host.virsh("net-destroy default");
    assert_eq!(host.traces(), "");
    host.virsh("net-undefine default");
    assert_eq!(host.virsh("net-list --all"), "");
    assert!(host.refused("net-info default").contains("failed to get network 'default'"));
    assert!(!host.path("etc/libvirt/qemu/networks/default.xml").exists());
    assert!(!host.path("etc/libvirt/qemu/networks/autostart/default.xml").is_symlink());
}

#[test]
fn a_network_outlives_its_daemon() {
    if !ready() {
        return;
    }
    let mut host = Host::new();
    host.start();
    let persistent = host.document("default", NAT);
    let transient = host
        .document("t", "<network><name>t</name><bridge name='tbr0'/><ip address='10.3.0.1' prefix='24'/></network>");
    host.virsh(&format!("net-define {persistent}"));
    host.virsh("net-start default");
    host.virsh(&format!("net-create {transient}"));
    let port = "11111111-2222-3333-4444-555555555555";
    let document = host.document("port", &format!("<networkport><uuid>{port}</uuid><owner><name>g</name><uuid>{port}</uuid></owner><mac address='52:54:00:00:00:01'/></networkport>"));
    host.virsh(&format!("net-port-create default {document}"));
    let (xml, pid, rules) =
        (host.virsh("net-dumpxml default"), host.dnsmasq("default").unwrap(), host.ok("nft -s list ruleset"));
    host.kill();
    host.start();
    assert_eq!(host.virsh("net-list --name --all").split_whitespace().collect::<Vec<_>>(), ["default", "t"]);
    assert_eq!(host.virsh("net-dumpxml default"), xml);
    assert!(host.virsh("net-info t").contains("Persistent:     no"));
    assert_eq!(host.dnsmasq("default"), Some(pid), "not restarted");
    assert_eq!(host.ok("nft -s list ruleset"), rules, "not touched");
    assert!(host.virsh("net-port-list default").contains(port));

    // another firewall flushes everything while we are away
    host.kill();
    host.ok("nft flush ruleset");
    host.start();
    // sockets listen earlier, calls are answered when all is loaded
    host.virsh("net-list");
    assert_eq!(host.ok("nft -s list ruleset"), rules, "put back");

    // dnsmasq dies: another one
    Command::new("kill").arg(pid.to_string()).status().unwrap();
    let second = wait("a new dnsmasq", || host.dnsmasq("default").filter(|new| *new != pid));

    // dnsmasq dies while nobody looks, and its number is somebody else's now: that one is left alone
    host.kill();
    Command::new("kill").arg(second.to_string()).status().unwrap();
    wait("its end", || host.dnsmasq("default").is_none().then_some(()));
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    std::fs::write(host.path("run/libvirt/network/default.pid"), stranger.id().to_string()).unwrap();
    host.start();
    wait("a new dnsmasq", || host.dnsmasq("default"));
    host.virsh("net-destroy default");
    assert_eq!(stranger.try_wait().unwrap(), None);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    host.virsh("net-destroy t");
    assert_eq!(host.traces(), "");
}

#[test]
fn a_start_that_is_cut_short_is_done_or_undone() {
    if !ready() {
        return;
    }
    let mut host = Host::new();
    host.start();
    let document = host.document("default", NAT);
    host.virsh(&format!("net-define {document}"));
    for round in 0..24u64 {
        // the moments sweep over all steps, of starts and of stops
        let stop = round % 3 == 2;
        if stop {
            host.virsh("net-start default");
        }
        let line = if stop { "net-destroy" } else { "net-start" };
        let mut command = host.inside();
        let mut client =
            command.args(["virsh", "-q", "-c", &host.uri(), line, "default"]).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 5));
        host.kill();
        client.wait().unwrap();
        host.start();
        if host.virsh("net-list --name").trim() == "default" {
            wait("dnsmasq", || host.dnsmasq("default"));
            assert!(host.ok("nft list ruleset").contains("masquerade"), "round {round}");
            host.virsh("net-destroy default");
        }
        assert_eq!(host.traces(), "", "round {round}");
    }
}

#[test]
fn what_is_in_use_is_refused_and_left_alone() {
    if !ready() {
        return;
    }
    let mut host = Host::new();
    host.start();
    host.ok("ip link add mine type bridge");
    host.ok("ip addr add 10.77.0.1/24 dev mine");
    host.ok("ip link set mine up");
    let before = host.ok("ip -4 -o addr");
    let cases = [
        ("<bridge name='tbr0'/><ip address='10.77.0.9' prefix='24'/>", "Network is already in use by interface mine"),
        (
            "<bridge name='mine'/><ip address='10.78.0.1' prefix='24'/>",
            "error creating bridge interface mine: File exists",
        ),
        (
            "<bridge name='tbr0'/><ip address='10.78.0.1' prefix='24'><tftp root='/nowhere/at/all'/></ip>",
            "TFTP directory /nowhere/at/all inaccessible",
        ),
        (
            "<bridge name='tbr0'/><ip address='10.78.0.1' prefix='12' localPtr='yes'/>",
            "PTR domain for IPv4 network with prefix 12",
        ),
        ("<bridge name='tbr0' zone='public'/>", "zone public requested for network t but firewalld is not active"),
        (
            "<bridge name='tbr0'/><domain name='d' localOnly='yes' register='yes'/><ip address='10.78.0.1' prefix='24'/>",
            "failed to register name server: systemd-resolved is not available",
        ),
        (
            "<bridge name='a-name-that-is-too-long'/><ip address='10.78.0.1' prefix='24'/>",
            "error creating bridge interface",
        ),
    ];
    for (body, complaint) in cases {
        let document = host.document("t", &format!("<network><name>t</name>{body}</network>"));
        let text = host.refused(&format!("net-create {document}"));
        assert!(text.contains(complaint), "{body}: {text}");
        assert_eq!(host.traces(), "", "{body}");
        assert_eq!(host.virsh("net-list --all"), "", "{body}");
    }
    assert_eq!(host.ok("ip -4 -o addr"), before);
    // rules of others stay, whatever ours do
    host.ok("nft add table ip theirs");
    let document = host.document("default", NAT);
    host.virsh(&format!("net-create {document}"));
    let same = host.document("u", "<network><name>u</name><bridge name='virbr0'/></network>");
    assert!(host.refused(&format!("net-define {same}")).contains("bridge name 'virbr0' already in use."));
    let rules = host.ok("nft -s list ruleset");
    let pid = host.daemon.as_ref().unwrap().id().to_string();
    for _ in 0..5 {
        Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    }
    host.virsh("net-list");
    assert_eq!(host.ok("nft -s list ruleset"), rules, "a reload puts the same rules in place of the same rules");
    host.virsh("net-destroy default");
    assert_eq!(host.ok("nft list ruleset"), "table ip theirs {\n}\n");
}

#[test]
fn rules_are_replaced_without_a_gap() {
    if !ready() {
        return;
    }
    let mut host = Host::new();
    host.start();
    let document = host.document("default", NAT);
    host.virsh(&format!("net-create {document}"));
    let guest = Guest::plug_in(&host, "tap0", "virbr0");
    let address = guest.lease(&host.root, "tiny").trim_end_matches("/24").to_owned();
    guest.run(&["ip", "route", "add", "default", "via", "192.168.122.1"]);
    // the world beyond the host: it may answer the guest, but not call it
    let world = Guest::plug_in(&host, "wan0", "virbr0");
    host.ok("ip link set wan0 nomaster");
    host.ok("ip addr add 198.51.100.1/24 dev wan0");
    world.run(&["ip", "addr", "add", "198.51.100.2/24", "dev", "eth0"]);
    world.run(&["ip", "route", "add", "192.168.122.0/24", "via", "198.51.100.1"]);
    let ping = |from: &Guest, to: &str, count: &str| {
        from.run(&["busybox", "ping", "-q", "-c", count, "-i", "0.02", "-W", "1", to])
    };
    wait("the way out", || ping(&guest, "198.51.100.2", "1").status.success().then_some(()));
    // the network's server is for its guests only
    for server in ["192.168.122.1", "198.51.100.1"] {
        let asked = world.run(&["timeout", "3", "busybox", "nslookup", "tiny", server]);
        assert!(!asked.status.success(), "{server} answers the world: {}", String::from_utf8_lossy(&asked.stdout));
    }
    let daemon = host.daemon.as_ref().unwrap().id().to_string();
    let count = AtomicU32::new(0);
    let enough = || count.load(Ordering::Relaxed) >= 40;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !enough() {
                Command::new("kill").args(["-HUP", &daemon]).status().unwrap();
                // a call is answered after the reload has begun
                host.virsh("net-list");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !enough() {
                let shown = String::from_utf8(ping(&world, &address, "20").stdout).unwrap();
                assert!(shown.contains(" 0 packets received"), "{shown}");
            }
        });
        while !enough() {
            let shown = String::from_utf8(ping(&guest, "198.51.100.2", "50").stdout).unwrap();
            assert!(shown.contains("50 packets transmitted, 50 packets received"), "{shown}");
        }
    });
    drop((guest, world));
    host.virsh("net-destroy default");
    assert_eq!(host.traces(), "");
}

#[test]
fn those_who_ask_hear_of_events() {
    if !ready() {
        return;
    }
    let mut host = Host::new();
    host.start();
    let document = host.document("t", "<network><name>t</name><bridge name='tbr0'/></network>");
    let mut command = host.inside();
    command.args(["virsh", "-c", &host.uri(), "net-event", "--loop", "--event", "lifecycle", "--timeout", "30"]);
    let log = host.path("events");
    let mut listener = command.stdout(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    // a registration has no sign of its own: events are caused until the first one arrives
    wait("the first event", || {
        host.virsh(&format!("net-define {document}"));
        host.virsh("net-undefine t");
        std::fs::read_to_string(&log).unwrap().contains("Undefined").then_some(())
    });
    host.virsh(&format!("net-define {document}"));
    host.virsh("net-start t");
    host.virsh("net-destroy t");
    host.virsh("net-undefine t");
    let seen = wait("the last event", || {
        let text = std::fs::read_to_string(&log).unwrap();
        let last: Vec<String> =
            text.lines().rev().take(4).filter_map(|l| l.rsplit(": ").next().map(str::to_owned)).collect();
        (last.len() == 4 && last[0] == "Undefined" && last[1] == "Stopped").then_some(last)
    });
    assert_eq!(seen, ["Undefined", "Stopped", "Started", "Defined"]);
    listener.kill().unwrap();
    listener.wait().unwrap();
}
