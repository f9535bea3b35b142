//! What a pool is at the moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use conf::pool::PoolDef;
use conf::volume::VolumeDef;
use error::{Code, Domain, Error, Result};

use super::invalid;
use crate::scan::Volumes;

/// The published copy, read without waiting.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Definition in force, with the figures of the last refresh.
    pub(crate) def: Arc<PoolDef>,
    /// Definition of the next start, when the running pool was defined anew.
    pub(crate) next: Option<Arc<PoolDef>>,
    pub(crate) active: bool,
    pub(crate) persistent: bool,
    pub(crate) autostart: bool,
    pub(crate) volumes: Arc<Volumes>,
}

impl View {
    /// What a start would use.
    pub(crate) fn inactive_def(&self) -> &Arc<PoolDef> {
        self.next.as_ref().unwrap_or(&self.def)
    }

    /// Refuses a pool that is not up.
    pub(crate) fn require_active(&self) -> Result<()> {
        if self.active { Ok(()) } else { Err(invalid(format!("storage pool '{}' is not active", self.def.name))) }
    }

    /// The volume of a name, in a pool that is up.
    pub(crate) fn volume(&self, name: &str) -> Result<Arc<VolumeDef>> {
        self.require_active()?;
        self.volumes.get(name).cloned().ok_or_else(|| no_volume(name))
    }
}

/// What is being done with a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// It is being made.
    Building,
    /// So many readers and writers.
    InUse(usize),
}

/// The actor's data.
#[derive(Debug)]
pub(crate) struct State {
    view: View,
    uses: HashMap<String, Use>,
    /// Changes of volumes so far, and when each name last changed: a scan that began before keeps its hands off those.
    clock: u64,
    changed: BTreeMap<String, u64>,
}

pub(crate) fn no_volume(name: &str) -> Error {
    Error::new(Domain::Storage, Code::NoStorageVol, format!("no storage vol with matching name '{name}'"))
}

impl State {
    /// An inactive pool.
    pub(crate) fn new(def: PoolDef, persistent: bool) -> Self {
        let view = View {
            def: Arc::new(def),
            next: None,
            active: false,
            persistent,
            autostart: false,
            volumes: Arc::default(),
        };
        State { view, uses: HashMap::new(), clock: 0, changed: BTreeMap::new() }
    }

    pub(crate) fn view(&self) -> View {
        self.view.clone()
    }

    pub(crate) fn view_mut(&mut self) -> &mut View {
        &mut self.view
    }

    pub(crate) fn def(&self) -> &Arc<PoolDef> {
        &self.view.def
    }

    pub(crate) fn def_mut(&mut self) -> &mut PoolDef {
        Arc::make_mut(&mut self.view.def)
    }

    pub(crate) fn require_active(&self) -> Result<()> {
        self.view.require_active()
    }

    pub(crate) fn volume(&self, name: &str) -> Result<Arc<VolumeDef>> {
        self.view.volume(name)
    }

    /// Refuses while long work runs, as stopping the pool under it would leave it half done.
    pub(crate) fn require_idle(&self) -> Result<()> {
        if self.uses.is_empty() {
            return Ok(());
        }
        Err(super::internal(format!("pool '{}' has asynchronous jobs running.", self.view.def.name)))
    }

    /// Refuses a volume that is being made or used.
    pub(crate) fn require_unused(&self, name: &str) -> Result<()> {
        match self.uses.get(name) {
            None => Ok(()),
            Some(Use::Building) => Err(invalid(format!("volume '{name}' is still being allocated."))),
            Some(Use::InUse(_)) => Err(invalid(format!("volume '{name}' is still in use."))),
        }
    }

