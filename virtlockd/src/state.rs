//! The record that virtlockd leaves for the next process: what is held, and by whom.

use daemon::keep::Slot;
use serde::{Deserialize, Serialize};

use crate::owner::Owner;
use crate::space::{Key, Resource, Spaces};

/// One thing that must outlive the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A lockspace.
    Space {
        /// Its folder.
        path: String,
    },
    /// A held resource.
    Resource(HeldEntry),
}

/// One held resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEntry {
    /// Folder of its space, "" for the default one.
    pub space: String,
    /// Its name there.
    pub name: String,
    /// The locked file.
    pub path: String,
    /// Read lock.
    pub shared: bool,
    /// The file goes with the last holder.
    pub autocreate: bool,
    /// Name of the descriptor.
    pub slot: Slot,
    /// The holders.
    pub owners: Vec<Owner>,
}

impl daemon::keep::Entry for Entry {
    fn key(&self) -> String {
        match self {
            // Absolute, so never the name of a descriptor.
            Entry::Space { path } => path.clone(),
            Entry::Resource(held) => held.slot.as_str().to_owned(),
        }
    }
}

impl Entry {
    /// A held resource as it is now.
    pub fn held(key: &Key, held: &Resource) -> Entry {
        Entry::Resource(HeldEntry {
            space: key.space.clone(),
            name: key.name.clone(),
            path: held.path.to_string_lossy().into_owned(),
            shared: held.shared,
            autocreate: held.autocreate,
            slot: held.slot.clone(),
            owners: held.owners.clone(),
        })
    }

    /// Everything there is now.
    pub fn all(spaces: &Spaces) -> Vec<Entry> {
        let folders = spaces.folders().map(|path| Entry::Space { path: path.to_owned() });
        let held = spaces.iter().map(|(space, name, held)| {
            let key = Key { space: space.to_owned(), name: name.to_owned() };
            Entry::held(&key, held)
        });
        folders.chain(held).collect()
    }
}
