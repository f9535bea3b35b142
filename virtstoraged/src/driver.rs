//! The storage driver: all pools, where their files are, who hears of them.

use std::sync::Arc;
use std::time::Duration;

use conf::pool::{PoolDef, PoolSource, PoolType};
use error::{Code, Domain, Error, Result};
use object::events::Subscriptions;
use object::{Clash, Registry};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::backend;
use crate::event::Lifecycle;
use crate::pool::{Pool, StartKind, State, defined, store::Store};

/// Copies, wipes and streams that run at once; the others wait, so that short file work always finds a thread.
const JOBS_MAX: usize = 4;

/// How long the daemon's start waits for pools.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The driver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Driver(pub(crate) Arc<Inner>);

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) pools: Registry<Pool>,
    pub(crate) store: Store,
    pub(crate) subscriptions: Subscriptions<Arc<rpc::Client>>,
    jobs: Semaphore,
}

/// Waits for the tasks, but not longer than [`START_LIMIT`]; they go on then.
async fn finish(tasks: Vec<JoinHandle<()>>) {
    let all = async {
        for task in tasks {
            // a panic has been logged
            let _ = task.await;
        }
    };
    if tokio::time::timeout(START_LIMIT, all).await.is_err() {
        tracing::warn!("not all pools are up yet: their storage does not answer");
    }
}

fn storage(code: Code, detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, code, detail)
}

fn clash(clash: &Clash) -> Error {
    let detail = match clash {
        Clash::Name { name, uuid } => format!("pool '{name}' already exists with uuid {uuid}"),
        Clash::Uuid { name, uuid } => format!("pool '{name}' is already defined with uuid {uuid}"),
        Clash::Same { name, .. } => format!("pool '{name}' is being defined by another client"),
    };
    storage(Code::OperationFailed, detail)
}

impl Driver {
    /// Reads the pools of an earlier life, takes back what still runs, and starts what starts with the host.
    ///
    /// Storage that does not answer delays this by [`START_LIMIT`] at most; its pools come up when it does.
    ///
    /// # Errors
    /// When the driver's folders cannot be made.
    pub(crate) async fn start(store: Store) -> std::io::Result<Driver> {
        let (store, states, running) = host::run_blocking(move || {
            store.prepare()?;
            let (states, running) = (defined(&store), store.states());
            Ok::<_, std::io::Error>((store, states, running))
        })
        .await?;
        let inner = Inner {
            pools: Registry::new(),
            store,
            subscriptions: Subscriptions::new("storage pool"),
            jobs: Semaphore::new(JOBS_MAX),
        };
        let driver = Driver(Arc::new(inner));
        for state in states {
            let (uuid, name) = (Uuid::from_bytes(state.def().uuid), state.def().name.clone());
            if let Err(error) = driver.0.pools.insert_with(uuid, &name, || Pool::spawn(state)) {
                tracing::error!(pool = name, %error, "two pools clash; the second is left out");
            }
        }
        let adopting: Vec<_> = running.into_iter().map(|def| tokio::spawn(driver.clone().adopt(def))).collect();
        finish(adopting).await;
        driver.autostart().await;
        Ok(driver)
    }

    /// Takes a pool back that was running when the daemon ended.
    async fn adopt(self, def: PoolDef) {
        let (uuid, name) = (Uuid::from_bytes(def.uuid), def.name.clone());
        let pool = match self.0.pools.admit(&uuid, &name) {
            Ok(Some(pool)) => pool,
            Ok(None) => {
                let first = def.clone();
                match self.0.pools.insert_with(uuid, &name, || Pool::spawn(State::new(first, false))) {
                    Ok(pool) => pool,
                    Err(error) => return tracing::error!(pool = name, %error, "a running pool clashes with another"),
                }
            }
            Err(error) => return tracing::error!(pool = name, %error, "a running pool clashes with a defined one"),
        };
        let store = self.0.store.clone();
        let up = pool.turn(move |state| Ok(state.adopt(def, &store))).await;
        if !matches!(up, Ok(true)) && !pool.view().persistent {
            self.0.pools.remove(&uuid);
        }
    }