    /// Whether the name is taken by a volume or by one being made.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.view.volumes.contains_key(name) || self.uses.get(name) == Some(&Use::Building)
    }

    /// Takes the name for a volume that is about to be made.
    pub(crate) fn begin_build(&mut self, name: &str) {
        self.uses.insert(name.to_owned(), Use::Building);
    }

    /// The making has ended, with a volume or without.
    pub(crate) fn end_build(&mut self, name: &str, made: Option<VolumeDef>) {
        self.uses.remove(name);
        if let Some(def) = made {
            self.put(def);
        }
    }

    /// Counts a user of a volume.
    pub(crate) fn begin_use(&mut self, name: &str) -> Result<()> {
        match self.uses.entry(name.to_owned()).or_insert(Use::InUse(0)) {
            Use::Building => Err(invalid(format!("volume '{name}' is still being allocated."))),
            Use::InUse(count) => {
                *count += 1;
                Ok(())
            }
        }
    }

    /// The user is done.
    pub(crate) fn end_use(&mut self, name: &str) {
        if let Some(Use::InUse(count)) = self.uses.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.uses.remove(name);
            }
        }
    }

    /// Enters or replaces a volume.
    pub(crate) fn put(&mut self, def: VolumeDef) {
        self.touch(&def.name);
        Arc::make_mut(&mut self.view.volumes).insert(def.name.clone(), Arc::new(def));
    }

    /// Forgets a volume.
    pub(crate) fn forget(&mut self, name: &str) {
        self.touch(name);
        Arc::make_mut(&mut self.view.volumes).remove(name);
    }

    fn touch(&mut self, name: &str) {
        self.clock += 1;
        self.changed.insert(name.to_owned(), self.clock);
    }

    /// The time of now, for [`merge`](Self::merge).
    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    /// Takes the result of a scan that began at `since`. What changed meanwhile, or is being made, stays as it is.
    pub(crate) fn merge(&mut self, mut found: Volumes, since: u64) {
        let later = self.changed.iter().filter(|(_, at)| **at > since).map(|(name, _)| name);
        let building = self.uses.iter().filter(|(_, how)| **how == Use::Building).map(|(name, _)| name);
        for name in later.chain(building) {
            match self.view.volumes.get(name) {
                Some(def) => found.insert(name.clone(), def.clone()),
                None => found.remove(name),
            };
        }
        self.changed.clear();
        self.view.volumes = Arc::new(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf::pool::PoolType;

    fn volume(name: &str) -> VolumeDef {
        VolumeDef::parse(&format!("<volume><name>{name}</name><capacity>1</capacity></volume>"), PoolType::Dir).unwrap()
    }

    fn state() -> State {
        let def = PoolDef::parse("<pool type='dir'><name>p</name><target><path>/p</path></target></pool>").unwrap();
        let mut state = State::new(def, true);
        state.view_mut().active = true;
        state
    }

    #[test]
    fn a_scan_does_not_undo_what_happened_meanwhile() {
        let mut state = state();
        for name in ["kept", "deleted", "vanished"] {
            state.put(volume(name));
        }
        let since = state.clock();
        let scanned: Volumes =
            ["kept", "deleted", "half"].iter().map(|n| (n.to_string(), Arc::new(volume(n)))).collect();
        state.forget("deleted");
        state.put(volume("made"));
        state.begin_build("half");
        state.merge(scanned, since);
        assert_eq!(state.view().volumes.keys().collect::<Vec<_>>(), ["kept", "made"]);
        state.end_build("half", Some(volume("half")));
        assert!(state.has("half"));
    }

    #[test]
    fn volumes_in_use_are_protected() {
        let mut state = state();
        state.put(volume("a"));
        state.begin_use("a").unwrap();
        state.begin_use("a").unwrap();
        state.end_use("a");
        let busy = state.require_unused("a").unwrap_err();
        assert_eq!(busy.message, "Requested operation is not valid: volume 'a' is still in use.");
        assert_eq!(
            state.require_idle().unwrap_err().message,
            "internal error: pool 'p' has asynchronous jobs running."
        );
        state.end_use("a");
        state.require_unused("a").unwrap();
        state.begin_build("b");
        assert!(state.begin_use("b").is_err() && state.has("b"));
        state.end_build("b", None);
        assert!(!state.has("b"));
        state.require_idle().unwrap();
    }
}
