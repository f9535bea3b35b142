//! The look at a pool's size and volumes.
//!
//! The scan runs beside the actor, so that a directory of a hundred thousand files holds nobody up; its result is merged in one turn.

use std::sync::Arc;
use std::time::Duration;

use conf::pool::PoolDef;
use error::Result;

use super::{Pool, State};
use crate::backend::{self, Scan};

/// How long a look may take before its caller is told that the storage does not answer.
const SCAN_LIMIT: Duration = Duration::from_secs(120);

impl Pool {
    /// Looks again and publishes what is there now. A pool that cannot be read any more stays up with what was known.
    ///
    /// # Errors
    /// Those of the backend.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let (def, since) = self
            .turn(|state| {
                state.require_active()?;
                Ok((state.def().clone(), state.clock()))
            })
            .await?;
        self.require_answering()?;
        let scan = self.gate.run(SCAN_LIMIT, move || scan(&def)).await.ok_or_else(|| self.silent())??;
        self.turn(move |state| {
            // it may have been stopped meanwhile; then there is nothing to enter
            state.require_active()?;
            state.enter(scan, since);
            Ok(())
        })
        .await
    }
}

fn scan(def: &Arc<PoolDef>) -> Result<Scan> {
    backend::of(def.kind)?.scan(def)
}

impl State {
    /// Takes a scan that began at `since`.
    pub(crate) fn enter(&mut self, scan: Scan, since: u64) {
        let def = self.def_mut();
        (def.capacity, def.allocation, def.available) = (scan.capacity, scan.allocation, scan.available);
        def.permissions = scan.permissions;
        self.merge(scan.volumes, since);
    }

    /// Reads the size of the pool again, after a volume changed.
    pub(crate) fn measure(&mut self) {
        let def = self.def().clone();
        if let Ok((capacity, allocation, available)) = backend::of(def.kind).and_then(|backend| backend.figures(&def)) {
            let def = self.def_mut();
            (def.capacity, def.allocation, def.available) = (capacity, allocation, available);
        }
    }
}
