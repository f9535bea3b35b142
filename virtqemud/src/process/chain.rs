//! What images are based on: the part of a chain that the definition leaves open is read from the images themselves.
//!
//! Only as far as declared: the format of a disk is never guessed, an overlay must name the format of what is below it, and
//! anything but plain files and devices has to be written in the definition.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use conf::domain::DomainDef;
use conf::domain::device::source::{ImageFormat, SourceKind, StorageSource};
use error::{Code, Domain, Error, Result};
use host::run_blocking;
use image::{Format, Metadata};
use xml::Vocabulary;

/// Layers that a chain may have (libvirt's limit).
const DEPTH_MAX: usize = 200;

/// Completes the chain of every disk on local files.
///
/// # Errors
/// Images that cannot be read, chains without end, layers that the overlay does not name a format for.
pub async fn complete(def: &mut DomainDef) -> Result<()> {
    let mut sources: Vec<StorageSource> = def.devices.disks.iter().map(|d| d.source.clone()).collect();
    let done = run_blocking(move || {
        sources.iter_mut().try_for_each(read_chain)?;
        Ok::<_, Error>(sources)
    });
    for (disk, source) in def.devices.disks.iter_mut().zip(done.await?) {
        disk.source = source;
    }
    Ok(())
}

fn read_chain(top: &mut StorageSource) -> Result<()> {
    let mut seen = HashSet::new();
    let mut layer = top;
    for _ in 0..DEPTH_MAX {
        if !matches!(layer.kind, SourceKind::File | SourceKind::Block) {
            return Ok(());
        }
        let Some(path) = layer.path.clone() else { return Ok(()) };
        if !seen.insert(identity(&path)) {
            return Err(internal(format!("backing store for {path} is self-referential")));
        }
        if layer.backing.is_none() {
            let below = read_layer(layer, &path)?;
            layer.backing = Some(below.map(Box::new));
        }
        match &mut layer.backing {
            Some(Some(below)) => layer = below,
            _ => return Ok(()),
        }
    }
    Err(internal(format!("backing store of {} has more than {DEPTH_MAX} layers", layer.path.as_deref().unwrap_or(""))))
}

/// Two names of one file are one layer.
fn identity(path: &str) -> PathBuf {
    Path::new(path).canonicalize().unwrap_or_else(|_| path.into())
}

/// What the image at `path` is an overlay of; `None`: of nothing.
fn read_layer(layer: &StorageSource, path: &str) -> Result<Option<StorageSource>> {
    let format = layer.format.and_then(|f| Format::from_name(f.word()));
    let Some(format) =
        format.filter(|f| matches!(f, Format::Qcow2 | Format::Qcow | Format::Qed | Format::Cow | Format::Vmdk))
    else {
        return Ok(None);
    };
    let refused = |e: &io::Error| Error::system(Domain::Storage, e, format!("Cannot access storage file '{path}'"));
    let file = std::fs::File::open(path).map_err(|e| refused(&e))?;
    let header = image::read_header(file).map_err(|e| refused(&e))?;
    if Format::probe(&header) != format {
        // A new disk, or one that is still to be written; QEMU will say what it thinks of it.
        return Ok(None);
    }
    let facts = Metadata::read(format, &header);
    if facts.data_file && layer.data_store.is_none() {
        return Err(Error::new(
            Domain::Storage,
            Code::ConfigUnsupported,
            format!("image '{path}' keeps its data in another file that the definition does not name"),
        ));
    }
    let Some(backing) = facts.backing else { return Ok(None) };
    if is_protocol(&backing.path) {
        return Err(Error::new(
            Domain::Storage,
            Code::ConfigUnsupported,
            format!(
                "backing image '{}' of image '{path}' is neither a file nor a device: it has to be written in the definition",
                backing.path
            ),
        ));
    }
    let below = Path::new(path).parent().unwrap_or(Path::new("/")).join(&backing.path);
    let named = backing.format.as_deref().and_then(ImageFormat::from_word);
    let Some(named) = named else {
        return Err(Error::new(
            Domain::Storage,
            Code::OperationInvalid,
            format!(
                "format of backing image '{}' of image '{path}' was not specified in the image metadata (See https://libvirt.org/kbase/backing_chains.html for troubleshooting)",
                backing.path
            ),
        ));
    };
    let meta = std::fs::metadata(&below).map_err(|e| {
        Error::system(
            Domain::Storage,
            &e,
            format!("Cannot access backing file '{}' of storage file '{path}'", below.display()),
        )
    })?;
    let mut source =
        StorageSource::new(if meta.file_type().is_block_device() { SourceKind::Block } else { SourceKind::File });
    source.path = Some(below.display().to_string());
    source.format = Some(named);
    Ok(Some(source))
}

