//! dnsmasq's process: started, found again, told to read its files, ended.
//!
//! It daemonizes itself, so it outlives us; what we know of it is the pid file. Before a process is taken for ours its command line is compared, with the
//! pidfd already open, so that neither a stale pid file nor a reused number makes us signal a stranger.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use error::{Code, Domain, Error, Result};
use host::Pid;
use nix::sys::signal::Signal;

use super::process::{run, tool};
use crate::folders::Folders;
use crate::plan::dnsmasq::DnsmasqPlan;

/// How long dnsmasq may take to end after SIGTERM.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// Writes dnsmasq's files.
///
/// # Errors
/// SYSTEM_ERROR.
pub fn write_files(folders: &Folders, name: &str, plan: &DnsmasqPlan) -> Result<()> {
    let failed = |path: &Path, e: &io::Error| {
        Error::system(Domain::Network, e, format_args!("couldn't write dnsmasq config file '{}'", path.display()))
    };
    // dnsmasq reads the last two again after it has given up root
    for (path, text, mode) in [
        (folders.dnsmasq_conf(name), &plan.conf, 0o600),
        (folders.hosts_file(name), &plan.hosts, 0o644),
        (folders.addn_hosts(name), &plan.addn_hosts, 0o644),
    ] {
        super::scratch::replace(&path, text.as_bytes(), mode).map_err(|e| failed(&path, &e))?;
    }
    Ok(())
}

/// Removes dnsmasq's files.
pub fn remove_files(folders: &Folders, name: &str, bridge: &str) {
    for path in [
        folders.dnsmasq_conf(name),
        folders.hosts_file(name),
        folders.addn_hosts(name),
        folders.pid_file(name),
        folders.leases(bridge),
        folders.macs(bridge),
    ] {
        if let Err(e) = std::fs::remove_file(&path)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), "cannot remove: {e}");
        }
    }
}

/// Starts dnsmasq on files that are written. It answers once its sockets are open.
///
/// # Errors
/// Its complaint, such as an address that is in use.
pub async fn start(folders: &Folders, name: &str, bridge: &str) -> Result<Pid> {
    let mut command = tool("dnsmasq");
    command.env("VIR_BRIDGE_NAME", bridge);
    if let Some(root) = &folders.root {
        command.env("VIRTD_ROOT", root);
    }
    command
        .arg(format!("--conf-file={}", folders.dnsmasq_conf(name).display()))
        .arg("--leasefile-ro")
        .arg(format!("--dhcp-script={}", helper().display()))
        .current_dir("/");
    run(command, None).await?;
    find(folders, name).ok_or_else(|| {
        let detail = format!("dnsmasq for network '{name}' ended right after its start");
        Error::new(Domain::Network, Code::InternalError, detail)
    })
}

/// The program that keeps the lease record: beside us in a build tree, in the libexec folder of where we are installed,
/// else where libvirt has it.
fn helper() -> PathBuf {
    const NAME: &str = "libvirt_leaseshelper";
    let exe = std::env::current_exe().unwrap_or_default();
    let installed = exe.ancestors().nth(2).unwrap_or(Path::new("/usr")).join("libexec");
    let beside = exe.parent().unwrap_or(Path::new("/usr/sbin")).to_owned();
    let places = [beside, installed, "/usr/libexec".into(), "/usr/lib/libvirt".into()].map(|folder| folder.join(NAME));
    places.iter().find(|p| p.is_file()).unwrap_or(&places[3]).clone()
}

/// Every dnsmasq of the network, whether or not it came to write its pid file before we were killed.
pub fn find_all(folders: &Folders, name: &str) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|number| verified(folders, name, number)).collect()
}

/// The running dnsmasq of the network.
pub fn find(folders: &Folders, name: &str) -> Option<Pid> {
    let text = std::fs::read_to_string(folders.pid_file(name)).ok()?;
    verified(folders, name, text.trim().parse().ok()?)
}

/// The process with this number if it is the network's dnsmasq.
fn verified(folders: &Folders, name: &str, number: i32) -> Option<Pid> {
    let pid = Pid::open(number).ok()?;
    let wanted = format!("--conf-file={}", folders.dnsmasq_conf(name).display());
    let line = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
    let ours = line.split(|b| *b == 0).any(|word| word == wanted.as_bytes());
    (ours && pid.is_running()).then_some(pid)
}

/// Makes dnsmasq read its host files again.
pub fn reload(pid: &Pid) -> io::Result<()> {
    pid.signal(Signal::SIGHUP)
}

/// Ends dnsmasq and waits until it is gone.
pub async fn stop(pid: &Pid) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if pid.signal(signal).is_err() {
            return;
        }
        if tokio::time::timeout(END_DEADLINE, pid.exited()).await.is_ok() {
            return;
        }
    }
    tracing::warn!(pid = pid.number(), "dnsmasq does not end");
}
