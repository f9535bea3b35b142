//! Where the bytes of a disk come from: file, block device, network image, volume; with its backing chain.

use xml::text_enum;

use super::encryption::Encryption;
use super::info::PciAddress;
use crate::domain::security::DeviceLabel;

text_enum! {
    /// Kind of a source.
    pub enum SourceKind {
        None = "none", File = "file", Block = "block", Dir = "dir", Network = "network", Volume = "volume", Nvme = "nvme",
        VhostUser = "vhostuser", VhostVdpa = "vhostvdpa",
    }
}
text_enum! {
    /// Image format.
    pub enum ImageFormat {
        None = "none", Raw = "raw", Dir = "dir", Bochs = "bochs", Cloop = "cloop", Dmg = "dmg", Iso = "iso", Vpc = "vpc", Vdi = "vdi",
        Fat = "fat", Vhd = "vhd", Ploop = "ploop", Cow = "cow", Qcow = "qcow", Qcow2 = "qcow2", Qed = "qed", Vmdk = "vmdk",
    }
}
text_enum! {
    /// Protocol of a network image.
    pub enum Protocol {
        Nbd = "nbd", Rbd = "rbd", Sheepdog = "sheepdog", Gluster = "gluster", Iscsi = "iscsi", Http = "http", Https = "https", Ftp = "ftp",
        Ftps = "ftps", Tftp = "tftp", Ssh = "ssh", Vxhs = "vxhs", Nfs = "nfs",
    }
}
text_enum! {
    /// How a network host is reached.
    pub enum Transport { Tcp = "tcp", Unix = "unix", Rdma = "rdma" }
}
text_enum! {
    /// How an iSCSI volume is given to QEMU.
    pub enum VolumeMode { Host = "host", Direct = "direct" }
}

/// `<host name= port= transport= socket=/>`
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkHost {
    pub transport: Transport,
    pub name: Option<String>,
    /// Default of the protocol when absent.
    pub port: Option<u32>,
    pub socket: Option<String>,
}

/// Reference to a secret object.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretRef {
    Uuid([u8; 16]),
    Usage(String),
}

text_enum! {
    /// Kind of credentials.
    pub enum AuthKind { Chap = "chap", Ceph = "ceph" }
}

/// `<auth>` with a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    pub username: String,
    pub kind: Option<AuthKind>,
    /// Word of `<secret type=>`.
    pub secret_type: Option<String>,
    pub secret: SecretRef,
}

/// `<reservations>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reservations {
    pub managed: Option<bool>,
    pub path: Option<String>,
    pub mode: Option<String>,
}

/// `<slice type='storage'>`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    pub offset: u64,
    pub size: u64,
}

/// `<reconnect enabled= timeout=/>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reconnect {
    pub enabled: Option<bool>,
    pub timeout: Option<u32>,
}

/// Pool and volume of `<source pool= volume=>`.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeSource {
    pub pool: String,
    pub volume: String,
    pub mode: Option<VolumeMode>,
}

/// NVMe namespace of a host controller.
#[derive(Clone, Debug, PartialEq)]
pub struct NvmeSource {
    pub namespace: u64,
    pub managed: Option<bool>,
    pub address: PciAddress,
}

/// SSH details of a network image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SshSource {
    pub known_hosts: Option<String>,
    pub username: Option<String>,
    pub keyfile: Option<String>,
    pub agent_sock: Option<String>,
}

/// One image and, below it, what it is based on.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageSource {
    pub kind: SourceKind,
    /// File, device or directory; image name for network sources; socket for vhost-user.
    pub path: Option<String>,
    pub format: Option<ImageFormat>,
    /// Index in the live backing chain (node name `libvirt-INDEX-format`); 0 until assigned.
    pub index: u32,
    pub protocol: Option<Protocol>,
    pub hosts: Vec<NetworkHost>,
    /// rbd snapshot and configuration file.
    pub snapshot: Option<String>,
    pub config_file: Option<String>,
    /// Query part of http and https.
    pub query: Option<String>,
    pub tls: Option<bool>,
    pub tls_hostname: Option<String>,
    pub ssl_verify: Option<bool>,
    pub cookies: Vec<(String, String)>,
    pub readahead: Option<u64>,
    pub timeout: Option<u64>,
    pub initiator_iqn: Option<String>,
    pub nfs_user: Option<String>,
    pub nfs_group: Option<String>,
    pub ssh: SshSource,
    pub auth: Option<Auth>,
    /// `<auth>` stood directly below `<disk>`.
    pub auth_at_disk: bool,
    pub encryption: Option<Encryption>,
    /// `<encryption>` stood directly below `<disk>`.
    pub encryption_at_disk: bool,
    pub reservations: Option<Reservations>,
    pub reconnect: Option<Reconnect>,
    pub volume: Option<VolumeSource>,
    pub nvme: Option<NvmeSource>,
    pub slice: Option<Slice>,
    pub labels: Vec<DeviceLabel>,
    pub fd_group: Option<String>,
    /// qcow2 metadata cache limit in bytes.
    pub metadata_cache_bytes: Option<u64>,
    pub data_store: Option<Box<StorageSource>>,
    /// `None`: not told, to be detected; `Some(None)`: explicitly the end (`<backingStore/>`).
    pub backing: Option<Option<Box<StorageSource>>>,
}

impl StorageSource {
    /// An empty source of `kind`.
    pub fn new(kind: SourceKind) -> Self {
        Self {
            kind, path: None, format: None, index: 0, protocol: None, hosts: Vec::new(), snapshot: None, config_file: None, query: None,
            tls: None, tls_hostname: None, ssl_verify: None, cookies: Vec::new(), readahead: None, timeout: None, initiator_iqn: None,
            nfs_user: None, nfs_group: None, ssh: SshSource::default(), auth: None, auth_at_disk: false, encryption: None,
            encryption_at_disk: false, reservations: None, reconnect: None, volume: None, nvme: None, slice: None, labels: Vec::new(),
            fd_group: None, metadata_cache_bytes: None, data_store: None, backing: None,
        }
    }

    /// Whether there is no medium, as in an empty CD-ROM drive.
    pub fn is_empty(&self) -> bool {
        match self.kind {
            SourceKind::None => true,
            SourceKind::File | SourceKind::Block | SourceKind::Dir => self.path.is_none(),
            SourceKind::Volume => self.volume.is_none(),
            SourceKind::Network => self.protocol.is_none(),
            SourceKind::Nvme | SourceKind::VhostUser | SourceKind::VhostVdpa => false,
        }
    }
}
