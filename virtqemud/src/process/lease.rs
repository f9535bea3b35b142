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
            Some(folder) => {
                Resource { space: folder.display().to_string(), name: hex_digest(path), flags: flags | AUTOCREATE }
            }
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
    Ok(of(driver, &guest.def, guest.id, false)?
        .filter(|lease| !lease.resources.is_empty())
        .map(|lease| (lease, guest.pid.number())))
}

fn hex_digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks(settings: &LockSettings) -> error::Result<Vec<Resource>> {
        let disk = |dst: &str, path: &str, more: &str| {
            format!(
                "<disk type='file' device='disk'><source file='{path}'/><target dev='{dst}' bus='virtio'/>{more}</disk>"
            )
        };
        let disks =
            [disk("vda", "/a", ""), disk("vdb", "/b", "<readonly/>"), disk("vdc", "/c", "<shareable/>")].concat();
        let lease = "<lease><lockspace>s</lockspace><key>k</key><target path='/l'/></lease>";
        let xml = format!(
            "<domain type='qemu'><name>g</name><memory>1</memory><os><type arch='x86_64'>hvm</type></os><devices>{disks}{lease}</devices></domain>"
        );
        resources(&DomainDef::parse(&xml, conf::domain::ParseContext { live: false }).unwrap(), settings)
    }

    #[test]
    fn writable_disks_are_locked_by_path_or_in_a_folder() {
        let mut settings =
            LockSettings { auto_disk_leases: true, require_lease_for_disks: false, file_lockspace_dir: None };
        let resource = |space: &str, name: &str, flags| Resource { space: space.into(), name: name.into(), flags };
        assert_eq!(
            locks(&settings).unwrap(),
            [resource("/l/s", "k", 0), resource("", "/a", 0), resource("", "/c", SHARED)]
        );
        settings.file_lockspace_dir = Some("/locks".into());
        let name = "8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1".len();
        let all = locks(&settings).unwrap();
        assert_eq!(
            (all[1].space.as_str(), all[1].name.len(), all[1].flags, all[2].flags),
            ("/locks", name, AUTOCREATE, SHARED | AUTOCREATE)
        );
        settings.auto_disk_leases = false;
        assert_eq!(locks(&settings).unwrap(), [resource("/l/s", "k", 0)]);
    }
}
