//! What a guest locks, and what happens to its locks while it is paused.
//!
//! The guest's own connection to virtlockd is made by the launcher's child and lives as long as QEMU. Changes in
//! between go over short connections that name the guest's pid.

use conf::domain::DomainDef;
use conf::domain::device::source::SourceKind;
use sha2::{Digest, Sha256};

use crate::domain::guest::Guest;
use crate::driver::Driver;
use crate::launcher::{Lease, Owner, Resource};
use crate::peer;
use crate::settings::{LockManager, LockSettings};

const SHARED: u32 = 1;
const AUTOCREATE: u32 = 2;

/// What the guest registers and locks; none without a lock manager. A guest that starts paused only registers.
///
/// # Errors
/// CONFIG_UNSUPPORTED when a disk needs a lock that it does not have.
pub fn of(driver: &Driver, def: &DomainDef, id: i32, paused: bool) -> error::Result<Option<Lease>> {
    let LockManager::Lockd(settings) = &driver.settings.lock_manager else { return Ok(None) };
    let owner = Owner { uuid: def.uuid, name: def.name.clone(), id: id.unsigned_abs() };
    let all = resources(def, settings)?;
    let resources = if paused { Vec::new() } else { all };
    Ok(Some(Lease { socket: driver.paths.run_dir.join("virtlockd-sock"), owner, resources }))
}

/// Locks of a definition: explicit leases, then writable disks.
fn resources(def: &DomainDef, settings: &LockSettings) -> error::Result<Vec<Resource>> {
    let mut resources = Vec::new();
    for lease in &def.devices.leases {
        let space = format!("{}/{}", lease.path, lease.lockspace.as_deref().unwrap_or_default());
        resources.push(Resource { space, name: lease.key.clone(), flags: 0 });
    }
    let writable = def.devices.disks.iter().filter(|disk| {
        let local = matches!(disk.source.kind, SourceKind::File | SourceKind::Block | SourceKind::Dir);
        local && !disk.readonly && disk.source.path.is_some()
    });
    if !settings.auto_disk_leases {
        let exclusive = writable.clone().any(|disk| !disk.shareable);
        if settings.require_lease_for_disks && exclusive && def.devices.leases.is_empty() {
            let text = "read/write, exclusive access, disks were present, but no leases specified";
            return Err(error::Error::new(error::Domain::Locking, error::Code::ConfigUnsupported, text));
        }
        return Ok(resources);
    }
    for disk in writable {
        let path = disk.source.path.as_deref().unwrap_or_default();
        let flags = if disk.shareable { SHARED } else { 0 };
        resources.push(match &settings.file_lockspace_dir {
            None => Resource { space: String::new(), name: path.to_owned(), flags },
            Some(folder) => Resource { space: folder.display().to_string(), name: hex_digest(path), flags: flags | AUTOCREATE },
        });
    }
    Ok(resources)
}

/// A paused guest writes nothing: others may use its disks, as in libvirt.
///
/// # Errors
/// What virtlockd answers.
pub async fn pause(driver: &Driver, guest: Option<&Guest>, name: &str) -> error::Result<()> {
    let Some((lease, pid)) = current(driver, guest)? else { return Ok(()) };
    tracing::debug!(domain = name, locks = lease.resources.len(), "releasing locks of the paused guest");
    peer::lock::release(&lease, pid).await
}

/// Takes the locks back before the vCPUs run.
///
/// # Errors
/// RESOURCE_BUSY when another guest has taken one meanwhile.
pub async fn resume(driver: &Driver, guest: Option<&Guest>, name: &str) -> error::Result<()> {
    let Some((lease, pid)) = current(driver, guest)? else { return Ok(()) };
    tracing::debug!(domain = name, locks = lease.resources.len(), "taking locks of the resumed guest");
    peer::lock::acquire(&lease, pid).await
}

fn current(driver: &Driver, guest: Option<&Guest>) -> error::Result<Option<(Lease, i32)>> {
    let Some(guest) = guest else { return Ok(None) };
    Ok(of(driver, &guest.def, guest.id, false)?.filter(|lease| !lease.resources.is_empty()).map(|lease| (lease, guest.pid.number())))
}

fn hex_digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
