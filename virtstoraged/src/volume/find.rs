//! Volumes by name, key and path; what a volume is now.

use std::sync::Arc;
use std::time::Duration;

use conf::pool::sanitize_path;
use conf::volume::VolumeDef;
use error::{Code, Domain, Error, Result};

use super::open;
use crate::driver::Driver;
use crate::pool::Pool;
use crate::scan;

/// How long a document or figures wait for the storage.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

fn none(detail: String) -> Error {
    Error::new(Domain::Storage, Code::NoStorageVol, detail)
}

impl Driver {
    /// The volume that has this key, with its pool.
    pub(crate) fn volume_by_key(&self, key: &str) -> Result<(Pool, Arc<VolumeDef>)> {
        let found = self.search(|def| def.key.as_deref() == Some(key));
        found.ok_or_else(|| none(format!("no storage vol with matching key {key}")))
    }

    /// The volume at this path, with its pool. A file that the last refresh did not see yet is looked for in its pool.
    pub(crate) async fn volume_by_path(&self, path: &str) -> Result<(Pool, Arc<VolumeDef>)> {
        let clean = sanitize_path(path);
        if let Some(found) = self.search(|def| def.path() == clean) {
            return Ok(found);
        }
        let missing = || none(format!("no storage vol with matching path '{path}'"));
        let (folder, name) = clean.rsplit_once('/').ok_or_else(missing)?;
        let pool = self.0.pools.list().into_iter().find(|pool| {
            let view = pool.view();
            view.active && view.def.target() == folder
        });
        let pool = pool.ok_or_else(missing)?;
        let def = pool.look_for(name).await.map_err(|_| missing())?;
        Ok((pool, def))
    }

    fn search(&self, wanted: impl Fn(&VolumeDef) -> bool) -> Option<(Pool, Arc<VolumeDef>)> {
        self.0.pools.list().into_iter().find_map(|pool| {
            let view = pool.view();
            let found = view.volumes.values().find(|def| view.active && wanted(def)).cloned();
            found.map(|def| (pool, def))
        })
    }
}

impl Pool {
    /// The volume of a name; one that the last refresh did not see is looked for.
    pub(crate) async fn volume(&self, name: &str) -> Result<Arc<VolumeDef>> {
        match self.view().volume(name) {
            Err(error) if error.code() == Some(Code::NoStorageVol) => self.look_for(name).await.map_err(|_| error),
            found => found,
        }
    }

    async fn look_for(&self, name: &str) -> Result<Arc<VolumeDef>> {
        self.require_answering()?;
        let name = name.to_owned();
        self.turn(move |state| {
            state.require_active()?;
            if state.has(&name) || name.chars().any(char::is_control) {
                return state.volume(&name);
            }
            let folder = open(&state.def().clone())?;
            if let Ok(Some(def)) = scan::describe(&folder, &name) {
                state.put(def);
            }
            state.volume(&name)
        })
        .await
    }

    /// The volume with its sizes, owner and times of now; those of the last look when the storage does not answer soon.
    pub(crate) async fn volume_now(&self, name: &str) -> Result<VolumeDef> {
        let view = self.view();
        let known = self.volume(name).await?;
        let fallback = known.clone();
        let path = known.path().to_owned();
        let look = move || {
            let folder = open(&view.def)?;
            scan::update(&folder, &known).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => none(format!("no storage vol with matching path '{path}'")),
                _ => super::system(&e, format!("cannot open volume '{path}'")),
            })
        };
        self.gate.run(LOOK_LIMIT, look).await.unwrap_or_else(|| Ok((*fallback).clone()))
    }
}
