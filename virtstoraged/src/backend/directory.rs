//! Pools that are a directory.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use conf::pool::PoolDef;
use error::{Domain, Error, Result, check_flags};
use nix::unistd::{Gid, Uid, fchown};

use super::{Backend, Scan, file_system};
use crate::folder::Folder;
use crate::scan;

/// Mode of a pool's directory whose document names none.
const MODE: u32 = 0o711;

pub(crate) struct Directory;

impl Backend for Directory {
    fn is_up(&self, def: &PoolDef) -> bool {
        Path::new(def.target()).is_dir()
    }

    fn build(&self, def: &PoolDef, flags: u32) -> Result<()> {
        if file_system::wants_formatting(flags)? {
            return file_system::format(def, flags);
        }
        make(def)
    }

    fn start(&self, _def: &PoolDef) -> Result<()> {
        Ok(())
    }

    fn stop(&self, _def: &PoolDef) -> Result<()> {
        Ok(())
    }

    fn delete(&self, def: &PoolDef, flags: u32) -> Result<()> {
        check_flags(Domain::Storage, "virStorageBackendDeleteLocal", flags, 0)?;
        let removed = std::fs::remove_dir(def.target());
        removed.map_err(|e| Error::system(Domain::Storage, &e, format!("failed to remove pool '{}'", def.target())))
    }

    fn scan(&self, def: &PoolDef) -> Result<Scan> {
        let folder = open(def)?;
        let read = |e: io::Error| Error::system(Domain::None, &e, format!("cannot read directory '{}'", def.target()));
        let volumes = scan::volumes(&folder).map_err(read)?;
        let permissions = scan::permissions(&folder.stat().map_err(read)?);
        let (capacity, allocation, available) = self.figures(def)?;
        Ok(Scan { capacity, allocation, available, permissions, volumes })
    }

    fn figures(&self, def: &PoolDef) -> Result<(u64, u64, u64)> {
        let stat = nix::sys::statvfs::statvfs(def.target()).map_err(|errno| {
            Error::system(Domain::Storage, &errno.into(), format!("cannot statvfs path '{}'", def.target()))
        })?;
        let unit = stat.fragment_size();
        let capacity = unit.saturating_mul(stat.blocks());
        let available = unit.saturating_mul(stat.blocks_free());
        Ok((capacity, capacity.saturating_sub(available), available))
    }
}

/// Opens the pool's directory.
pub(crate) fn open(def: &PoolDef) -> Result<Folder> {
    Folder::open(def.target())
        .map_err(|e| Error::system(Domain::None, &e, format!("cannot open directory '{}'", def.target())))
}

/// Makes the directory with its parents and gives it the mode and owner of the document. What exists keeps its mode and owner
/// unless the document asks for others.
pub(crate) fn make(def: &PoolDef) -> Result<()> {
    let path = Path::new(def.target());
    let fail =
        |e: io::Error| Error::system(Domain::Storage, &e, format!("failed to create directory '{}'", path.display()));
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(fail)?;
    }
    let wanted = &def.permissions;
    let made = match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        Err(e) => return Err(fail(e)),
    };
    if !made && !path.is_dir() {
        return Ok(());
    }
    let folder = Folder::open(path).map_err(fail)?;
    let stat = folder.stat().map_err(fail)?;
    let owner = wanted.owner.filter(|owner| *owner != stat.st_uid).map(Uid::from_raw);
    let group = wanted.group.filter(|group| *group != stat.st_gid).map(Gid::from_raw);
    if owner.is_some() || group.is_some() {
        fchown(folder.fd(), owner, group).map_err(|errno| {
            let (owner, group) = (wanted.owner.unwrap_or(stat.st_uid), wanted.group.unwrap_or(stat.st_gid));
            Error::system(
                Domain::Storage,
                &errno.into(),
                format!("cannot chown '{}' to ({owner}, {group})", path.display()),
            )
        })?;
    }
    let mode = wanted.mode.or(made.then_some(MODE)).filter(|mode| stat.st_mode & 0o777 != *mode);
    if let Some(mode) = mode {
        let file = std::fs::File::from(folder.fd().try_clone().map_err(fail)?);
        file.set_permissions(Permissions::from_mode(mode)).map_err(|e| {
            Error::system(Domain::Storage, &e, format!("cannot set mode of '{}' to {mode:04o}", path.display()))
        })?;
    }
    Ok(())
}