    async fn autostart(&self) {
        let store = self.0.store.clone();
        if !host::run_blocking(move || store.is_first_start()).await {
            return;
        }
        let wanted = |pool: &Pool| {
            let view = pool.view();
            view.autostart && !view.active
        };
        let starting = self.0.pools.list().into_iter().filter(wanted).map(|pool| {
            let driver = self.clone();
            tokio::spawn(async move {
                if let Err(error) = driver.start_pool(&pool, 0).await {
                    tracing::error!(pool = &*pool.name, %error, "cannot start the pool with the host");
                }
            })
        });
        finish(starting.collect()).await;
    }

    /// Takes definitions that appeared on disk since the start. What is known stays as it is.
    pub(crate) async fn reload(&self) {
        let store = self.0.store.clone();
        for state in host::run_blocking(move || defined(&store)).await {
            let (uuid, name) = (Uuid::from_bytes(state.def().uuid), state.def().name.clone());
            if self.0.pools.admit(&uuid, &name).is_ok_and(|known| known.is_none()) {
                let added = self.0.pools.insert_with(uuid, &name, || Pool::spawn(state));
                tracing::info!(pool = name, added = added.is_ok(), "found a new definition");
            }
        }
    }

    /// Waits for a place among the long jobs.
    pub(crate) async fn job(&self) -> Result<SemaphorePermit<'_>> {
        self.0.jobs.acquire().await.map_err(|_| crate::pool::internal("the driver is shutting down"))
    }

    /// The pool of a name.
    pub(crate) fn by_name(&self, name: &str) -> Result<Pool> {
        let missing = || storage(Code::NoStoragePool, format!("no storage pool with matching name '{name}'"));
        self.0.pools.by_name(name).ok_or_else(missing)
    }

    /// The pool of an identity; `name` is what the client calls it, for the message.
    pub(crate) fn by_uuid(&self, uuid: &[u8; 16], name: Option<&str>) -> Result<Pool> {
        let uuid = Uuid::from_bytes(*uuid);
        self.0.pools.by_uuid(&uuid).ok_or_else(|| {
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            storage(Code::NoStoragePool, format!("no storage pool with matching uuid '{uuid}'{name}"))
        })
    }

    /// Defines a pool, new or anew.
    pub(crate) async fn define(&self, text: &str) -> Result<Pool> {
        let def = parse(text)?;
        let (uuid, name) = (Uuid::from_bytes(def.uuid), def.name.clone());
        let existing = self.0.pools.admit(&uuid, &name).map_err(|e| clash(&e))?;
        self.require_other_source(&def)?;
        backend::of(def.kind)?;
        let store = self.0.store.clone();
        let pool = match existing {
            Some(pool) => {
                pool.turn(move |state| state.define(def, &store)).await?;
                pool
            }
            None => {
                let first = def.clone();
                let made = self.0.pools.insert_with(uuid, &name, || Pool::spawn(State::new(first, false)));
                let pool = made.map_err(|e| clash(&e))?;
                if let Err(error) = pool.turn(move |state| state.define(def, &store)).await {
                    self.0.pools.remove(&uuid);
                    return Err(error);
                }
                pool
            }
        };
        self.lifecycle(&pool, Lifecycle::Defined);
        Ok(pool)
    }

    /// Starts a pool from a document, without keeping the definition.
    pub(crate) async fn create(&self, text: &str, flags: u32) -> Result<Pool> {
        let def = parse(text)?;
        let (uuid, name) = (Uuid::from_bytes(def.uuid), def.name.clone());
        let existing = self.0.pools.admit(&uuid, &name).map_err(|e| clash(&e))?;
        if existing.as_ref().is_some_and(|pool| pool.view().active) {
            return Err(crate::pool::invalid(format!("pool is already active as '{name}'")));
        }
        self.require_other_source(&def)?;
        backend::of(def.kind)?;
        let is_new = existing.is_none();
        let pool = match existing {
            Some(pool) => pool,
            None => {
                let first = def.clone();
                let made = self.0.pools.insert_with(uuid, &name, || Pool::spawn(State::new(first, false)));
                made.map_err(|e| clash(&e))?
            }
        };
        let store = self.0.store.clone();
        let started = pool.turn(move |state| state.start(StartKind::Transient(Box::new(def)), flags, &store)).await;
        if let Err(error) = started {
            if is_new {
                self.0.pools.remove(&uuid);
            }
            return Err(error);
        }
        self.lifecycle(&pool, Lifecycle::Started);
        Ok(pool)
    }

    /// Starts a defined pool.
    pub(crate) async fn start_pool(&self, pool: &Pool, flags: u32) -> Result<()> {
        let store = self.0.store.clone();
        pool.turn(move |state| state.start(StartKind::Defined, flags, &store)).await?;
        self.lifecycle(pool, Lifecycle::Started);
        Ok(())
    }

    /// Stops a pool; one that was never defined is gone then.
    pub(crate) async fn stop_pool(&self, pool: &Pool) -> Result<()> {
        let store = self.0.store.clone();
        pool.turn(move |state| state.stop(&store)).await?;
        self.lifecycle(pool, Lifecycle::Stopped);
        if !pool.view().persistent {
            self.0.pools.remove(&pool.uuid);
        }
        Ok(())
    }

    /// Forgets a definition.
    pub(crate) async fn undefine(&self, pool: &Pool) -> Result<()> {
        let store = self.0.store.clone();
        pool.turn(move |state| state.undefine(&store)).await?;
        self.0.pools.remove(&pool.uuid);
        self.lifecycle(pool, Lifecycle::Undefined);
        Ok(())
    }

    /// Refuses a definition whose storage another pool has already.
    fn require_other_source(&self, def: &PoolDef) -> Result<()> {
        for pool in self.0.pools.list() {
            let view = pool.view();
            if view.def.uuid != def.uuid
                && (same_storage(&view.def, def) || view.next.as_ref().is_some_and(|next| same_storage(next, def)))
            {
                let detail = format!("Storage source conflict with pool: '{}'", view.def.name);
                return Err(storage(Code::OperationFailed, detail));
            }
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<PoolDef> {
    let def = PoolDef::parse(text)?;
    if let Some(bad) = def.name.chars().find(|c| c.is_control()) {
        return Err(Error::new(Domain::Xml, Code::XmlDetail, format!("invalid char in name: {bad}")));
    }
    if !object::file::is_file_name(&def.name) {
        return Err(storage(Code::XmlError, format!("name {} cannot name a file", def.name)));
    }
    Ok(def)
}

/// Whether two definitions would manage the same storage.
fn same_storage(a: &PoolDef, b: &PoolDef) -> bool {
    if a.kind != b.kind {
        return false;
    }
    let hosts = |s: &PoolSource| s.hosts.iter().map(|h| (h.name.clone(), h.port)).collect::<Vec<_>>();
    let same_hosts = hosts(&a.source) == hosts(&b.source);
    let shares_device = a.source.devices.iter().any(|d| b.source.devices.iter().any(|e| e.path == d.path));
    match a.kind {
        PoolType::Dir => a.target_path == b.target_path,
        PoolType::Netfs => same_hosts && a.source.dir == b.source.dir,
        PoolType::Gluster => same_hosts && a.source.name == b.source.name && a.source.dir == b.source.dir,
        PoolType::Rbd | PoolType::Sheepdog => same_hosts && a.source.name == b.source.name,
        PoolType::Fs | PoolType::Disk => shares_device,
        PoolType::Logical => a.source.name == b.source.name,
        PoolType::Iscsi | PoolType::IscsiDirect => {
            same_hosts && shares_device && a.source.initiator_iqn == b.source.initiator_iqn
        }
        PoolType::Scsi => a.source.adapter == b.source.adapter,
        PoolType::Zfs | PoolType::Vstorage => a.source.name == b.source.name,
        PoolType::Mpath => true,
    }
}
