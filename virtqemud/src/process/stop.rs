//! Gives back what a run of a guest took from the host. Repeatable; every step is tried.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use conf::domain::DomainDef;
use conf::domain::device::graphics::Graphics;
use host::run_blocking;

use crate::domain::guest::{Guest, RunFolders};
use crate::driver::Driver;
use crate::peer;

use super::ownership;

/// What is left of a run whose process is gone.
#[derive(Debug, Clone)]
pub struct Remains {
    /// Live definition, as far as the run came.
    pub def: Arc<DomainDef>,
    /// Its folders.
    pub folders: RunFolders,
    /// Files whose owner was changed.
    pub owned: Vec<PathBuf>,
}

/// After the end of a guest.
pub async fn clean(driver: &Driver, guest: &Guest) {
    let remains = Remains { def: guest.def.clone(), folders: guest.folders.clone(), owned: guest.owned.clone() };
    clean_remains(driver, remains).await;
}

/// Network ports, display ports, owners, folders, and last of all the status document: as long as it is there, a daemon
/// that starts after a crash does all this again.
pub async fn clean_remains(driver: &Driver, remains: Remains) {
    let Remains { def, folders, owned } = remains;
    release_networks(driver, &def).await;
    release_displays(driver, &def);
    let (status, pid) = (driver.status_file(&def.name), driver.pid_file(&def.name));
    let remember = driver.settings.remember_owner;
    let name = def.name.clone();
    run_blocking(move || {
        for path in owned {
            if let Err(e) = ownership::give_back(&path, remember) {
                tracing::warn!(domain = %name, path = %path.display(), error = %e, "cannot give the file back to its owner");
            }
        }
        let done = folders.remove().and_then(|()| remove(&pid)).and_then(|()| remove(&status));
        if let Err(e) = done {
            tracing::warn!(domain = %name, error = %e, "cannot remove files of the ended guest");
        }
    })
    .await;
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

async fn release_networks(driver: &Driver, def: &DomainDef) {
    for interface in &def.devices.interfaces {
        if let Err(e) = peer::network::release(driver, interface).await {
            tracing::warn!(domain = %def.name, error = %e, "cannot release the network port");
        }
    }
}

fn release_displays(driver: &Driver, def: &DomainDef) {
    for display in &def.devices.graphics {
        let ports = match &display.graphics {
            Graphics::Vnc(vnc) if vnc.autoport => [vnc.port, -1],
            Graphics::Spice(spice) if spice.autoport => [spice.port, spice.tls_port],
            _ => continue,
        };
        for port in ports.into_iter().filter_map(|port| u16::try_from(port).ok()) {
            driver.release_port(port);
        }
    }
}
