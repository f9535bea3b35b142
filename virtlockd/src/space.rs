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
    fn want(&self, follow: bool) -> Want {
        Want { shared: self.shared, autocreate: self.autocreate, follow }
    }

    /// Tries to get back a lock that was lost in a crash.
    pub fn retake(&mut self, follow: bool) -> Result<(), LockFileError> {
        if self.file.is_none() {
            self.file = Some(LockFile::acquire(&self.path, self.want(follow))?);
        }
        Ok(())
    }
}

/// Space and name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Creates the space in folder `path` (0700, with its parents); `exclusive` refuses one that is known already.
    pub fn create_space(&mut self, path: &str, exclusive: bool) -> Result<(), SpaceError> {
        if self.spaces.contains_key(path) {
            return if exclusive { Err(SpaceError::SpaceExists(path.into())) } else { Ok(()) };
        }
        check_path(path)?;
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => return Err(SpaceError::NotADirectory(path.into())),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
                made.map_err(|source| system(format!("Unable to create lockspace {path}"), source))?;
            }
            Err(source) => return Err(system(format!("Unable to read lockspace {path}"), source)),
        }
        self.spaces.insert(path.to_owned(), BTreeMap::new());
        Ok(())
    }

    /// Makes the file of a resource that nobody holds.
    pub fn create_resource(&self, key: &Key) -> Result<(), SpaceError> {
        let path = self.free(key)?;
        let flags = nix::libc::O_CLOEXEC | if key.space.is_empty() { 0 } else { nix::libc::O_NOFOLLOW };
        let made =
            fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path);
        made.map_err(|source| system(format!("Unable to create resource {}", key.name), source))?;
        Ok(())
    }

    /// Unlinks the file of a resource that nobody holds.
    pub fn delete_resource(&self, key: &Key) -> Result<(), SpaceError> {
        match fs::remove_file(self.free(key)?) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(system(format!("Unable to delete lockspace resource {}", key.name), e))
            }
            _ => Ok(()),
        }
    }

    /// Takes the lock for `owner`, or adds it to the list of a shared one. `slot` names the descriptor when a file is
    /// opened; the answer says whether that happened.
    pub fn acquire(
        &mut self,
        key: &Key,
        owner: Owner,
        shared: bool,
        autocreate: bool,
        slot: Slot,
    ) -> Result<bool, SpaceError> {
        let path = self.locate(key)?;
        let follow = key.space.is_empty();
        let resources = self.spaces.get_mut(&key.space).expect("locate found the space");
        if let Some(held) = resources.get_mut(&key.name) {
            if !(shared && held.shared) {
                return Err(SpaceError::Held { name: key.name.clone(), owners: held.owners.clone() });
            }
            held.retake(follow).map_err(|e| refused(key, e, held.autocreate))?;
            held.owners.push(owner);
            return Ok(false);
        }
        let want = Want { shared, autocreate, follow };
        let file = LockFile::acquire(&path, want).map_err(|e| refused(key, e, autocreate))?;
        let resource = Resource { path, shared, autocreate, owners: vec![owner], slot, file: Some(file) };
        resources.insert(key.name.clone(), resource);
        Ok(true)
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

    /// Takes every entry of a process off all owner lists; returns the resources that nobody holds any more.
    pub fn release_owner(&mut self, owner: OwnerKey) -> Vec<Resource> {
        let mut freed = Vec::new();
        for resources in self.spaces.values_mut() {
            let mut empty = Vec::new();
            for (name, held) in resources.iter_mut() {
                let before = held.owners.len();
                held.owners.retain(|o| o.key() != owner);
                if held.owners.is_empty() && before > 0 {
                    empty.push(name.clone());
                }
            }
            freed.extend(empty.iter().filter_map(|name| resources.remove(name)));
        }
        freed
    }

    /// Puts back what [`Spaces::release`] or [`Spaces::acquire`] changed, when the change could not be recorded.
    pub fn put_back(&mut self, key: &Key, resource: Resource) {
        self.spaces.entry(key.space.clone()).or_default().insert(key.name.clone(), resource);
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

    /// As [`Spaces::iter`], to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &str, &mut Resource)> {
        self.spaces.iter_mut().flat_map(|(space, resources)| {
            resources.iter_mut().map(move |(name, resource)| (space.as_str(), name.as_str(), resource))
        })
    }

    /// Makes a space known without touching its folder, for the start-up.
    pub fn remember_space(&mut self, path: &str) {
        self.spaces.entry(path.to_owned()).or_default();
    }

    /// Path of a resource that must not be held.
    fn free(&self, key: &Key) -> Result<PathBuf, SpaceError> {
        let path = self.locate(key)?;
        match self.get(key) {
            Some(held) => Err(SpaceError::Held { name: key.name.clone(), owners: held.owners.clone() }),
            None => Ok(path),
        }
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
fn refused(key: &Key, e: LockFileError, autocreate: bool) -> SpaceError {
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
