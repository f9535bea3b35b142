//! The storage class of the remote program: convert, find, one call, convert back.
//!
//! `service` has the procedures, `flags` what each accepts, `list` the filters of list calls.

mod flags;
mod list;
mod service;

use std::sync::Arc;

use conf::volume::VolumeDef;
use error::{Code, Domain, Error, Result};
use protocol::remote;

use crate::pool::Pool;

fn wire_volume(pool: &Pool, def: &VolumeDef) -> remote::NonnullStorageVol {
    remote::NonnullStorageVol {
        pool: pool.name.to_string(),
        name: def.name.clone(),
        key: def.key.clone().unwrap_or_else(|| def.path().to_owned()),
    }
}

/// At most as many as the client has room for.
fn bounded(names: Vec<String>, room: i32, limit: usize) -> Result<Vec<String>> {
    let room = usize::try_from(room).unwrap_or(0);
    if room > limit {
        let detail = format!("too many names requested: {room} is more than {limit}");
        return Err(Error::new(Domain::Rpc, Code::InternalError, detail));
    }
    Ok(names.into_iter().take(room).collect())
}

fn names(pools: Vec<Pool>, wanted: impl Fn(&crate::pool::View) -> bool) -> Vec<String> {
    pools.into_iter().filter(|pool| wanted(&pool.view())).map(|pool| pool.name.to_string()).collect()
}

/// `VIR_STORAGE_VOL_GET_PHYSICAL`: the size of the file instead of what it occupies.
fn figures(def: &Arc<VolumeDef>, physical: bool) -> (i8, u64, u64) {
    let kind = <conf::volume::VolumeType as xml::Vocabulary>::WORDS.iter().position(|(kind, _)| *kind == def.kind);
    let allocation = if physical && def.physical != 0 { def.physical } else { def.allocation };
    (kind.unwrap_or(0) as i8, def.capacity, allocation)
}
