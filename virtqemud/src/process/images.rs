//! Files that a guest reads and writes.

use std::io;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use conf::domain::DomainDef;
use conf::domain::device::chardev::Chardev;
use conf::domain::device::disk::StartupPolicy;
use conf::domain::device::source::{SourceKind, StorageSource};
use error::{Domain, Error};
use host::run_blocking;
use nix::libc;

use super::ownership::Owner;

/// Every image must be there before anything is made.
///
/// # Errors
/// SYSTEM_ERROR with libvirt's text for the first one that is not.
pub async fn check(def: &DomainDef) -> error::Result<()> {
    let required = def.devices.disks.iter().filter(|disk| disk.startup_policy != Some(StartupPolicy::Optional));
    let mut paths: Vec<String> = required.filter_map(|disk| local_path(&disk.source)).map(str::to_owned).collect();
    paths.extend([&def.os.kernel, &def.os.initrd, &def.os.dtb].into_iter().flatten().cloned());
    let found = run_blocking(move || {
        paths.into_iter().try_for_each(|path| std::fs::metadata(&path).map(drop).map_err(|e| (path, e)))
    });
    found.await.map_err(|(path, e)| Error::system(Domain::Storage, &e, format!("Cannot access storage file '{path}'")))
}

/// Files whose owner changes for the guest: images with their declared chains, kernel and initrd, devices behind ports.
pub fn owned_paths(def: &DomainDef) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for disk in &def.devices.disks {
        let mut source = Some(&disk.source);
        while let Some(layer) = source {
            paths.extend(local_path(layer).map(PathBuf::from));
            source = layer.backing.as_ref().and_then(|backing| backing.as_deref());
        }
    }
    paths.extend([&def.os.kernel, &def.os.initrd, &def.os.dtb].into_iter().flatten().map(PathBuf::from));
    let nvram = def.os.loader.as_ref().and_then(|loader| loader.nvram.as_ref());
    paths.extend(nvram.and_then(local_path).map(PathBuf::from));
    for serial in &def.devices.serials {
        if let Chardev::File { path, .. } | Chardev::Dev { path } = &serial.source.backend {
            paths.push(path.into());
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

fn local_path(source: &StorageSource) -> Option<&str> {
    match source.kind {
        SourceKind::File | SourceKind::Block | SourceKind::Dir => source.path.as_deref(),
        _ => None,
    }
}

/// Makes the NVRAM file from its template when it is missing, or anew when asked.
///
/// # Errors
/// SYSTEM_ERROR with what the file system says.
pub async fn make_nvram(def: &DomainDef, owner: Option<Owner>, anew: bool) -> error::Result<()> {
    let Some(loader) = &def.os.loader else { return Ok(()) };
    let (Some(target), Some(template)) = (loader.nvram.as_ref().and_then(local_path), &loader.nvram_template) else {
        return Ok(());
    };
    let (target, template) = (PathBuf::from(target), PathBuf::from(template));
    if target.exists() && !anew {
        return Ok(());
    }
    let text = format!("Failed to create file '{}' from '{}'", target.display(), template.display());
    run_blocking(move || copy(&template, &target, owner)).await.map_err(|e| Error::system(Domain::Qemu, &e, text))
}

/// Whole or not at all: a temporary name, synced, renamed.
fn copy(template: &Path, target: &Path, owner: Option<Owner>) -> io::Result<()> {
    let mut temporary = target.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let _ = std::fs::remove_file(&temporary);
    let mut from = std::fs::File::open(template)?;
    let mut to = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    if let Some(Owner { uid, gid }) = owner {
        chown(&temporary, Some(uid), Some(gid))?;
    }
    std::fs::rename(&temporary, target)
}
