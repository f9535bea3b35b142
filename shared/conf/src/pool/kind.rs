//! The types of pools: what each must name, which formats it knows.

use xml::Vocabulary;

xml::text_enum! {
    /// Type of a pool, in the order of libvirt's numbers.
    pub enum PoolType {
        Dir = "dir", Fs = "fs", Netfs = "netfs", Logical = "logical", Disk = "disk", Iscsi = "iscsi",
        IscsiDirect = "iscsi-direct", Scsi = "scsi", Mpath = "mpath", Rbd = "rbd", Sheepdog = "sheepdog",
        Gluster = "gluster", Zfs = "zfs", Vstorage = "vstorage",
    }
}

/// Parts of `<source>` that a type uses: they are printed; `required` ones must be there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) host: bool,
    pub(crate) dir: bool,
    pub(crate) name: bool,
    pub(crate) adapter: bool,
    pub(crate) device: bool,
    pub(crate) device_required: bool,
    pub(crate) initiator: bool,
}

/// The `<format type=''/>` words of one pool type, the default first among equals.
#[derive(Clone, Copy, Debug)]
pub struct SourceFormat {
    /// What a document without a format means.
    pub default: &'static str,
    /// All words.
    pub words: &'static [&'static str],
}

const FILE_SYSTEMS: SourceFormat = SourceFormat {
    default: "auto",
    words: &[
        "auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs", "ocfs2", "vmfs",
    ],
};
const NETWORK_FILE_SYSTEMS: SourceFormat =
    SourceFormat { default: "auto", words: &["auto", "nfs", "glusterfs", "cifs"] };
const VOLUME_GROUPS: SourceFormat = SourceFormat { default: "lvm2", words: &["unknown", "lvm2"] };
const PARTITION_TABLES: SourceFormat =
    SourceFormat { default: "unknown", words: &["unknown", "dos", "dvh", "gpt", "mac", "bsd", "pc98", "sun", "lvm2"] };

impl PoolType {
    /// libvirt's number of the type, as some of its error texts show it.
    pub fn number(self) -> usize {
        Self::WORDS.iter().position(|(kind, _)| *kind == self).unwrap_or(0)
    }

    pub(crate) fn needs(self) -> Needs {
        let none = Needs::default();
        match self {
            PoolType::Dir | PoolType::Mpath => none,
            PoolType::Fs | PoolType::Disk => Needs { device: true, device_required: true, ..none },
            PoolType::Netfs => Needs { host: true, dir: true, ..none },
            PoolType::Logical | PoolType::Zfs => Needs { name: true, device: true, ..none },
            PoolType::Iscsi | PoolType::IscsiDirect => Needs { host: true, device: true, initiator: true, ..none },
            PoolType::Scsi => Needs { adapter: true, ..none },
            PoolType::Rbd | PoolType::Sheepdog => Needs { host: true, name: true, ..none },
            PoolType::Gluster => Needs { host: true, name: true, dir: true, ..none },
            PoolType::Vstorage => Needs { name: true, ..none },
        }
    }

    /// The words of `<source><format/>`, when the type has them.
    pub fn source_formats(self) -> Option<SourceFormat> {
        match self {
            PoolType::Fs => Some(FILE_SYSTEMS),
            PoolType::Netfs => Some(NETWORK_FILE_SYSTEMS),
            PoolType::Logical => Some(VOLUME_GROUPS),
            PoolType::Disk => Some(PARTITION_TABLES),
            _ => None,
        }
    }

    /// Whether volumes appear below a path on this host.
    pub fn has_target(self) -> bool {
        !matches!(self, PoolType::Rbd | PoolType::Sheepdog | PoolType::Gluster | PoolType::IscsiDirect)
    }

    /// Whether starting the pool mounts a file system.
    pub fn mounts(self) -> bool {
        matches!(self, PoolType::Fs | PoolType::Netfs)
    }

    /// Whether building the pool can make a file system on its device.
    pub fn formats_device(self) -> bool {
        self == PoolType::Fs
    }

    /// Whether volumes are files in a directory.
    pub fn holds_files(self) -> bool {
        matches!(self, PoolType::Dir | PoolType::Fs | PoolType::Netfs | PoolType::Vstorage)
    }
}
