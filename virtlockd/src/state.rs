//! The record that virtlockd leaves for the next process: what is held, and by whom.

use serde::{Deserialize, Serialize};

use crate::owner::Owner;
use crate::space::Spaces;
use daemon::keep::Slot;

/// Everything that must outlive the process.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Number of the next descriptor name.
    pub next_slot: u64,
    /// Folders of the lockspaces.
    pub lockspaces: Vec<String>,
    /// The held resources.
    pub resources: Vec<Entry>,
}

/// One held resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
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

impl State {
    /// What `spaces` holds now.
    pub fn of(spaces: &Spaces, next_slot: u64) -> State {
        let resources = spaces.iter().map(|(space, name, held)| Entry {
            space: space.to_owned(),
            name: name.to_owned(),
            path: held.path.to_string_lossy().into_owned(),
            shared: held.shared,
            autocreate: held.autocreate,
            slot: held.slot.clone(),
            owners: held.owners.clone(),
        });
        State { next_slot, lockspaces: spaces.folders().map(str::to_owned).collect(), resources: resources.collect() }
    }
}