/// `json:{}`, `nbd://host`, `fat:/dir`: a colon before the first slash.
fn is_protocol(path: &str) -> bool {
    path.find(':').is_some_and(|colon| path.find('/').is_none_or(|slash| colon < slash))
}

fn internal(detail: String) -> Error {
    Error::new(Domain::Storage, Code::InternalError, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A qcow2 header of version 2 with a backing name and, in an extension, its format.
    fn qcow2(backing: &str, format: &str) -> Vec<u8> {
        let mut header = vec![0u8; 512];
        header[0..8].copy_from_slice(b"QFI\xfb\0\0\0\x02");
        header[20..24].copy_from_slice(&16u32.to_be_bytes());
        header[24..32].copy_from_slice(&(1u64 << 20).to_be_bytes());
        if !backing.is_empty() {
            header[8..16].copy_from_slice(&256u64.to_be_bytes());
            header[16..20].copy_from_slice(&(backing.len() as u32).to_be_bytes());
            header[256..256 + backing.len()].copy_from_slice(backing.as_bytes());
        }
        if !format.is_empty() {
            header[72..76].copy_from_slice(&0xE279_2ACAu32.to_be_bytes());
            header[76..80].copy_from_slice(&(format.len() as u32).to_be_bytes());
            header[80..80 + format.len()].copy_from_slice(format.as_bytes());
        }
        header
    }

    fn source(path: &Path) -> StorageSource {
        let mut source = StorageSource::new(SourceKind::File);
        source.path = Some(path.display().to_string());
        source.format = Some(ImageFormat::Qcow2);
        source
    }

    fn chain(files: &[(&str, &str, &str)]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, backing, format) in files {
            std::fs::write(folder.path().join(name), qcow2(backing, format)).unwrap();
        }
        let mut top = source(&folder.path().join(files[0].0));
        read_chain(&mut top)?;
        let mut names = Vec::new();
        let mut layer = Some(&top);
        while let Some(this) = layer {
            names.push(Path::new(this.path.as_ref().unwrap()).file_name().unwrap().to_str().unwrap().to_owned());
            layer = this.backing.as_ref().expect("every layer is settled").as_deref();
        }
        Ok(names)
    }

    #[test]
    fn chains() {
        assert_eq!(chain(&[("a", "", "")]).unwrap(), ["a"]);
        assert_eq!(chain(&[("a", "b", "qcow2"), ("b", "c", "raw"), ("c", "a", "qcow2")]).unwrap(), ["a", "b", "c"]);
        let message = |files: &[(&str, &str, &str)]| chain(files).unwrap_err().message;
        assert!(message(&[("a", "a", "qcow2")]).contains("self-referential"));
        assert!(message(&[("a", "b", "qcow2"), ("b", "a", "qcow2")]).contains("self-referential"));
        assert!(message(&[("a", "b", ""), ("b", "", "")]).contains("was not specified in the image metadata"));
        assert!(message(&[("a", "b", "qcow2")]).contains("Cannot access backing file"));
        assert!(message(&[("a", "json:{\"driver\":\"file\"}", "raw")]).contains("has to be written"));
        assert!(message(&[("a", "nbd:localhost:1", "raw")]).contains("has to be written"));
    }

    #[test]
    fn a_raw_disk_is_never_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::write(&path, qcow2("/etc/passwd", "raw")).unwrap();
        let mut disk = StorageSource { format: Some(ImageFormat::Raw), ..source(&path) };
        read_chain(&mut disk).unwrap();
        assert_eq!(disk.backing, Some(None));
    }
}
