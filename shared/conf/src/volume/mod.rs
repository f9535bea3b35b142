//! `<volume>`: one disk image, partition or directory of a pool.
//!
//! The document that creates a volume and the one that describes it share [`VolumeDef`]; what only the driver knows (key, sizes on
//! disk, times) is filled in by it. [`VolumeDef::parse`] checks in libvirt's order; [`VolumeDef::format`] prints libvirt's form.

mod encryption;
mod format;
mod parse;
#[cfg(test)]
mod tests;

pub use encryption::VolumeEncryption;

use crate::pool::Permissions;

xml::text_enum! {
    /// What a volume is, in the order of libvirt's numbers (`virStorageVolType`).
    pub enum VolumeType { File = "file", Block = "block", Dir = "dir", Network = "network", Netdir = "netdir", Ploop = "ploop" }
}

xml::text_enum! {
    /// Format of a volume that is a file.
    pub enum VolumeFormat {
        None = "none", Raw = "raw", Dir = "dir", Bochs = "bochs", Cloop = "cloop", Dmg = "dmg", Iso = "iso", Vpc = "vpc",
        Vdi = "vdi", Fat = "fat", Vhd = "vhd", Ploop = "ploop", Cow = "cow", Qcow = "qcow", Qcow2 = "qcow2", Qed = "qed",
        Vmdk = "vmdk",
    }
}

xml::text_enum! {
    /// `<features>` of qcow2, in the order in which they are printed.
    pub enum VolumeFeature { LazyRefcounts = "lazy_refcounts", ExtendedL2 = "extended_l2", DataFile = "data_file" }
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest.
    pub nanoseconds: i64,
}

/// Times of a volume's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// Last read.
    pub access: Timestamp,
    /// Last change of content.
    pub modify: Timestamp,
    /// Last change of attributes.
    pub change: Timestamp,
}

/// The image that a volume is an overlay of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeBacking {
    /// Its path as given, or resolved against the volume's folder.
    pub path: Option<String>,
    /// Its format, when known.
    pub format: Option<VolumeFormat>,
    /// Mode and owner, when it could be looked at.
    pub permissions: Permissions,
    /// Times, when it could be looked at.
    pub timestamps: Option<Timestamps>,
}

/// Where and how the volume is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeTarget {
    /// Path on this host.
    pub path: Option<String>,
    /// Format of the file.
    pub format: Option<VolumeFormat>,
    /// Mode and owner wanted (creation) or found.
    pub permissions: Permissions,
    /// Times.
    pub timestamps: Option<Timestamps>,
    /// How the content is encrypted.
    pub encryption: Option<VolumeEncryption>,
    /// qcow2 compatibility level, such as `1.1`.
    pub compat: Option<String>,
    /// Copy on write switched off (btrfs).
    pub nocow: bool,
    /// qcow2 cluster size in bytes.
    pub cluster_size: Option<u64>,
    /// qcow2 features; `Some` and empty prints an empty element.
    pub features: Option<Vec<VolumeFeature>>,
}

/// Definition of a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeDef {
    /// Name, unique in its pool.
    pub name: String,
    /// Key, unique on the host; filled by the driver.
    pub key: Option<String>,
    /// What it is; decided by the driver.
    pub kind: VolumeType,
    /// Bytes that the guest sees.
    pub capacity: u64,
    /// Bytes in use on the host.
    pub allocation: u64,
    /// Whether the document named an allocation.
    pub has_allocation: bool,
    /// Bytes of the file or device; 0 when unknown.
    pub physical: u64,
    /// Where and how it is stored.
    pub target: VolumeTarget,
    /// What it is an overlay of.
    pub backing: Option<VolumeBacking>,
}

impl VolumeDef {
    /// The target's path, "" before the driver filled it in.
    pub fn path(&self) -> &str {
        self.target.path.as_deref().unwrap_or("")
    }
}
