//! Looking at the files of a pool: what each is, how big, and what its header says.

use std::collections::BTreeMap;
use std::sync::Arc;

use conf::pool::Permissions;
use conf::volume::{
    Timestamp, Timestamps, VolumeBacking, VolumeDef, VolumeEncryption, VolumeFeature, VolumeFormat, VolumeTarget,
    VolumeType,
};
use image::{Format, Metadata};
use nix::sys::stat::FileStat;
use xml::Vocabulary;

use crate::folder::{Entry, Folder, Handle};

/// Volumes by name.
pub(crate) type Volumes = BTreeMap<String, Arc<VolumeDef>>;

/// Mode and owner from attributes.
pub(crate) fn permissions(stat: &FileStat) -> Permissions {
    Permissions { mode: Some(stat.st_mode & 0o777), owner: Some(stat.st_uid), group: Some(stat.st_gid), label: None }
}

fn timestamps(stat: &FileStat) -> Timestamps {
    let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
    Timestamps {
        access: time(stat.st_atime, stat.st_atime_nsec),
        modify: time(stat.st_mtime, stat.st_mtime_nsec),
        change: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// Every volume of the directory. Names that no document can carry, special files and what vanishes meanwhile are left out.
pub(crate) fn volumes(folder: &Folder) -> std::io::Result<Volumes> {
    let mut found = Volumes::new();
    for name in folder.names()? {
        let Some(name) = name.to_str().filter(|name| !name.chars().any(char::is_control)) else {
            tracing::warn!(pool = %folder.path().display(), ?name, "ignoring a file whose name cannot be shown");
            continue;
        };
        match describe(folder, name) {
            Ok(Some(def)) => {
                found.insert(name.to_owned(), Arc::new(def));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(pool = %folder.path().display(), name, %error, "ignoring a file that cannot be read")
            }
        }
    }
    Ok(found)
}

/// The volume `name`; `None` for something that is not a volume.
pub(crate) fn describe(folder: &Folder, name: &str) -> std::io::Result<Option<VolumeDef>> {
    match folder.look(name)? {
        Entry::File(handle) => file(folder, name, &handle).map(Some),
        Entry::Folder(stat) => {
            let mut def = blank(folder, name, VolumeType::Dir, VolumeFormat::Dir, &stat);
            def.physical = 0;
            Ok(Some(def))
        }
        // listed, so that it can be removed; nothing is known of what it leads to
        Entry::Link(stat) => Ok(Some(blank(folder, name, VolumeType::File, VolumeFormat::Raw, &stat))),
        Entry::Special => Ok(None),
    }
}

fn blank(folder: &Folder, name: &str, kind: VolumeType, format: VolumeFormat, stat: &FileStat) -> VolumeDef {
    let path = folder.join(name);
    let target = VolumeTarget {
        path: Some(path.clone()),
        format: Some(format),
        permissions: permissions(stat),
        timestamps: Some(timestamps(stat)),
        ..VolumeTarget::default()
    };
    let backing = None;
    VolumeDef {
        name: name.to_owned(),
        key: Some(path),
        kind,
        capacity: 0,
        allocation: 0,
        has_allocation: true,
        physical: 0,
        target,
        backing,
    }
}

fn file(folder: &Folder, name: &str, handle: &Handle) -> std::io::Result<VolumeDef> {
    let header = image::read_header(handle.read()?)?;
    let facts = Metadata::probe(&header);
    let size = u64::try_from(handle.stat.st_size).unwrap_or(0);
    let format = match facts.format {
        Format::Luks => VolumeFormat::Raw,
        other => VolumeFormat::from_word(other.name()).unwrap_or(VolumeFormat::Raw),
    };
    let kind = if format == VolumeFormat::Ploop { VolumeType::Ploop } else { VolumeType::File };
    let mut def = blank(folder, name, kind, format, &handle.stat);
    def.capacity = facts.capacity_of(size);
    def.allocation = u64::try_from(handle.stat.st_blocks).unwrap_or(0).saturating_mul(512);
    def.physical = size;
    def.target.encryption = facts.encryption.map(|e| VolumeEncryption { format: e.name().into(), secrets: Vec::new() });
    def.target.cluster_size = facts.cluster_size;
    if facts.version3 {
        def.target.compat = Some("1.1".into());
        let features = [
            (VolumeFeature::LazyRefcounts, facts.lazy_refcounts),
            (VolumeFeature::ExtendedL2, facts.extended_l2),
            (VolumeFeature::DataFile, facts.data_file),
        ];
        def.target.features = Some(features.into_iter().filter(|(_, on)| *on).map(|(feature, _)| feature).collect());
    }
    def.backing = facts.backing.map(|named| backing(folder, &named));
    Ok(def)
}

/// What a header says of its backing file. The file is looked at by attributes only and never opened: the guest may have chosen it.
fn backing(folder: &Folder, named: &image::Backing) -> VolumeBacking {
    let format = named.format.as_deref().and_then(VolumeFormat::from_word);
    let is_protocol = named.path.split_once(':').is_some_and(|(scheme, _)| !scheme.contains('/'));
    if is_protocol {
        return VolumeBacking { path: Some(named.path.clone()), format, ..VolumeBacking::default() };
    }
    let path = if named.path.starts_with('/') { named.path.clone() } else { folder.join(&named.path) };
    let stat = nix::sys::stat::stat(path.as_str()).ok();
    VolumeBacking {
        path: Some(path),
        format,
        permissions: stat.as_ref().map(permissions).unwrap_or_default(),
        timestamps: stat.as_ref().map(timestamps),
    }
}

/// `known` with the sizes, owner and times of now. What only a refresh of the pool reports (format, features, backing) stays.
pub(crate) fn update(folder: &Folder, known: &VolumeDef) -> std::io::Result<VolumeDef> {
    let Some(now) = describe(folder, &known.name)? else { return Err(nix::errno::Errno::ENOENT.into()) };
    let mut def = known.clone();
    def.capacity = now.capacity;
    def.allocation = now.allocation;
    def.physical = now.physical;
    def.target.permissions = now.target.permissions;
    def.target.timestamps = now.target.timestamps;
    Ok(def)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant};

    #[test]
    fn special_files_are_skipped_and_links_never_followed_out() {
        let (outside, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| dir.path().join(name);
        std::fs::write(outside.path().join("qcow"), b"QFI\xfb\0\0\0\x03").unwrap();
        std::fs::write(at("raw"), b"hello").unwrap();
        std::fs::write(at("new\nline"), b"").unwrap();
        std::fs::File::create(at("huge")).unwrap().set_len(1 << 40).unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        symlink(outside.path().join("qcow"), at("out")).unwrap();
        symlink(".", at("loop")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let start = Instant::now();
        let found = volumes(&Folder::open(dir.path()).unwrap()).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["huge", "loop", "out", "raw", "sub"]);
        assert_eq!(
            (found["out"].target.format, found["out"].capacity),
            (Some(VolumeFormat::Raw), 0),
            "the target was read"
        );
        assert_eq!((found["huge"].capacity, found["huge"].allocation), (1 << 40, 0));
        assert_eq!(found["sub"].kind, VolumeType::Dir);
    }
}
