//! What qemu.conf and qemu-lockd.conf say, with libvirt's defaults filled in.

use std::io;
use std::path::{Path, PathBuf};

use daemon::config::{File, Result};
use host::account::{self, Account};

use crate::launcher::{Limit, User};

/// Who keeps two guests from writing one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockManager {
    /// Nobody beyond QEMU's own image locks.
    None,
    /// virtlockd, by these rules.
    Lockd(LockSettings),
}

/// qemu-lockd.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockSettings {
    /// Disks are locked without being asked for.
    pub auto_disk_leases: bool,
    /// Writable disks without a lock keep a guest from starting.
    pub require_lease_for_disks: bool,
    /// Folder of lock files; none: the images themselves are locked.
    pub file_lockspace_dir: Option<PathBuf>,
}

/// Where QEMU's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdioHandler {
    /// Through a pipe that virtlogd holds.
    Logd,
    /// Into the file.
    File,
}

/// The driver's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Account that QEMU runs as; none: as the daemon.
    pub user: Option<User>,
    /// Images are given to that account.
    pub dynamic_ownership: bool,
    /// And their owner before it is remembered.
    pub remember_owner: bool,
    /// Who locks disks.
    pub lock_manager: LockManager,
    /// Where output goes.
    pub stdio_handler: StdioHandler,
    /// Limits of QEMU's process.
    pub limits: Vec<Limit>,
    /// Address that VNC listens on when the definition has none.
    pub vnc_listen: String,
    /// As before, SPICE.
    pub spice_listen: String,
    /// Ports given to displays: first and last.
    pub display_ports: (u16, u16),
    /// QEMU filters its system calls.
    pub sandbox: bool,
    /// SPICE is encrypted.
    pub spice_tls: bool,
    /// Guest memory goes into core dumps.
    pub dump_guest_core: bool,
}

impl Settings {
    /// Reads the files below `config_dir`.
    ///
    /// # Errors
    /// A file that cannot be read, a value of the wrong type, an account that does not exist.
    pub fn load(config_dir: &Path, privileged: bool) -> Result<Settings> {
        let file = File::load_optional(&config_dir.join("qemu.conf"))?;
        let lock_manager = match file.string("lock_manager")?.as_deref() {
            None | Some("nop" | "") => LockManager::None,
            Some("lockd") => LockManager::Lockd(LockSettings::load(&config_dir.join("qemu-lockd.conf"))?),
            Some(other) => return Err(file.invalid("lock_manager", format!("unknown lock manager {other}"))),
        };
        let stdio_handler = match file.string("stdio_handler")?.as_deref() {
            None | Some("logd") => StdioHandler::Logd,
            Some("file") => StdioHandler::File,
            Some(other) => return Err(file.invalid("stdio_handler", format!("Unknown stdio handler {other}"))),
        };
        Ok(Settings {
            user: if privileged { user(&file)? } else { None },
            dynamic_ownership: privileged && file.bool("dynamic_ownership")?.unwrap_or(true),
            remember_owner: privileged && file.bool("remember_owner")?.unwrap_or(true),
            lock_manager,
            stdio_handler,
            limits: limits(&file)?,
            vnc_listen: file.string("vnc_listen")?.unwrap_or_else(|| "127.0.0.1".into()),
            spice_listen: file.string("spice_listen")?.unwrap_or_else(|| "127.0.0.1".into()),
            display_ports: ports(&file)?,
            sandbox: file.int("seccomp_sandbox")?.unwrap_or(-1) != 0,
            spice_tls: file.bool("spice_tls")?.unwrap_or(false),
            dump_guest_core: file.bool("dump_guest_core")?.unwrap_or(false),
        })
    }
}

impl LockSettings {
    fn load(path: &Path) -> Result<LockSettings> {
        let file = File::load_optional(path)?;
        Ok(LockSettings {
            auto_disk_leases: file.bool("auto_disk_leases")?.unwrap_or(true),
            require_lease_for_disks: file.bool("require_lease_for_disks")?.unwrap_or(false),
            file_lockspace_dir: file.string("file_lockspace_dir")?.map(PathBuf::from),
        })
    }
}

/// The configured account; without one, libvirt-qemu:kvm where a distribution has made it, else root.
fn user(file: &File) -> Result<Option<User>> {
    let chosen = (file.string("user")?, file.string("group")?);
    let lookup = |key: &str, name: &str, found: io::Result<Option<u32>>| match found {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(file.invalid(key, format!("no such account: {name}"))),
        Err(e) => Err(file.invalid(key, e.to_string())),
    };
    let packaged = |found: io::Result<Option<u32>>| found.ok().flatten();
    let uid = match &chosen.0 {
        Some(name) => lookup("user", name, account::user_id(name))?,
        None => packaged(account::user_id("libvirt-qemu")).unwrap_or(0),
    };
    let gid = match &chosen.1 {
        Some(name) => lookup("group", name, account::group_id(name))?,
        None if uid == 0 => 0,
        None => packaged(account::group_id("kvm")).unwrap_or(0),
    };
    if chosen.0.is_none() && uid == 0 {
        tracing::warn!("no account libvirt-qemu on this host: guests run as root (set user and group in qemu.conf)");
    }
    let Account { uid, gid, groups } = account::account(uid, gid).map_err(|e| file.invalid("user", e.to_string()))?;
    Ok(Some(User { uid, gid, groups }))
}

fn limits(file: &File) -> Result<Vec<Limit>> {
    let positive = |key: &str| Ok(file.uint(key)?.filter(|value| *value > 0).map(u64::from));
    let mut limits = Vec::new();
    limits.extend(positive("max_processes")?.map(Limit::Processes));
    limits.extend(positive("max_files")?.map(Limit::OpenFiles));
    match file.value("max_core") {
        None => {}
        Some(daemon::config::Value::String(text)) if text == "unlimited" => limits.push(Limit::Core(u64::MAX)),
        Some(_) => limits.extend(file.ulong("max_core")?.map(Limit::Core)),
    }
    Ok(limits)
}

fn ports(file: &File) -> Result<(u16, u16)> {
    let port = |key: &str, default: u16| match file.uint(key)? {
        None => Ok(default),
        Some(value) => match u16::try_from(value) {
            Ok(port) if port >= 5900 => Ok(port),
            _ => Err(file.invalid(key, "port is out of range 5900:65535")),
        },
    };
    let (first, last) = (port("remote_display_port_min", 5900)?, port("remote_display_port_max", 65535)?);
    if first > last {
        return Err(file.invalid("remote_display_port_min", "must not be greater than remote_display_port_max"));
    }
    Ok((first, last))
}
