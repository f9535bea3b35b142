//! What all domains share: settings, folders, registry, subscribers, launcher, emulators.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use conf::domain::DomainDef;
use conf::domain::device::graphics::Graphics;
use daemon::{Context, DriverPaths, Inhibitor, Paths};
use object::Registry;
use object::events::Subscriptions;
use protocol::remote::{self, NonnullDomain};
use uuid::Uuid;

use crate::api::Sessions;
use crate::capability::CapabilityCache;
use crate::capability::probe::ProbeUser;
use crate::domain::event::Event;
use crate::domain::handle::Domain;
use crate::launcher::{Launcher, User};
use crate::settings::Settings;

/// The driver: one per daemon.
pub struct Driver {
    /// Where everything is.
    pub paths: Paths,
    /// The driver's own folders.
    pub folders: DriverPaths,
    /// qemu.conf.
    pub settings: Settings,
    /// All domains.
    pub domains: Registry<Domain>,
    /// Who hears of events.
    pub subscriptions: Subscriptions<Arc<rpc::Client>>,
    /// Starts QEMU.
    pub launcher: Launcher,
    /// What emulators can do.
    pub emulators: CapabilityCache,
    /// This boot.
    pub boot_id: String,
    /// Ports of displays that are given out.
    pub ports: Mutex<BTreeSet<u16>>,
    /// Clients at guests' consoles.
    pub consoles: Arc<Sessions>,
    context: Context,
    /// Running guests keep the daemon from ending by `--timeout`.
    busy: Mutex<Vec<Inhibitor>>,
    last_id: AtomicI32,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("folders", &self.folders).finish_non_exhaustive()
    }
}

impl Driver {
    /// Reads the settings and makes the folders; no domain is loaded yet.
    ///
    /// # Errors
    /// A file with a wrong value, a folder that cannot be made.
    pub fn load(context: &Context) -> anyhow::Result<Driver> {
        let paths = context.paths.as_ref().clone();
        let folders = paths.driver("qemu");
        let settings = Settings::load(&paths.config_dir, paths.privileged)?;
        let user = settings.user.clone();
        make_folders(&folders, user.as_ref())?;
        let ids = user.filter(|user| user.uid != 0).map(|user| (user.uid, user.gid));
        Ok(Driver {
            emulators: CapabilityCache::new(folders.cache.join("capabilities"), ProbeUser { ids }),
            boot_id: host::system::boot_id()?,
            paths,
            folders,
            settings,
            domains: Registry::new(),
            subscriptions: Subscriptions::new("domain"),
            launcher: Launcher::default(),
            ports: Mutex::default(),
            consoles: Arc::default(),
            context: context.clone(),
            busy: Mutex::default(),
            last_id: AtomicI32::new(0),
        })
    }

    /// One more guest runs.
    pub fn hold(&self) {
        let held = self.context.inhibit();
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }

    /// One guest less.
    pub fn unhold(&self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).pop();
    }

    /// Folder of definitions: `/etc/libvirt/qemu`.
    pub fn definition_file(&self, name: &str) -> PathBuf {
        self.folders.config.join(format!("{name}.xml"))
    }

    /// Link that marks a domain to be started with the host.
    pub fn autostart_link(&self, name: &str) -> PathBuf {
        self.folders.config.join("autostart").join(format!("{name}.xml"))
    }

    /// Link that marks a domain to be started at the next boot only.
    pub fn autostart_once_link(&self, name: &str) -> PathBuf {
        self.folders.config.join("autostart").join(format!("{name}.xml.once"))
    }

    /// Status document of a running domain.
    pub fn status_file(&self, name: &str) -> PathBuf {
        self.folders.state.join(format!("{name}.xml"))
    }

    /// Pid file of a running domain, for those who look there.
    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.folders.state.join(format!("{name}.pid"))
    }

    /// QEMU's output.
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.folders.log.join(format!("{name}.log"))
    }

    /// virtlogd's socket.
    pub fn logd_socket(&self) -> PathBuf {
        self.paths.run_dir.join("virtlogd-sock")
    }

    /// Saved memory image of a domain.
    pub fn managed_save_file(&self, name: &str) -> PathBuf {
        self.folders.lib.join("save").join(format!("{name}.save"))
    }

    /// An id that no domain had since the host's boot, as far as this daemon knows.
    pub fn next_id(&self) -> i32 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A guest found at start has this id.
    pub fn note_id(&self, id: i32) {
        self.last_id.fetch_max(id, Ordering::Relaxed);
    }

    /// Tells all who registered for it.
    pub fn emit(&self, dom: &NonnullDomain, event: &Event) {
        let uuid = Uuid::from_bytes(dom.uuid);
        for id in event.ids() {
            for (client, style) in self.subscriptions.receivers(*id, &uuid) {
                if let Some((procedure, body)) = event.message(*id, dom, style) {
                    client.send_event(remote::PROGRAM, procedure, &body);
                }
            }
        }
    }

    /// Takes the first free display port at or after `first`.
    pub fn take_port(&self, range: (u16, u16)) -> Option<u16> {
        let mut taken = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let free = (range.0..=range.1).find(|port| !taken.contains(port) && is_free(*port))?;
        taken.insert(free);
        Some(free)
    }

    /// Notes the ports that a guest found again uses.
    pub fn reserve_ports(&self, def: &DomainDef) {
        let mut taken = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        for display in &def.devices.graphics {
            let ports = match &display.graphics {
                Graphics::Vnc(vnc) => [vnc.port, -1],
                Graphics::Spice(spice) => [spice.port, spice.tls_port],
                _ => continue,
            };
            taken.extend(ports.into_iter().filter_map(|port| u16::try_from(port).ok()));
        }
    }

    /// Gives a port back.
    pub fn release_port(&self, port: u16) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}

/// Whether nobody listens there, on either family.
fn is_free(port: u16) -> bool {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
    let v6 = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
    let v6_fine = match &v6 {
        Ok(_) => true,
        Err(e) => e.kind() != std::io::ErrorKind::AddrInUse,
    };
    drop(v6);
    v6_fine && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// The driver's folders with libvirt's modes; QEMU's account owns those that it works in.
fn make_folders(folders: &DriverPaths, user: Option<&User>) -> anyhow::Result<()> {
    let make = |path: PathBuf, mode: u32, theirs: bool| -> anyhow::Result<()> {
        object::file::create_folder(&path, mode)
            .with_context(|| format!("cannot create folder '{}'", path.display()))?;
        if let Some(user) = user.filter(|_| theirs) {
            std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid))?;
        }
        Ok(())
    };
    make(folders.config.clone(), 0o700, false)?;
    make(folders.config.join("autostart"), 0o700, false)?;
    make(folders.state.clone(), 0o755, false)?;
    make(folders.state.join("channel"), 0o755, true)?;
    make(folders.log.clone(), 0o750, false)?;
    make(folders.lib.clone(), 0o751, true)?;
    make(folders.cache.clone(), 0o750, true)?;
    for (name, mode) in
        [("save", 0o770), ("snapshot", 0o770), ("checkpoint", 0o770), ("dump", 0o770), ("nvram", 0o755), ("ram", 0o770)]
    {
        make(folders.lib.join(name), mode, true)?;
    }
    Ok(())
}
