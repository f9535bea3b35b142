//! Resizing, wiping and deleting volumes.

use std::fs::File;
use std::io;

use conf::volume::{VolumeDef, VolumeFormat};
use error::{Code, Domain, Error, Result};

use super::claim::Using;
use super::create::allocate;
use super::{invalid_arg, open, system};
use crate::driver::Driver;
use crate::folder::Entry;
use crate::pool::Pool;
use crate::tool::{self, ImageTool};

/// Processor time for changing the size of an image.
const RESIZE_SECONDS: u64 = 60;
/// Names of `scrub`'s patterns, by `virStorageVolWipeAlgorithm` from 1.
const PATTERNS: [&str; 8] = ["nnsa", "dod", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33", "random"];
/// `VIR_STORAGE_VOL_WIPE_ALG_TRIM`.
const TRIM: u32 = 9;

/// Flags of `virStorageVolResize`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResizeFlags {
    /// Reserve the new blocks.
    pub(crate) allocate: bool,
    /// The size is a difference.
    pub(crate) delta: bool,
    /// The size may be smaller than now.
    pub(crate) shrink: bool,
}

/// Flags of `virStorageVolDelete`; a file needs none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeleteFlags(pub(crate) u32);

impl Driver {
    /// Changes the size that the guest sees.
    pub(crate) async fn resize_volume(&self, pool: &Pool, name: &str, size: u64, flags: ResizeFlags) -> Result<()> {
        let (using, def) = Using::begin(pool, name).await?;
        let result = self.resize_used(pool, &def, size, flags).await;
        let entered = using.end(result.is_ok()).await;
        result.and(entered)
    }

    async fn resize_used(&self, pool: &Pool, def: &VolumeDef, size: u64, flags: ResizeFlags) -> Result<()> {
        let view = pool.view();
        let now = pool.volume_now(&def.name).await?;
        let capacity = match (flags.delta, flags.shrink) {
            (false, _) => size,
            (true, true) => now.capacity.saturating_sub(size),
            (true, false) => now.capacity.checked_add(size).ok_or_else(|| invalid_arg("new capacity is too large"))?,
        };
        let format = now.target.format.unwrap_or(VolumeFormat::Raw);
        if capacity < now.allocation && format == VolumeFormat::Raw {
            return Err(invalid_arg("can't shrink capacity below existing allocation"));
        }
        if capacity < now.capacity && !flags.shrink {
            let detail = "Can't shrink capacity below current capacity unless shrink flag explicitly specified";
            return Err(invalid_arg(detail));
        }
        if flags.allocate && capacity > now.allocation.saturating_add(view.def.available) {
            return Err(Error::new(Domain::Storage, Code::OperationFailed, "Not enough space left in storage pool"));
        }
        if flags.allocate && format != VolumeFormat::Raw {
            let detail = "preallocate is only supported for raw type volume";
            return Err(Error::new(Domain::Storage, Code::OperationUnsupported, detail));
        }
        let (pool_def, name) = (view.def.clone(), def.name.clone());
        let (file, path) = host::run_blocking(move || {
            let folder = open(&pool_def)?;
            let path = folder.join(&name);
            let file = folder.file(&name).and_then(|handle| handle.write());
            file.map(|file| (file, path.clone()))
                .map_err(|e| system(&e, format!("Failed to open storage volume with path '{path}'")))
        })
        .await?;
        let _permit = self.job().await?;
        if format == VolumeFormat::Raw {
            let path = path.clone();
            return host::run_blocking(move || {
                file.set_len(capacity).map_err(|e| system(&e, format!("Failed to truncate file '{path}'")))?;
                if flags.allocate { allocate(&file, &path, capacity) } else { Ok(()) }
            })
            .await;
        }
        let image = self.writable_image(pool, &def.name).await?;
        let mut arguments = vec!["-q".to_owned()];
        if capacity < now.capacity {
            arguments.push("--shrink".into());
        }
        arguments.extend([format!("json:{image}"), capacity.to_string()]);
        ImageTool::new("resize").args(arguments).output(file, &path).processor_seconds(RESIZE_SECONDS).run().await
    }

    /// Overwrites the content.
    pub(crate) async fn wipe_volume(&self, pool: &Pool, name: &str, algorithm: u32) -> Result<()> {
        if algorithm > TRIM {
            return Err(invalid_arg(format!("wiping algorithm {algorithm} not supported")));
        }
        let (using, def) = Using::begin(pool, name).await?;
        let result = self.wipe_used(pool, &def, algorithm).await;
        let entered = using.end(true).await;
        result.and(entered)
    }

    async fn wipe_used(&self, pool: &Pool, def: &VolumeDef, algorithm: u32) -> Result<()> {
        if algorithm == TRIM {
            let detail = "'trim' algorithm not supported";
            return Err(Error::new(Domain::Storage, Code::ArgumentUnsupported, detail));
        }
        let _permit = self.job().await?;
        let (pool_def, name) = (pool.view().def.clone(), def.name.clone());
        host::run_blocking(move || {
            let folder = open(&pool_def)?;
            let path = folder.join(&name);
            let file = folder.file(&name).and_then(|handle| handle.write());
            let file = file.map_err(|e| system(&e, format!("Failed to open storage volume with path '{path}'")))?;
            match algorithm.checked_sub(1).and_then(|at| PATTERNS.get(at as usize)) {
                Some(pattern) => {
                    drop(file);
                    let arguments = ["-f", "-p", pattern, &path].map(String::from);
                    tool::run_blocking("scrub", &arguments, std::time::Duration::MAX)
                }
                None => {
                    zero(&file).map_err(|e| system(&e, format!("Failed to write to storage volume with path '{path}'")))
                }
            }
        })
        .await
    }

    /// Removes the volume.
    pub(crate) async fn delete_volume(&self, pool: &Pool, name: &str, flags: DeleteFlags) -> Result<()> {
        pool.require_answering()?;
        let name = name.to_owned();
        pool.turn(move |state| {
            state.require_active()?;
            let def = state.volume(&name)?;
            state.require_unused(&name)?;
            error::check_flags(Domain::Storage, "virStorageBackendVolDeleteLocal", flags.0, 0)?;
            let folder = open(&state.def().clone())?;
            let path = def.path().to_owned();
            // looked at now: what the last refresh saw may have been replaced
            match folder.look(&name) {
                Ok(Entry::Folder(_)) if !is_link(&folder, &name) => {
                    folder.remove_folder(&name).map_err(|e| system(&e, format!("cannot remove directory '{path}'")))?;
                }
                _ => folder.remove(&name).map_err(|e| system(&e, format!("cannot unlink file '{path}'")))?,
            }
            state.forget(&name);
            state.measure();
            Ok(())
        })
        .await
    }
}

fn is_link(folder: &crate::folder::Folder, name: &str) -> bool {
    std::fs::symlink_metadata(folder.join(name)).is_ok_and(|meta| meta.is_symlink())
}

/// A file with holes is emptied and made as long again; one without is overwritten, as its blocks may hold the only copy.
fn zero(mut file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = file.metadata()?;
    let size = meta.len();
    if meta.blocks() < size / 512 {
        file.set_len(0)?;
        file.set_len(size)?;
    } else {
        let block = vec![0u8; 1 << 20];
        let mut left = size;
        while left > 0 {
            let part = left.min(block.len() as u64);
            io::Write::write_all(&mut file, &block[..part as usize])?;
            left -= part;
        }
    }
    file.sync_all()
}
