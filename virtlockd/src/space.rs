//! The lock spaces: which resource is held by whom. Plain synchronous state; nothing here waits.
//!
//! The space "" is the default one, whose resources are named by absolute path; every other space is a folder whose
//! resources are files in it. A resource that is held exclusively has one owner; a shared one a list, in which a
//! process may stand several times.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::lock_file::{LockFile, LockFileError, Want};
use crate::owner::{Owner, OwnerKey};
use daemon::keep::Slot;

/// Why a request was refused. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// The space was never created.
    #[error("lockspace {0} does not exist")]
    NoSpace(String),
    /// `NEW` of a space that is there.
    #[error("lockspace {0} exists")]
    SpaceExists(String),
    /// The folder's name is taken by something else.
    #[error("lockspace location {0} is not a directory")]
    NotADirectory(String),
    /// The name could lead out of the space.
    #[error("bad name {0}")]
    BadName(String),
    /// Held by owners that we know.
    #[error("resource {name} is held")]
    Held { name: String, owners: Vec<Owner> },
    /// Held by somebody outside of this daemon.
    #[error("resource {name} is locked outside")]
    HeldOutside { name: String, pid: Option<i32> },
    /// Not held at all.
    #[error("resource {0} is not held")]
    NotHeld(String),
    /// Held, but not by this process.
    #[error("process {0} does not hold the resource")]
    NotOwner(i32),
    /// A file operation failed.
    #[error("{what}")]
    System {
        what: String,
        #[source]
        source: io::Error,
    },
}

/// One locked file and its owners.
#[derive(Debug)]
pub struct Resource {
    /// Path of the locked file.
    pub path: PathBuf,
    /// Read lock: several owners.
    pub shared: bool,
    /// The file is ours to unlink.
    pub autocreate: bool,
    /// The holders; never empty, except in a resource that was found without any record of its owner.
    pub owners: Vec<Owner>,
    /// Name of the descriptor in the service manager's store.
    pub slot: Slot,
    /// The lock; `None` when it was lost in a crash and could not be taken again.
    pub file: Option<LockFile>,
}

impl Resource {
    /// Drops the lock. May block as long as the file system likes.
    pub fn unlock(self) {
        if let Some(file) = self.file
            && let Err(e) = file.unlock(&self.path, self.shared, self.autocreate)
        {
            tracing::error!(path = %self.path.display(), error = %e, "cannot unlock");
        }
    }
}

/// What [`Spaces::admit`] decided.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is one of several readers now.
    Joined,
    /// The file has to be locked, then entered by [`Spaces::insert`].
    Open { path: PathBuf, want: Want },
}

/// Space and name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Folder of the space, "" for the default one.
    pub space: String,
    /// Name of the resource in it.
    pub name: String,
}

/// All spaces of the daemon.
#[derive(Debug, Default)]
pub struct Spaces {
    spaces: BTreeMap<String, BTreeMap<String, Resource>>,
}

impl Spaces {
    /// Only the default space.
    pub fn new() -> Spaces {
        Spaces { spaces: BTreeMap::from([(String::new(), BTreeMap::new())]) }
    }

    /// Whether a space has to be made; `exclusive` refuses one that is known already.
    pub fn admit_space(&self, path: &str, exclusive: bool) -> Result<bool, SpaceError> {
        if self.spaces.contains_key(path) {
            return if exclusive { Err(SpaceError::SpaceExists(path.into())) } else { Ok(false) };
        }
        check_path(path).map(|()| true)
    }

    /// Path of a resource that must not be held.
    pub fn free(&self, key: &Key) -> Result<PathBuf, SpaceError> {
        let path = self.locate(key)?;
        match self.get(key) {
            Some(held) => Err(SpaceError::Held { name: key.name.clone(), owners: held.owners.clone() }),
            None => Ok(path),
        }
    }

    /// Adds `owner` to the list of a shared resource, or says which file has to be locked for it.
    pub fn admit(&mut self, key: &Key, owner: &Owner, shared: bool, autocreate: bool) -> Result<Admission, SpaceError> {
        let path = self.locate(key)?;
        let Some(held) = self.get_mut(key) else {
            let want = Want { shared, autocreate, follow: key.space.is_empty() };
            return Ok(Admission::Open { path, want });
        };
        if !(shared && held.shared) {
            return Err(SpaceError::Held { name: key.name.clone(), owners: held.owners.clone() });
        }
        if held.file.is_none() {
            return Err(SpaceError::HeldOutside { name: key.name.clone(), pid: None });
        }
        held.owners.push(owner.clone());
        Ok(Admission::Joined)
    }

    /// Enters a resource into the table.
    pub fn insert(&mut self, key: &Key, resource: Resource) {
        self.spaces.entry(key.space.clone()).or_default().insert(key.name.clone(), resource);
    }

    /// Takes one entry of process `pid` off the owner list and returns it; with it the resource when that was the last
    /// one: it is out of the table, but still locked.
    pub fn release(&mut self, key: &Key, pid: i32) -> Result<(Option<Owner>, Option<Resource>), SpaceError> {
        self.locate(key)?;
        let resources = self.spaces.get_mut(&key.space).expect("locate found the space");
        let held = resources.get_mut(&key.name).ok_or_else(|| SpaceError::NotHeld(key.name.clone()))?;
        // A resource whose owner is unknown goes to the first process that asks for it.
        let mut owner = None;
        if !held.owners.is_empty() {
            let at = held.owners.iter().rposition(|owner| owner.pid == pid).ok_or(SpaceError::NotOwner(pid))?;
            owner = Some(held.owners.remove(at));
        }
        let last = held.owners.is_empty();
        Ok((owner, if last { resources.remove(&key.name) } else { None }))
    }

