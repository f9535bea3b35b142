//! A volume from another one.

use std::fs::File;
use std::io;
use std::sync::Arc;

use conf::pool::PoolDef;
use conf::volume::{VolumeDef, VolumeFeature, VolumeFormat, VolumeType};
use error::{Domain, Error, Result};
use nix::unistd::{Whence, lseek};
use serde_json::{Value, json};
use xml::Vocabulary;

use super::claim::{Building, Using};
use super::create::{allocate, apply_owner, check_name, check_request, complete, discard, options};
use super::{CreateFlags, open, system, unsupported};
use crate::driver::Driver;
use crate::folder::Folder;
use crate::pool::{Pool, internal};
use crate::scan;
use crate::tool::{INPUT, ImageTool, OUTPUT};

/// Longest chain of backing files that is followed.
const CHAIN_MAX: usize = 200;

/// Flags of `virStorageVolCreateXMLFrom`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CloneFlags {
    /// Write the image's tables in advance.
    pub(crate) preallocate: bool,
    /// Share the blocks, or fail.
    pub(crate) reflink: bool,
}

impl Driver {
    /// Makes a volume with the content of `source`.
    pub(crate) async fn clone_volume(
        &self,
        pool: &Pool,
        text: &str,
        from: &Pool,
        source: &str,
        flags: CloneFlags,
    ) -> Result<VolumeDef> {
        let view = pool.view();
        view.require_active()?;
        from.view().require_active()?;
        let (using, original) = Using::begin(from, source).await?;
        let made = self.clone_used(pool, text, from, &original, flags).await;
        using.end(false).await?;
        made
    }

    async fn clone_used(
        &self,
        pool: &Pool,
        text: &str,
        from: &Pool,
        original: &Arc<VolumeDef>,
        flags: CloneFlags,
    ) -> Result<VolumeDef> {
        let mut def = VolumeDef::parse_clone(text, pool.view().def.kind)?;
        check_name(&def.name)?;
        let now = from.volume_now(&original.name).await?;
        def.capacity = def.capacity.max(now.capacity);
        if !def.has_allocation {
            def.allocation = def.capacity;
        }
        let create = CreateFlags { preallocate: flags.preallocate };
        check_request(&def, create)?;
        let chain = if is_raw(&now) { Value::Null } else { self.chain(&now, INPUT)? };
        require_same_backing(&def, &now)?;
        let taken = internal(format!("storage volume name '{}' already in use.", def.name));
        let (building, pool_def) = Building::begin(pool, &def.name, taken).await?;
        let made = self.copy(pool_def, def, &from.view().def, &now, chain, flags).await;
        building.end(made).await
    }

    async fn copy(
        &self,
        pool_def: Arc<PoolDef>,
        mut def: VolumeDef,
        from: &Arc<PoolDef>,
        original: &VolumeDef,
        chain: Value,
        flags: CloneFlags,
    ) -> Result<VolumeDef> {
        let _permit = self.job().await?;
        let (from, source) = (from.clone(), original.name.clone());
        let raw = is_raw(original) && matches!(def.target.format, Some(VolumeFormat::Raw) | None);
        let (folder, target, input, input_path) = host::run_blocking({
            let name = def.name.clone();
            move || {
                let (origin, folder) = (open(&from)?, open(&pool_def)?);
                let path = origin.join(&source);
                let input = origin.file(&source).and_then(|handle| handle.read());
                let input = input.map_err(|e| system(&e, format!("could not open input path '{path}'")))?;
                let made = folder
                    .create(&name)
                    .map_err(|e| system(&e, format!("Failed to create file '{}'", folder.join(&name))))?;
                Ok::<_, Error>((folder, made, input, path))
            }
        })
        .await?;
        def.kind = VolumeType::File;
        let path = folder.join(&def.name);
        let result = if flags.reflink && raw {
            host::run_blocking(move || reflink(&input, &input_path, &target)).await
        } else if raw {
            let (capacity, allocation) = (def.capacity, def.allocation);
            host::run_blocking(move || copy_raw(&input, &input_path, &target, &path, capacity, allocation)).await
        } else {
            convert(&def, chain, flags).input(input, &input_path).output(target, &path).run().await
        };
        let grown = match result {
            Ok(()) => grow(&folder, &def, original.capacity).await,
            Err(error) => Err(error),
        };
        host::run_blocking(move || match grown.and_then(|()| apply_owner(&folder, &def)) {
            Ok(()) => complete(&folder, def),
            Err(error) => {
                discard(&folder, &def);
                Err(error)
            }
        })
        .await
    }

