//! What all domains share: settings, folders, registry, subscribers, launcher, emulators.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use daemon::{DriverPaths, Paths};
use object::Registry;
use object::events::Subscriptions;
use protocol::remote::{self, NonnullDomain};
use uuid::Uuid;

use crate::capability::CapabilityCache;
use crate::domain::event::Event;
use crate::domain::handle::Domain;
use crate::launcher::Launcher;
use crate::settings::Settings;

/// The driver: one per daemon.
#[derive(Debug)]
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
    /// Keeps the daemon from ending by `--timeout` while guests run.
    pub inhibitor: daemon::Inhibitor,
    last_id: AtomicI32,
}

impl Driver {
    /// Folder of definitions: `/etc/libvirt/qemu`.
    pub fn definition_file(&self, name: &str) -> PathBuf {
        self.folders.config.join(format!("{name}.xml"))
    }

    /// Link that marks a domain to be started with the host.
    pub fn autostart_link(&self, name: &str) -> PathBuf {
        self.folders.config.join("autostart").join(format!("{name}.xml"))
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
