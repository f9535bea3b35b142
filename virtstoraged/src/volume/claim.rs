//! Claims on a volume while work on it runs beside the pool's actor.
//!
//! A claim is ended by its owner, which waits for that; one that is lost to a panic gives the volume back by itself, so that a fault
//! costs one call and not the volume.

use std::sync::Arc;

use conf::volume::VolumeDef;
use error::Result;

use super::open;
use crate::folder::is_component;
use crate::pool::{Pool, State, internal, invalid};
use crate::scan;

/// A volume that is read or written.
pub(super) struct Using {
    pool: Option<Pool>,
    name: String,
}

impl Using {
    /// Claims a volume that is there.
    pub(super) async fn begin(pool: &Pool, name: &str) -> Result<(Using, Arc<VolumeDef>)> {
        pool.require_answering()?;
        let wanted = name.to_owned();
        let def = pool
            .turn(move |state| {
                let def = state.volume(&wanted)?;
                state.begin_use(&wanted)?;
                Ok(def)
            })
            .await?;
        Ok((Using { pool: Some(pool.clone()), name: name.to_owned() }, def))
    }

    /// Ends the claim; `fresh` enters the volume as it is now.
    pub(super) async fn end(mut self, fresh: bool) -> Result<()> {
        let Some(pool) = self.pool.take() else { return Ok(()) };
        let name = std::mem::take(&mut self.name);
        pool.turn(move |state| {
            state.end_use(&name);
            if fresh && state.require_active().is_ok() {
                let folder = open(&state.def().clone())?;
                match scan::describe(&folder, &name) {
                    Ok(Some(def)) => state.put(def),
                    _ => state.forget(&name),
                }
                state.measure();
            }
            Ok(())
        })
        .await
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        release(self.pool.take(), move |state| state.end_use(&name));
    }
}

/// A name whose volume is being made.
pub(super) struct Building {
    pool: Option<Pool>,
    name: String,
}

impl Building {
    /// Claims a name that nothing has yet; `taken` is the error when a volume has it.
    pub(super) async fn begin(
        pool: &Pool,
        name: &str,
        taken: error::Error,
    ) -> Result<(Building, Arc<conf::pool::PoolDef>)> {
        let wanted = name.to_owned();
        let def = pool
            .turn(move |state| {
                if state.has(&wanted) {
                    return Err(taken);
                }
                let def = state.def().clone();
                let folder = open(&def)?;
                if !is_component(&wanted) || folder.exists(&wanted) {
                    return Err(invalid(format!("volume target path '{}' already exists", folder.join(&wanted))));
                }
                state.begin_build(&wanted);
                Ok(def)
            })
            .await?;
        Ok((Building { pool: Some(pool.clone()), name: name.to_owned() }, def))
    }

    /// Enters what was made, or gives the name back.
    pub(super) async fn end(mut self, made: Result<VolumeDef>) -> Result<VolumeDef> {
        let Some(pool) = self.pool.take() else { return Err(internal("the volume was given up")) };
        let name = std::mem::take(&mut self.name);
        let entered = made.as_ref().ok().cloned();
        pool.turn(move |state| {
            state.end_build(&name, entered);
            state.measure();
            Ok(())
        })
        .await?;
        made
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        release(self.pool.take(), move |state| state.end_build(&name, None));
    }
}

/// Runs `work` in a turn of its own, when the claim was not ended.
fn release(pool: Option<Pool>, work: impl FnOnce(&mut State) + Send + 'static) {
    if let (Some(pool), Ok(runtime)) = (pool, tokio::runtime::Handle::try_current()) {
        runtime.spawn(async move {
            let turned = pool.turn(move |state| {
                work(state);
                Ok(())
            });
            if let Err(error) = turned.await {
                tracing::error!(%error, "cannot give a volume back");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf::pool::PoolDef;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lost_claim_gives_the_volume_back() {
        let dir = tempfile::tempdir().unwrap();
        let text =
            format!("<pool type='dir'><name>p</name><target><path>{}</path></target></pool>", dir.path().display());
        let pool = Pool::spawn(State::new(PoolDef::parse(&text).unwrap(), true));
        pool.turn(|state| {
            state.view_mut().active = true;
            Ok(())
        })
        .await
        .unwrap();
        let building = Building::begin(&pool, "v", internal("taken")).await.unwrap();
        assert_eq!(
            Building::begin(&pool, "v", internal("taken")).await.err().unwrap().message,
            "internal error: taken"
        );
        drop(building);
        while pool.turn(|state| state.require_idle()).await.is_err() {
            tokio::task::yield_now().await;
        }
        let (again, _) = Building::begin(&pool, "v", internal("taken")).await.unwrap();
        assert!(again.end(Err(internal("failed"))).await.is_err());
        pool.turn(|state| state.require_idle()).await.unwrap();
        std::fs::write(dir.path().join("there"), "").unwrap();
        assert!(Building::begin(&pool, "there", internal("taken")).await.is_err());
    }
}