    /// The image and what it is an overlay of as options for the tool, so that it follows no name out of a header. Backing files
    /// must be volumes of active pools: anything else may have been chosen by a guest.
    fn chain(&self, top: &VolumeDef, name: &str) -> Result<Value> {
        let mut images = vec![node(format_of(top), name)];
        let mut current = Arc::new(top.clone());
        loop {
            require_own_data(&current)?;
            let Some(backing) = &current.backing else { break };
            let path = backing.path.as_deref().unwrap_or("");
            let Some(format) = backing.format else {
                return Err(unsupported(format!(
                    "format of backing image '{path}' of image '{}' was not specified in the image metadata",
                    current.path()
                )));
            };
            if images.len() >= CHAIN_MAX {
                return Err(unsupported(format!("the backing chain of volume '{}' is too long or a loop", top.name)));
            }
            let (_, next) = self.volume_at(path).ok_or_else(|| {
                unsupported(format!(
                    "backing file '{path}' of volume '{}' is not a volume of an active pool",
                    current.name
                ))
            })?;
            images.push(node(format, path));
            if format == VolumeFormat::Raw {
                break;
            }
            current = next;
        }
        let mut chain: Option<Value> = None;
        for mut image in images.into_iter().rev() {
            let overlays = matches!(image["driver"].as_str(), Some("qcow2" | "qcow" | "qed" | "vmdk"));
            if overlays {
                image["backing"] = chain.take().unwrap_or(Value::Null);
            }
            chain = Some(image);
        }
        chain.ok_or_else(|| internal("an empty chain"))
    }

    /// The image of a volume as it is now, for a tool that changes it. An overlay of something that is not ours is opened alone.
    pub(super) async fn writable_image(&self, pool: &Pool, name: &str) -> Result<Value> {
        let (def, wanted) = (pool.view().def.clone(), name.to_owned());
        let found = host::run_blocking(move || {
            let folder = open(&def)?;
            let found = scan::describe(&folder, &wanted);
            found.map_err(|e| system(&e, format!("cannot open volume '{}'", folder.join(&wanted))))
        })
        .await?;
        let found = found.ok_or_else(|| internal(format!("volume '{name}' is not a file")))?;
        require_own_data(&found)?;
        Ok(self.chain(&found, OUTPUT).unwrap_or_else(|_| {
            let mut alone = node(format_of(&found), OUTPUT);
            if found.backing.is_some() {
                alone["backing"] = Value::Null;
            }
            alone
        }))
    }

    fn volume_at(&self, path: &str) -> Option<(Pool, Arc<VolumeDef>)> {
        self.0.pools.list().into_iter().find_map(|pool| {
            let view = pool.view();
            let found = view.volumes.values().find(|def| view.active && def.path() == path).cloned();
            found.map(|def| (pool, def))
        })
    }
}

/// A clone may stay an overlay of what its original lies over, which `chain` has checked, but not of anything else.
fn require_same_backing(def: &VolumeDef, original: &VolumeDef) -> Result<()> {
    let path = |def: &VolumeDef| def.backing.as_ref().and_then(|b| b.path.clone());
    match path(def) {
        Some(wanted) if path(original).as_ref() != Some(&wanted) => {
            Err(unsupported(format!("a clone of '{}' cannot have backing store '{wanted}'", original.name)))
        }
        _ => Ok(()),
    }
}

/// Refuses an image whose data lies in a file that its header names.
fn require_own_data(def: &VolumeDef) -> Result<()> {
    match def.target.features.iter().flatten().any(|f| *f == VolumeFeature::DataFile) {
        true => Err(unsupported(format!("volume '{}' keeps its data in another file", def.name))),
        false => Ok(()),
    }
}

fn is_raw(def: &VolumeDef) -> bool {
    matches!(format_of(def), VolumeFormat::Raw | VolumeFormat::Iso) && def.target.encryption.is_none()
}

fn format_of(def: &VolumeDef) -> VolumeFormat {
    def.target.format.unwrap_or(VolumeFormat::Raw)
}

fn node(format: VolumeFormat, path: &str) -> Value {
    let driver = if format == VolumeFormat::Iso { "raw" } else { format.word() };
    json!({"driver": driver, "file": {"driver": "file", "filename": path}})
}

