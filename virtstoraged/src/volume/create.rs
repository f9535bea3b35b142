//! New volumes.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use conf::pool::PoolDef;
use conf::volume::{VolumeBacking, VolumeDef, VolumeFeature, VolumeFormat, VolumeType};
use error::{Code, Domain, Error, Result};
use image::{Format, Metadata};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Gid, Uid, fchown};
use xml::Vocabulary;

use super::claim::Building;
use super::{invalid_arg, open, system, unsupported};
use crate::driver::Driver;
use crate::folder::{Entry, Folder};
use crate::pool::{Pool, internal, invalid};
use crate::scan;
use crate::tool::{ImageTool, OUTPUT};

/// Mode of a volume whose document names none.
const MODE: u32 = 0o600;
/// Processor time for making an empty image.
const CREATE_SECONDS: u64 = 60;

/// Flags of `virStorageVolCreateXML`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CreateFlags {
    /// Write the image's tables in advance.
    pub(crate) preallocate: bool,
}

impl Driver {
    /// Makes a volume from its document.
    pub(crate) async fn create_volume(&self, pool: &Pool, text: &str, flags: CreateFlags) -> Result<VolumeDef> {
        let view = pool.view();
        view.require_active()?;
        pool.require_answering()?;
        let def = VolumeDef::parse(text, view.def.kind)?;
        check_name(&def.name)?;
        check_request(&def, flags)?;
        let taken = Error::new(Domain::Storage, Code::StorageVolExist, format!("'{}'", def.name));
        let (building, pool_def) = Building::begin(pool, &def.name, taken).await?;
        let made = self.fill(pool_def, def, flags).await;
        building.end(made).await
    }

