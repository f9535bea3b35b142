//! What the driver prepared for a start, beyond the definition.

use std::collections::BTreeMap;

use super::props::Props;
use crate::capability::host_devices::HostDevices;

/// Where the monitor's socket is.
#[derive(Debug, Clone, PartialEq)]
pub enum Endpoint {
    /// An open listening socket of this number in QEMU.
    Fd(i32),
    /// A path that QEMU shall listen on.
    Path(String),
}

/// Descriptors of one interface, by their numbers in QEMU.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InterfaceFds {
    /// One tap descriptor a queue.
    pub taps: Vec<i32>,
    /// One vhost-net descriptor a queue; empty: QEMU moves the frames.
    pub vhosts: Vec<i32>,
    /// vhost-vdpa device.
    pub vdpa: Option<i32>,
}

/// Facts of this start.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchInputs {
    /// The guest's own directory, as `/var/lib/libvirt/qemu/domain-1-NAME`.
    pub domain_dir: String,
    /// The driver's directory, as `/var/lib/libvirt/qemu`.
    pub lib_dir: String,
    /// The driver's runtime directory, as `/run/libvirt/qemu`.
    pub run_dir: String,
    /// `domain-`less short name: `1-NAME`.
    pub short_name: String,
    /// QEMU's monitor.
    pub monitor: Endpoint,
    /// By interface, in the definition's order. An interface without an entry gets none.
    pub interfaces: Vec<InterfaceFds>,
    /// Numbers in QEMU of other descriptors, by what they are for: `charserial0` (listening socket), `charserial0-source` (file),
    /// `charserial0-log` (log file), `vsock0`. A use without an entry falls back to the path.
    pub fds: BTreeMap<String, i32>,
    /// Secret objects by id (`libvirt-1-storage-auth-secret0`), encrypted with the guest's master key.
    pub secrets: BTreeMap<String, Props>,
    /// VNC and SPICE addresses when the definition names none.
    pub vnc_listen: String,
    /// SPICE's.
    pub spice_listen: String,
    /// Where TLS certificates of character devices are.
    pub chardev_tls_dir: Option<String>,
    /// Seconds since the epoch, for clocks that are relative to now.
    pub now: i64,
    /// Local time minus UTC in seconds, likewise.
    pub utc_offset: i64,
    /// `-incoming` argument.
    pub incoming: Option<String>,
    /// Whether seccomp filtering is on (`seccomp_sandbox` of qemu.conf).
    pub sandbox: bool,
    /// Whether guest memory goes into core dumps (`dump_guest_core`).
    pub dump_guest_core: bool,
    /// Value of `PATH` for QEMU.
    pub search_path: String,
    /// Huge page mount points, (page size in KiB, path), the default size first.
    pub hugepages: Vec<(u64, String)>,
    /// What the host has.
    pub host: HostDevices,
    /// Whether the command line is only shown, not run.
    pub shown_only: bool,
}

impl LaunchInputs {
    /// What `domxml-to-native` shows: a guest that nobody prepared anything for.
    pub fn shown(
        lib_dir: &str,
        run_dir: &str,
        name: &str,
        search_path: &str,
        now: i64,
        utc_offset: i64,
    ) -> LaunchInputs {
        let short_name = format!("-1-{}", short(name));
        let domain_dir = format!("{lib_dir}/domain-{short_name}");
        LaunchInputs {
            monitor: Endpoint::Path(format!("{domain_dir}/monitor.sock")),
            domain_dir,
            lib_dir: lib_dir.into(),
            run_dir: run_dir.into(),
            short_name,
            interfaces: Vec::new(),
            fds: BTreeMap::new(),
            secrets: BTreeMap::new(),
            vnc_listen: "127.0.0.1".into(),
            spice_listen: "127.0.0.1".into(),
            chardev_tls_dir: None,
            now,
            utc_offset,
            incoming: None,
            sandbox: true,
            dump_guest_core: false,
            search_path: search_path.into(),
            hugepages: Vec::new(),
            host: HostDevices::read(),
            shown_only: true,
        }
    }
}

/// libvirt's short form of a guest's name for paths: twenty characters, never half of one.
pub fn short(name: &str) -> String {
    name.chars().take(20).collect()
}