fn convert(def: &VolumeDef, chain: Value, flags: CloneFlags) -> ImageTool {
    let format = format_of(def);
    let source = if chain.is_null() { node(VolumeFormat::Raw, INPUT) } else { chain };
    let mut arguments = vec!["-O".to_owned(), format.word().to_owned()];
    let options = options(def, format, CreateFlags { preallocate: flags.preallocate });
    if !options.is_empty() {
        arguments.extend(["-o".to_owned(), options.join(",")]);
    }
    if let Some(path) = def.backing.as_ref().and_then(|b| b.path.clone()) {
        arguments.extend(["-B".to_owned(), path]);
    }
    arguments.extend([format!("json:{source}"), OUTPUT.to_owned()]);
    ImageTool::new("convert").args(arguments)
}

/// A clone may be asked to be larger than its original; the tool copies the original's size.
async fn grow(folder: &Folder, def: &VolumeDef, copied: u64) -> Result<()> {
    if def.capacity <= copied || format_of(def) != VolumeFormat::Qcow2 {
        return Ok(());
    }
    let path = folder.join(&def.name);
    let file = folder.file(&def.name).and_then(|handle| handle.write());
    let file = file.map_err(|e| system(&e, format!("cannot open volume '{path}'")))?;
    let image = json!({"driver": "qcow2", "file": {"driver": "file", "filename": OUTPUT}, "backing": Value::Null});
    let arguments = ["-q".to_owned(), format!("json:{image}"), def.capacity.to_string()];
    ImageTool::new("resize").args(arguments).output(file, &path).processor_seconds(60).run().await
}

fn reflink(input: &File, input_path: &str, target: &File) -> Result<()> {
    host::clone_file::clone_file(input, target)
        .map_err(|e| system(&e, format!("failed to clone files from '{input_path}'")))
}

/// Copies what is data and leaves holes where the original has them, unless the blocks are wanted.
fn copy_raw(input: &File, input_path: &str, target: &File, path: &str, capacity: u64, allocation: u64) -> Result<()> {
    let read = |e: io::Error| system(&e, format!("failed reading from file '{input_path}'"));
    let write = |e: io::Error| system(&e, format!("failed writing to file '{path}'"));
    let size = input.metadata().map_err(read)?.len();
    target.set_len(capacity.max(size)).map_err(|e| system(&e, format!("cannot extend file '{path}'")))?;
    if allocation >= capacity {
        allocate(target, path, capacity.max(size))?;
    }
    let mut position = 0u64;
    while let Some((start, end)) = next_data(input, position, size).map_err(read)? {
        let (mut from, mut to) = (input, target);
        io::Seek::seek(&mut from, io::SeekFrom::Start(start)).map_err(read)?;
        io::Seek::seek(&mut to, io::SeekFrom::Start(start)).map_err(write)?;
        // the standard library copies inside the kernel, or shares blocks, where the file system can
        io::copy(&mut io::Read::take(from, end - start), &mut to).map_err(write)?;
        position = end;
    }
    target.sync_all().map_err(|e| Error::system(Domain::Storage, &e, format!("cannot sync data to file '{path}'")))
}

/// The next stretch of data at or after `position`.
pub(super) fn next_data(file: &File, position: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if position >= size {
        return Ok(None);
    }
    let at = i64::try_from(position).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let start = match lseek(file, at, Whence::SeekData) {
        Ok(start) => start,
        Err(nix::errno::Errno::ENXIO) => return Ok(None),
        // no such seek here: all is data
        Err(nix::errno::Errno::EINVAL) => return Ok(Some((position, size))),
        Err(errno) => return Err(errno.into()),
    };
    let end = lseek(file, start, Whence::SeekHole)?;
    let (start, end) = (start.unsigned_abs(), end.unsigned_abs().min(size));
    Ok((start < end).then_some((start, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn raw_copies_keep_holes_unless_blocks_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            File::options().create(true).truncate(false).read(true).write(true).open(dir.path().join(name)).unwrap()
        };
        let source = open("source");
        source.set_len(3 << 20).unwrap();
        source.write_all_at(&[7; 5000], 1 << 20).unwrap();
        let (thin, thick) = (open("thin"), open("thick"));
        copy_raw(&source, "s", &thin, "t", 4 << 20, 0).unwrap();
        copy_raw(&source, "s", &thick, "t", 4 << 20, 4 << 20).unwrap();
        let bytes = std::fs::read(dir.path().join("thin")).unwrap();
        assert_eq!(bytes.len(), 4 << 20);
        assert_eq!(bytes, std::fs::read(dir.path().join("thick")).unwrap());
        assert_eq!(&bytes[..3 << 20], std::fs::read(dir.path().join("source")).unwrap());
        assert!(thin.metadata().unwrap().blocks() < 100 && thick.metadata().unwrap().blocks() >= 8192);
    }
}
