//! What dnsmasq runs at each change of a lease, and once at its start to be told the leases it should know.
//!
//! `libvirt_leaseshelper ACTION MAC-OR-DUID IP [HOSTNAME]` with dnsmasq's `DNSMASQ_*` variables (dnsmasq(8), --dhcp-script) and `VIR_BRIDGE_NAME`.
//! What guests say about themselves is data here: it goes into JSON strings and nowhere else.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::{Lease, read, write};
use crate::folders::Folders;

/// One run of the helper, taken from its command line and environment.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// `add`, `old`, `del` or `init`; others (`tftp`, `arp-add`...) concern nobody here.
    pub action: String,
    /// Hardware address, or DUID for IPv6.
    pub client: Option<String>,
    /// The address.
    pub ip: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// Variables of dnsmasq.
    pub variables: Vec<(String, String)>,
}

impl Event {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).filter(|v| !v.is_empty())
    }

    /// The lease that the event speaks of.
    fn lease(&self) -> Option<Lease> {
        let ip: IpAddr = self.ip.as_deref()?.parse().ok()?;
        let hostname = self
            .hostname
            .clone()
            .or_else(|| self.variable("DNSMASQ_SUPPLIED_HOSTNAME"))
            .or_else(|| self.variable("DNSMASQ_OLD_HOSTNAME"));
        let expiry_time = self.variable("DNSMASQ_LEASE_EXPIRES").and_then(|t| t.trim().parse().ok()).unwrap_or(0);
        let ip_address = Some(ip.to_string());
        Some(if ip.is_ipv6() {
            Lease {
                iaid: self.variable("DNSMASQ_IAID"),
                ip_address,
                mac_address: self.variable("DNSMASQ_MAC"),
                hostname,
                client_id: self.client.clone(),
                server_duid: self.variable("DNSMASQ_SERVER_DUID"),
                expiry_time,
            }
        } else {
            let mac_address = self.client.clone();
            Lease {
                ip_address,
                mac_address,
                hostname,
                client_id: self.variable("DNSMASQ_CLIENT_ID"),
                expiry_time,
                ..Lease::default()
            }
        })
    }
}

/// The program: reads its surroundings, applies the event, and returns the exit status.
pub fn main() -> i32 {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let Some(action) = next() else {
        eprintln!("usage: libvirt_leaseshelper add|old|del|init MAC|CLIENTID IP [HOSTNAME]; run by dnsmasq");
        return 2;
    };
    let event = Event { action, client: next(), ip: next(), hostname: next(), variables: std::env::vars().collect() };
    let Some(bridge) = event.variable("VIR_BRIDGE_NAME").filter(|b| object::file::is_file_name(b)) else {
        eprintln!("libvirt_leaseshelper: VIR_BRIDGE_NAME does not name a bridge");
        return 1;
    };
    let root = event.variable("VIRTD_ROOT").map(Into::into);
    let folders = Folders::new(&daemon::Paths::of_process(root));
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let lock = folders.pid.join("leaseshelper.lock");
    match apply(&event, &folders.leases(&bridge), &lock, now, &mut io::stdout().lock()) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("libvirt_leaseshelper: {}: {e}", folders.leases(&bridge).display());
            1
        }
    }
}

/// Applies one event to the record at `path`; for `init` prints what dnsmasq should know.
///
/// # Errors
/// What the file system says.
pub fn apply(event: &Event, path: &Path, lock: &Path, now: i64, out: &mut impl Write) -> io::Result<()> {
    if !matches!(event.action.as_str(), "add" | "old" | "del" | "init") {
        return Ok(());
    }
    // a dnsmasq that was replaced may still have a helper running
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock)?;
    let _lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| io::Error::from(e))?;
    let mut leases = read(path).unwrap_or_else(|e| {
        // a broken record must not keep guests from getting addresses
        eprintln!("libvirt_leaseshelper: {}: {e}: starting a new record", path.display());
        Vec::new()
    });
    let before = leases.clone();
    leases.retain(|l| l.is_valid(now));
    if event.action == "init" {
        print(&leases, out)?;
    } else if let Some(lease) = event.lease() {
        leases.retain(|l| l.ip_address != lease.ip_address);
        // without an end the lease is none: dnsmasq says "old" of leases it only heard of
        let known =
            event.variable("DNSMASQ_LEASE_EXPIRES").is_some() || event.variable("DNSMASQ_LEASE_LENGTH").is_some();
        if event.action != "del" && known {
            leases.push(lease);
        }
    }
    if leases == before { Ok(()) } else { write(path, &leases) }
}

/// Prints leases in the form of dnsmasq's lease file.
fn print(leases: &[Lease], out: &mut impl Write) -> io::Result<()> {
    // a field with white space in it would shift the others
    let word = |text: &Option<String>| match text {
        Some(t) if !t.is_empty() && !t.contains(char::is_whitespace) => t.clone(),
        _ => "*".to_owned(),
    };
    let is_v6 = |l: &Lease| l.ip_address.as_deref().is_some_and(|ip| ip.contains(':'));
    for l in leases.iter().filter(|l| !is_v6(l)) {
        writeln!(
            out,
            "{} {} {} {} {}",
            l.expiry_time,
            word(&l.mac_address),
            word(&l.ip_address),
            word(&l.hostname),
            word(&l.client_id)
        )?;
    }
    let mut duid_known = false;
    for l in leases.iter().filter(|l| is_v6(l)) {
        if !duid_known && let Some(duid) = &l.server_duid {
            writeln!(out, "duid {duid}")?;
            duid_known = true;
        }
        writeln!(
            out,
            "{} {} {} {} {}",
            l.expiry_time,
            word(&l.iaid),
            word(&l.ip_address),
            word(&l.hostname),
            word(&l.client_id)
        )?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, hostname: &str, expires: &str) -> Event {
        Event {
            action: action.into(),
            client: Some("52:54:00:00:00:01".into()),
            ip: Some("192.168.9.7".into()),
            hostname: Some(hostname.into()),
            variables: vec![
                ("DNSMASQ_LEASE_EXPIRES".into(), expires.into()),
                ("DNSMASQ_CLIENT_ID".into(), "01:aa".into()),
            ],
        }
    }

    #[test]
    fn leases_come_renew_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("b.status"), folder.path().join("lock"));
        let mut out = Vec::new();
        let mut run = |e: &Event, now| apply(e, &path, &lock, now, &mut out).unwrap();
        run(&event("add", "g'\"$(touch x)`", "1000"), 500);
        run(&event("old", "guest", "2000"), 600);
        let mut other = event("add", "second", "700");
        other.ip = Some("192.168.9.8".into());
        run(&other, 600);
        assert_eq!(read(&path).unwrap().len(), 2);
        run(&Event { action: "tftp".into(), ..Event::default() }, 600);
        run(&Event { action: "init".into(), ..Event::default() }, 800);
        let left = read(&path).unwrap();
        assert_eq!(left.len(), 1, "the second one has run out");
        assert_eq!(left[0].hostname.as_deref(), Some("guest"));
        run(&event("del", "guest", "2000"), 800);
        assert!(read(&path).unwrap().is_empty());
        assert_eq!(String::from_utf8(out).unwrap(), "2000 52:54:00:00:00:01 192.168.9.7 guest 01:aa\n");
    }

    #[test]
    fn a_broken_record_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("b.status"), folder.path().join("lock"));
        std::fs::write(&path, "[{]").unwrap();
        apply(&event("add", "g", "1000"), &path, &lock, 5, &mut Vec::new()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
    }
}
