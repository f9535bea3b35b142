//! Work on volumes of pools whose volumes are files.
//!
//! | file | does |
//! |---|---|
//! | `find` | volumes by name, key and path; figures and documents of now |
//! | `create` | new volumes: raw, directory, or whatever `qemu-img` makes |
//! | `copy` | a volume from another one |
//! | `change` | resize, wipe, delete |
//! | `transfer` | upload and download |
//!
//! Each reserves its volume in a turn of the pool's actor, works beside it on open descriptors, and enters the result in another turn.

mod change;
mod copy;
mod create;
mod find;
mod transfer;

use std::sync::Arc;

use conf::volume::VolumeDef;
use error::{Code, Domain, Error, Result};

use crate::backend;
use crate::folder::Folder;
use crate::pool::Pool;
use crate::scan;

pub(crate) use change::{DeleteFlags, ResizeFlags};
pub(crate) use copy::CloneFlags;
pub(crate) use create::CreateFlags;

/// A volume that is in use while this lives; `end` must be awaited on every way out.
struct Using {
    pool: Pool,
    name: String,
}

impl Using {
    async fn begin(pool: &Pool, name: &str) -> Result<(Using, Arc<VolumeDef>)> {
        pool.require_answering()?;
        let wanted = name.to_owned();
        let def = pool
            .turn(move |state| {
                let def = state.volume(&wanted)?;
                state.begin_use(&wanted)?;
                Ok(def)
            })
            .await?;
        Ok((Using { pool: pool.clone(), name: name.to_owned() }, def))
    }

    /// Ends the use; `fresh` enters the volume as it is now.
    async fn end(self, fresh: bool) -> Result<()> {
        self.pool
            .turn(move |state| {
                state.end_use(&self.name);
                if fresh && state.require_active().is_ok() {
                    let folder = open(&state.def().clone())?;
                    match scan::describe(&folder, &self.name) {
                        Ok(Some(def)) => state.put(def),
                        _ => state.forget(&self.name),
                    }
                    state.measure();
                }
                Ok(())
            })
            .await
    }
}

/// The pool's directory; refuses pools whose volumes are no files.
fn open(def: &conf::pool::PoolDef) -> Result<Folder> {
    if !def.kind.holds_files() {
        return Err(Error::new(Domain::Storage, Code::NoSupport, "storage pool does not support volumes that are files"));
    }
    backend::open_folder(def)
}

fn system(error: &std::io::Error, text: String) -> Error {
    Error::system(Domain::Storage, error, text)
}

fn invalid_arg(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::InvalidArg, detail)
}

fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::ConfigUnsupported, detail)
}
