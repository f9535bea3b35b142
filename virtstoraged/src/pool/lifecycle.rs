//! What can be done with a pool as a whole. Every function runs inside a turn of the pool's actor.

use std::sync::Arc;

use conf::pool::PoolDef;
use error::Result;
use protocol::constants::{
    VIR_STORAGE_POOL_BUILD_NEW, VIR_STORAGE_POOL_BUILD_NO_OVERWRITE, VIR_STORAGE_POOL_BUILD_OVERWRITE,
    VIR_STORAGE_POOL_CREATE_WITH_BUILD, VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE,
    VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE,
};

use super::store::Store;
use super::{State, internal, invalid};
use crate::backend;

/// How a pool is brought up.
#[derive(Debug)]
pub(crate) enum StartKind {
    /// As defined.
    Defined,
    /// With this definition, until it is stopped.
    Transient(Box<PoolDef>),
}

/// The build that a start's flags ask for.
fn build_flags(flags: u32) -> Option<u32> {
    let has = |flag: u32| flags & flag != 0;
    if has(VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE) {
        Some(VIR_STORAGE_POOL_BUILD_OVERWRITE)
    } else if has(VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE) {
        Some(VIR_STORAGE_POOL_BUILD_NO_OVERWRITE)
    } else if has(VIR_STORAGE_POOL_CREATE_WITH_BUILD) {
        Some(VIR_STORAGE_POOL_BUILD_NEW)
    } else {
        None
    }
}

impl State {
    fn name(&self) -> String {
        self.def().name.clone()
    }

    fn require_inactive(&self, word: &str) -> Result<()> {
        if self.view().active {
            Err(invalid(format!("storage pool '{}' is {word} active", self.name())))
        } else {
            Ok(())
        }
    }

    /// Takes a new definition: at once, or for the next start when the pool is up.
    pub(crate) fn define(&mut self, def: PoolDef, store: &Store) -> Result<()> {
        store.save_config(&def)?;
        let view = self.view_mut();
        view.persistent = true;
        if view.active {
            view.next = Some(Arc::new(def));
        } else {
            view.def = Arc::new(def);
        }
        Ok(())
    }

    /// Forgets the definition. The caller takes the pool out of the registry.
    pub(crate) fn undefine(&mut self, store: &Store) -> Result<()> {
        self.require_inactive("still")?;
        self.require_idle()?;
        store.remove_config(&self.name())?;
        let view = self.view_mut();
        (view.persistent, view.autostart) = (false, false);
        Ok(())
    }

    pub(crate) fn build(&mut self, flags: u32) -> Result<()> {
        self.require_inactive("already")?;
        backend::of(self.def().kind)?.build(self.def(), flags)
    }

    /// Brings the pool up: backend, state file, first look, in this order; a failure takes back what was done.
    pub(crate) fn start(&mut self, kind: StartKind, flags: u32, store: &Store) -> Result<()> {
        match &kind {
            StartKind::Defined => self.require_inactive("already")?,
            StartKind::Transient(_) if self.view().active => {
                return Err(invalid(format!("pool is already active as '{}'", self.name())));
            }
            StartKind::Transient(_) => {}
        }
        let def = match kind {
            StartKind::Defined => self.def().clone(),
            StartKind::Transient(def) => Arc::from(def),
        };
        let backend = backend::of(def.kind)?;
        if let Some(flags) = build_flags(flags) {
            backend.build(&def, flags)?;
        }
        backend.start(&def)?;
        let first = store.save_state(&def).and_then(|()| backend.scan(&def));
        let scan = match first {
            Ok(scan) => scan,
            Err(cause) => {
                store.remove_state(&def.name);
                if let Err(error) = backend.stop(&def) {
                    tracing::warn!(pool = def.name, %error, "cannot stop a pool that failed to start");
                }
                return Err(cause);
            }
        };
        let persistent = self.view().persistent;
        let before = std::mem::replace(&mut self.view_mut().def, def.clone());
        if persistent && !Arc::ptr_eq(&before, &def) && *before != *def {
            self.view_mut().next = Some(before);
        }
        self.view_mut().active = true;
        let since = self.clock();
        self.enter(scan, since);
        Ok(())
    }

    /// Takes a pool back that was up when the daemon ended; false when it is not up any more.
    pub(crate) fn adopt(&mut self, running: PoolDef, store: &Store) -> bool {
        let Ok(backend) = backend::of(running.kind) else { return false };
        let up = backend.is_up(&running);
        let looked = up.then(|| backend.scan(&running));
        match looked {
            Some(Ok(scan)) => {
                let running = Arc::new(running);
                let before = std::mem::replace(&mut self.view_mut().def, running);
                if self.view().persistent && *before != **self.def() {
                    self.view_mut().next = Some(before);
                }
                self.view_mut().active = true;
                let since = self.clock();
                self.enter(scan, since);
                true
            }
            Some(Err(error)) => {
                tracing::error!(pool = running.name, %error, "a pool that was active cannot be read any more");
                store.remove_state(&running.name);
                false
            }
            None => {
                store.remove_state(&running.name);
                false
            }
        }
    }

    /// Takes the pool down.
    pub(crate) fn stop(&mut self, store: &Store) -> Result<()> {
        self.require_active()?;
        self.require_idle()?;
        backend::of(self.def().kind)?.stop(self.def())?;
        store.remove_state(&self.name());
        let view = self.view_mut();
        view.active = false;
        view.volumes = Arc::default();
        if let Some(next) = view.next.take() {
            view.def = next;
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, flags: u32) -> Result<()> {
        self.require_inactive("still")?;
        self.require_idle()?;
        backend::of(self.def().kind)?.delete(self.def(), flags)
    }

    pub(crate) fn set_autostart(&mut self, on: bool, store: &Store) -> Result<()> {
        if !self.view().persistent {
            return Err(internal("pool has no config file"));
        }
        if self.view().autostart != on {
            store.set_autostart(&self.name(), on)?;
            self.view_mut().autostart = on;
        }
        Ok(())
    }
}

/// The defined pools, all inactive. Blocks.
pub(crate) fn defined(store: &Store) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    for def in store.configs() {
        if let Some(other) = states.iter().find(|s| s.def().uuid == def.uuid) {
            tracing::error!(
                pool = def.name,
                other = other.def().name,
                "two pools have one uuid; the second is left out"
            );
            continue;
        }
        let autostart = store.autostart(&def.name);
        let mut state = State::new(def, true);
        state.view_mut().autostart = autostart;
        states.push(state);
    }
    states
}