    async fn fill(&self, pool_def: std::sync::Arc<PoolDef>, def: VolumeDef, flags: CreateFlags) -> Result<VolumeDef> {
        let _permit = self.job().await?;
        let (folder, mut def, file) = host::run_blocking(move || start(&pool_def, def)).await?;
        let Some(file) = file else { return host::run_blocking(move || complete(&folder, def)).await };
        let result = match def.target.format {
            Some(VolumeFormat::Raw | VolumeFormat::Iso) => {
                // libvirt leaves an ISO image to qemu-img, which makes it sparse
                let wanted = if def.target.format == Some(VolumeFormat::Iso) { 0 } else { def.allocation };
                let (capacity, allocation) = (def.capacity, wanted);
                let path = folder.join(&def.name);
                host::run_blocking(move || raw(file, &path, capacity, allocation).map(drop)).await
            }
            _ => {
                let size = match def.capacity {
                    0 => backing_capacity(&folder, def.backing.as_ref()).await,
                    size => Ok(size),
                };
                match size {
                    Ok(size) => {
                        def.capacity = size;
                        image_tool(&def, flags).output(file, &folder.join(&def.name)).run().await
                    }
                    Err(error) => Err(error),
                }
            }
        };
        host::run_blocking(move || match result.and_then(|()| apply_owner(&folder, &def)) {
            Ok(()) => complete(&folder, def),
            Err(error) => {
                discard(&folder, &def);
                Err(error)
            }
        })
        .await
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.contains('/') {
        return Err(invalid(format!("volume name '{name}' cannot contain '/'")));
    }
    match name.chars().find(|c| c.is_control()) {
        // libvirt would make it, but no longer list it after the next refresh
        Some(bad) => Err(Error::new(Domain::Xml, Code::XmlDetail, format!("invalid char in name: {bad}"))),
        None => Ok(()),
    }
}

/// What can be refused before anything is touched.
pub(super) fn check_request(def: &VolumeDef, flags: CreateFlags) -> Result<()> {
    let target = &def.target;
    let format = target.format.unwrap_or(VolumeFormat::Raw);
    if let Some(encryption) = &target.encryption {
        encryption.single_secret()?;
        return Err(unsupported("storage pool does not support encrypted volumes"));
    }
    match format {
        VolumeFormat::Raw if flags.preallocate => {
            return Err(unsupported("metadata preallocation is not supported for raw volumes"));
        }
        VolumeFormat::Raw if def.backing.is_some() => {
            let detail = "backing storage not supported for raw volumes";
            return Err(Error::new(Domain::Storage, Code::NoSupport, detail));
        }
        VolumeFormat::Ploop => return Err(internal("unable to find ploop, please install ploop tools")),
        _ => {}
    }
    if flags.preallocate && def.backing.is_some() {
        return Err(unsupported("metadata preallocation conflicts with backing store"));
    }
    if format == VolumeFormat::Qcow2 {
        for feature in target.features.iter().flatten() {
            if *feature == VolumeFeature::DataFile {
                return Err(unsupported("unsupported feature data_file"));
            }
            if target.compat.as_deref() == Some("0.10") {
                return Err(unsupported(format!("{feature} not supported with compat level 0.10")));
            }
        }
    }
    Ok(())
}

/// Opens the folder and makes the volume's empty file, or its directory (then there is no file).
fn start(pool_def: &PoolDef, mut def: VolumeDef) -> Result<(Folder, VolumeDef, Option<File>)> {
    let folder = open(pool_def)?;
    let path = folder.join(&def.name);
    def.key = Some(path.clone());
    def.kind = VolumeType::File;
    check_backing(&folder, def.backing.as_ref())?;
    if def.target.format == Some(VolumeFormat::Dir) {
        def.kind = VolumeType::Dir;
        let made = folder.create_folder(&def.name);
        let made = made.map_err(|e| system(&e, format!("failed to create directory '{path}'")))?;
        if let Err(error) = permit(made.fd(), &path, &def) {
            discard(&folder, &def);
            return Err(error);
        }
        return Ok((folder, def, None));
    }
    let file = folder.create(&def.name).map_err(|e| system(&e, format!("Failed to create file '{path}'")))?;
    def.target.path = Some(path);
    Ok((folder, def, Some(file)))
}

fn backing_path(folder: &Folder, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { folder.join(path) }
}

/// The backing file must be there; it is not opened here.
fn check_backing(folder: &Folder, backing: Option<&VolumeBacking>) -> Result<()> {
    let Some(path) = backing.and_then(|b| b.path.as_deref()) else { return Ok(()) };
    let found = std::fs::metadata(backing_path(folder, path));
    match found {
        Ok(found) if found.is_file() || std::os::unix::fs::FileTypeExt::is_block_device(&found.file_type()) => Ok(()),
        Ok(_) => Err(invalid_arg(format!("backing store volume {path} is neither a file nor a block device"))),
        Err(e) => Err(system(&e, format!("inaccessible backing store volume {path}"))),
    }
}

/// Size of the disk in a backing file, read as the format that the document declares.
async fn backing_capacity(folder: &Folder, backing: Option<&VolumeBacking>) -> Result<u64> {
    let Some(VolumeBacking { path: Some(path), format, .. }) = backing.cloned() else { return Ok(0) };
    let full = backing_path(folder, &path);
    host::run_blocking(move || {
        let fail = |e: io::Error| system(&e, format!("inaccessible backing store volume {path}"));
        let file = File::open(&full).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        let format = format.and_then(|f| Format::from_name(f.word())).unwrap_or(Format::Raw);
        let header = image::read_header(file).map_err(fail)?;
        Ok(Metadata::read(format, &header).capacity_of(size))
    })
    .await
}

/// The empty image that the document describes.
fn image_tool(def: &VolumeDef, flags: CreateFlags) -> ImageTool {
    let format = def.target.format.unwrap_or(VolumeFormat::Raw);
    let mut arguments = vec!["-f".to_owned(), format.word().to_owned()];
    if let Some(path) = def.backing.as_ref().and_then(|b| b.path.as_deref()) {
        // -u: the tool shall not open it; whether it is there has been checked, its format is declared
        arguments.extend(["-u".to_owned(), "-b".to_owned(), path.to_owned()]);
    }
    let options = options(def, format, flags);
    if !options.is_empty() {
        arguments.extend(["-o".to_owned(), options.join(",")]);
    }
    arguments.extend([OUTPUT.to_owned(), format!("{}K", def.capacity.div_ceil(1024))]);
    ImageTool::new("create").args(arguments).processor_seconds(CREATE_SECONDS)
}

/// The `-o` options of an image.
pub(super) fn options(def: &VolumeDef, format: VolumeFormat, flags: CreateFlags) -> Vec<String> {
    let mut options = Vec::new();
    if let Some(backing) = def.backing.as_ref().filter(|b| b.path.is_some()) {
        options.push(format!("backing_fmt={}", backing.format.unwrap_or(VolumeFormat::Raw)));
    }
    if flags.preallocate {
        let how = if def.allocation >= def.capacity { "falloc" } else { "metadata" };
        options.push(format!("preallocation={how}"));
    }
    if def.target.nocow {
        options.push("nocow=on".into());
    }
    if format == VolumeFormat::Qcow2 {
        let target = &def.target;
        if let Some(compat) = &target.compat {
            options.push(format!("compat={compat}"));
        } else if target.cluster_size.is_some() {
            options.push("compat=1.1".into());
        }
        options.extend(target.cluster_size.map(|size| format!("cluster_size={size}")));
        options.extend(target.features.iter().flatten().map(|feature| format!("{feature}=on")));
    }
    options
}

/// A raw image: the size first, so that a full disk is noticed before anything is written, then the blocks asked for.
pub(super) fn raw(file: File, path: &str, capacity: u64, allocation: u64) -> Result<File> {
    let size = capacity.max(allocation);
    file.set_len(size).map_err(|e| system(&e, format!("cannot extend file '{path}'")))?;
    allocate(&file, path, allocation.min(size))?;
    file.sync_all().map_err(|e| system(&e, format!("cannot sync data to file '{path}'")))?;
    Ok(file)
}

/// Reserves the first `length` bytes on disk.
pub(super) fn allocate(file: &File, path: &str, length: u64) -> Result<()> {
    if length == 0 {
        return Ok(());
    }
    let fail = |e: io::Error| system(&e, format!("cannot allocate {length} bytes in file '{path}'"));
    let bytes = i64::try_from(length).map_err(|_| fail(nix::errno::Errno::EFBIG.into()))?;
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // a file system without it: write the zeros
        Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => zeros(file, length).map_err(fail),
        Err(errno) => Err(fail(errno.into())),
    }
}