    /// Takes every entry of a process off the owner list of a resource; returns the resource if nobody holds it any
    /// more: it is out of the table, but still locked.
    pub fn forget_owner(&mut self, key: &Key, owner: OwnerKey) -> Option<Resource> {
        let held = self.get_mut(key)?;
        let before = held.owners.len();
        held.owners.retain(|o| o.key() != owner);
        let last = held.owners.is_empty() && before > 0;
        if last { self.remove(key) } else { None }
    }

    /// Takes a resource out of the table.
    pub fn remove(&mut self, key: &Key) -> Option<Resource> {
        self.spaces.get_mut(&key.space)?.remove(&key.name)
    }

    /// What the process holds.
    pub fn held_by(&self, owner: OwnerKey) -> Vec<Key> {
        let held = self.iter().filter(|(_, _, held)| held.owners.iter().any(|o| o.key() == owner));
        held.map(|(space, name, _)| Key { space: space.into(), name: name.into() }).collect()
    }

    /// Whether the process holds anything.
    pub fn holds(&self, owner: OwnerKey) -> bool {
        self.iter().any(|(_, _, held)| held.owners.iter().any(|o| o.key() == owner))
    }

    /// The resource of that name, if it is held.
    pub fn get(&self, key: &Key) -> Option<&Resource> {
        self.spaces.get(&key.space)?.get(&key.name)
    }

    /// As [`Spaces::get`], to change it.
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Resource> {
        self.spaces.get_mut(&key.space)?.get_mut(&key.name)
    }

    /// Folders of all spaces but the default one.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.spaces.keys().filter(|path| !path.is_empty()).map(String::as_str)
    }

    /// Every held resource, with its space and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Resource)> {
        self.spaces.iter().flat_map(|(space, resources)| {
            resources.iter().map(move |(name, resource)| (space.as_str(), name.as_str(), resource))
        })
    }

    /// What is listed without being locked.
    pub fn lost(&self) -> Vec<Key> {
        let lost = self.iter().filter(|(_, _, held)| held.file.is_none());
        lost.map(|(space, name, _)| Key { space: space.into(), name: name.into() }).collect()
    }

    /// The file of a resource that is listed without being locked.
    pub fn lost_file(&self, key: &Key) -> Option<(PathBuf, Want)> {
        let held = self.get(key).filter(|held| held.file.is_none())?;
        let want = Want { shared: held.shared, autocreate: held.autocreate, follow: key.space.is_empty() };
        Some((held.path.clone(), want))
    }

    /// Makes a space known; its folder is not touched.
    pub fn remember_space(&mut self, path: &str) {
        self.spaces.entry(path.to_owned()).or_default();
    }

    /// Path of a resource's file, after checking space and name.
    fn locate(&self, key: &Key) -> Result<PathBuf, SpaceError> {
        if !self.spaces.contains_key(&key.space) {
            return Err(SpaceError::NoSpace(key.space.clone()));
        }
        if key.space.is_empty() {
            check_path(&key.name)?;
            return Ok(PathBuf::from(&key.name));
        }
        if key.name.is_empty() || key.name == "." || key.name == ".." || key.name.contains('/') {
            return Err(SpaceError::BadName(key.name.clone()));
        }
        Ok(Path::new(&key.space).join(&key.name))
    }
}

/// Makes the folder of a space, 0700, with its parents. May block as long as the file system likes.
pub fn make_space(path: &str) -> Result<(), SpaceError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(SpaceError::NotADirectory(path.into())),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| system(format!("Unable to create lockspace {path}"), source))
        }
        Err(source) => Err(system(format!("Unable to read lockspace {path}"), source)),
    }
}

/// Makes the file of a resource. May block.
pub fn make_file(key: &Key, path: &Path) -> Result<(), SpaceError> {
    let flags = nix::libc::O_CLOEXEC | if key.space.is_empty() { 0 } else { nix::libc::O_NOFOLLOW };
    let mut options = fs::OpenOptions::new();
    let made = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path);
    made.map(drop).map_err(|source| system(format!("Unable to create resource {}", key.name), source))
}

/// Unlinks the file of a resource. May block.
pub fn remove_file(key: &Key, path: &Path) -> Result<(), SpaceError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(system(format!("Unable to delete lockspace resource {}", key.name), e))
        }
        _ => Ok(()),
    }
}

/// Absolute and without `..`, so that a name means one place whatever the links on the way.
fn check_path(path: &str) -> Result<(), SpaceError> {
    if path.starts_with('/') && !path.split('/').any(|part| part == "..") {
        Ok(())
    } else {
        Err(SpaceError::BadName(path.to_owned()))
    }
}

fn system(what: String, source: io::Error) -> SpaceError {
    SpaceError::System { what, source }
}

/// A file that could not be locked, in the words of the resource.
pub fn refused(key: &Key, e: LockFileError, autocreate: bool) -> SpaceError {
    let verb = if autocreate { "open/create" } else { "open" };
    match e {
        LockFileError::Open(source) => system(format!("Unable to {verb} resource {}", file_name(key)), source),
        LockFileError::Lock(source) => system(format!("Unable to acquire lock on '{}'", file_name(key)), source),
        LockFileError::Busy(pid) => SpaceError::HeldOutside { name: key.name.clone(), pid },
    }
}

fn file_name(key: &Key) -> String {
    if key.space.is_empty() { key.name.clone() } else { format!("{}/{}", key.space, key.name) }
}

#[cfg(test)]
mod tests;