fn zeros(mut file: &File, length: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file).map(drop)
}

fn set_owner(file: &File, path: &str, def: &VolumeDef) -> Result<()> {
    let wanted = &def.target.permissions;
    let (owner, group) = (wanted.owner.map(Uid::from_raw), wanted.group.map(Gid::from_raw));
    if owner.is_none() && group.is_none() {
        return Ok(());
    }
    fchown(file, owner, group).map_err(|errno| {
        let shown = |id: Option<u32>| id.map_or(-1, i64::from);
        system(&errno.into(), format!("cannot chown '{path}' to ({}, {})", shown(wanted.owner), shown(wanted.group)))
    })
}

/// Owner, then mode: what is opened wide is already the right user's.
fn permit(fd: &std::os::fd::OwnedFd, path: &str, def: &VolumeDef) -> Result<()> {
    let file = File::from(fd.try_clone().map_err(|e| system(&e, "cannot duplicate a descriptor".into()))?);
    set_owner(&file, path, def)?;
    let mode = def.target.permissions.mode.unwrap_or(MODE);
    let set = file.set_permissions(Permissions::from_mode(mode));
    set.map_err(|e| system(&e, format!("cannot set mode of '{path}' to {mode:04o}")))
}

/// Gives the finished file its owner and mode.
pub(super) fn apply_owner(folder: &Folder, def: &VolumeDef) -> Result<()> {
    let path = folder.join(&def.name);
    let opened = folder.file(&def.name).and_then(|handle| handle.write());
    let file = opened.map_err(|e| system(&e, format!("cannot open volume '{path}'")))?;
    permit(&file.into(), &path, def)
}

/// Removes what a failed creation left.
pub(super) fn discard(folder: &Folder, def: &VolumeDef) {
    let removed = match folder.look(&def.name) {
        Ok(Entry::Folder(_)) => folder.remove_folder(&def.name),
        _ => folder.remove(&def.name),
    };
    if let Err(error) = removed {
        tracing::warn!(volume = folder.join(&def.name), %error, "cannot remove a half-made volume");
    }
}

/// The finished volume as the pool lists it: what the document said, with the sizes, owner and times of the file.
pub(super) fn complete(folder: &Folder, mut def: VolumeDef) -> Result<VolumeDef> {
    let path = folder.join(&def.name);
    let lost = |e: io::Error| system(&e, format!("cannot open volume '{path}'"));
    let found = scan::describe(folder, &def.name).map_err(lost)?;
    let found = found.ok_or_else(|| internal(format!("volume '{path}' is not a file")))?;
    def.key = Some(path.clone());
    def.target.path = Some(path);
    def.target.nocow = false;
    def.backing = found.backing.or(def.backing).filter(|_| def.target.format != Some(VolumeFormat::Raw));
    (def.capacity, def.allocation, def.physical) = (found.capacity, found.allocation, found.physical);
    def.target.permissions = found.target.permissions;
    def.target.timestamps = found.target.timestamps;
    Ok(def)
}
