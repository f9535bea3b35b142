//! Where the bytes of a disk come from: file, block device, network image, volume; with its backing chain.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer, missing_attribute};

use super::encryption::Encryption;
use super::info::PciAddress;
use crate::FormatFlags;
use crate::domain::fault::{unsupported, xml_error};
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
    /// Seconds until a lost NBD server is given up.
    pub reconnect_delay: Option<u32>,
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
            kind,
            path: None,
            format: None,
            index: 0,
            protocol: None,
            hosts: Vec::new(),
            snapshot: None,
            config_file: None,
            query: None,
            tls: None,
            tls_hostname: None,
            ssl_verify: None,
            cookies: Vec::new(),
            readahead: None,
            timeout: None,
            reconnect_delay: None,
            initiator_iqn: None,
            nfs_user: None,
            nfs_group: None,
            ssh: SshSource::default(),
            auth: None,
            auth_at_disk: false,
            encryption: None,
            encryption_at_disk: false,
            reservations: None,
            reconnect: None,
            volume: None,
            nvme: None,
            slice: None,
            labels: Vec::new(),
            fd_group: None,
            metadata_cache_bytes: None,
            data_store: None,
            backing: None,
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

impl StorageSource {
    /// Reads `<source>` of a source of `kind`; an absent element is an empty source.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(kind: SourceKind, node: Option<Node<'_>>) -> Result<Self> {
        let mut source = Self::new(kind);
        let Some(node) = node else { return Ok(source) };
        match kind {
            SourceKind::File => {
                source.path = node.non_empty("file");
                source.fd_group = node.string("fdgroup");
            }
            SourceKind::Block => source.path = node.non_empty("dev"),
            SourceKind::Dir => source.path = node.non_empty("dir"),
            SourceKind::Network => source.parse_network(node)?,
            SourceKind::Volume => {
                let (pool, volume) = (node.string("pool"), node.string("volume"));
                source.volume = match (pool, volume) {
                    (None, None) => None,
                    (Some(pool), Some(volume)) => Some(VolumeSource { pool, volume, mode: node.word("mode")? }),
                    _ => {
                        return Err(xml_error("'pool' and 'volume' must be specified together for 'pool' type source"));
                    }
                };
            }
            SourceKind::Nvme => source.parse_nvme(node)?,
            SourceKind::VhostUser => {
                let kind = node.required("type")?;
                if kind != "unix" {
                    return Err(unsupported("vhostuser disk supports only unix sockets"));
                }
                source.path = Some(
                    node.string("path").ok_or_else(|| xml_error("Missing source path attribute for char device"))?,
                );
                source.reconnect = node.child("reconnect").map(|n| Reconnect::parse(Some(n))).transpose()?;
            }
            SourceKind::VhostVdpa => source.path = Some(node.required("dev")?.to_owned()),
            SourceKind::None => {}
        }
        source.auth = node.child("auth").map(Auth::parse).transpose()?;
        source.encryption = node.child("encryption").map(Encryption::parse).transpose()?;
        source.reservations = node.child("reservations").map(Reservations::parse).transpose()?;
        if let Some(slice) =
            node.child("slices").and_then(|s| s.children("slice").find(|s| s.attr("type") == Some("storage")))
        {
            source.slice = Some(Slice {
                offset: slice.u64("offset")?.ok_or_else(|| missing_attribute(slice, "offset"))?,
                size: slice.u64_nonzero("size")?.ok_or_else(|| missing_attribute(slice, "size"))?,
            });
        }
        source.labels = DeviceLabel::parse_all(node)?;
        source.index = node.u32("index")?.unwrap_or_default();
        if let Some(store) = node.child("dataStore") {
            let mut data = Self::parse(store.required_word("type")?, store.child("source"))?;
            data.format = store.child("format").and_then(|f| f.attr("type")).and_then(ImageFormat::from_word);
            source.data_store = Some(Box::new(data));
        }
        Ok(source)
    }

    fn parse_nvme(&mut self, node: Node<'_>) -> Result<()> {
        let kind = node.attr("type").ok_or_else(|| xml_error("missing 'type' attribute to disk source"))?;
        if kind != "pci" {
            return Err(xml_error(format!("unsupported source type '{kind}'")));
        }
        let namespace =
            node.u64("namespace")?.ok_or_else(|| xml_error("missing 'namespace' attribute to disk source"))?;
        if namespace == 0 {
            return Err(unsupported("NVMe namespace can't be zero"));
        }
        let address = node.child("address").ok_or_else(|| xml_error("NVMe disk source is missing address"))?;
        self.nvme =
            Some(NvmeSource { namespace, managed: node.yes_no("managed")?, address: PciAddress::parse(address)? });
        Ok(())
    }

    /// Reads the `<backingStore>` below `node`.
    pub fn parse_backing(node: Node<'_>) -> Result<Option<Option<Box<Self>>>> {
        let Some(backing) = node.child("backingStore") else { return Ok(None) };
        let Some(kind) = backing.attr("type") else { return Ok(Some(None)) };
        let kind = SourceKind::from_word(kind)
            .filter(|k| *k != SourceKind::None)
            .ok_or_else(|| xml_error(format!("unknown disk backing store type '{kind}'")))?;
        let format = backing.child("format").ok_or_else(|| xml_error("missing disk backing store format"))?;
        let word = format.attr("type").ok_or_else(|| xml_error("missing disk backing store format"))?;
        let image = ImageFormat::from_word(word)
            .ok_or_else(|| xml_error(format!("unknown disk backing store format '{word}'")))?;
        let source = backing.child("source").ok_or_else(|| xml_error("missing disk backing store source"))?;
        let mut store = Self::parse(kind, Some(source))?;
        store.format = Some(image);
        store.metadata_cache_bytes = parse_metadata_cache(format)?;
        if let Some(index) = backing.u32("index")? {
            store.index = index;
        }
        store.backing = Self::parse_backing(backing)?;
        Ok(Some(Some(Box::new(store))))
    }

    /// Writes `<source>`; `extra` adds attributes of the owner.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags, extra: impl FnOnce(&mut Writer)) {
        self.format_as("source", w, flags, extra);
    }

    fn format_as(&self, name: &str, w: &mut Writer, flags: FormatFlags, extra: impl FnOnce(&mut Writer)) {
        w.element_if_any(name, |w| {
            self.format_attributes(w);
            extra(w);
            if !flags.inactive && self.index > 0 {
                w.attr("index", self.index);
            }
            self.format_children(w, flags);
        });
    }

    fn format_attributes(&self, w: &mut Writer) {
        match self.kind {
            SourceKind::File => {
                w.attr_opt("file", self.path.as_deref());
                w.attr_opt("fdgroup", self.fd_group.as_deref());
            }
            SourceKind::Block => w.attr_opt("dev", self.path.as_deref()),
            SourceKind::Dir => w.attr_opt("dir", self.path.as_deref()),
            SourceKind::Network => self.format_network_attributes(w),
            SourceKind::Volume => {
                if let Some(volume) = &self.volume {
                    w.attr("pool", &volume.pool);
                    w.attr("volume", &volume.volume);
                    w.attr_opt("mode", volume.mode);
                }
            }
            SourceKind::Nvme => {
                if let Some(nvme) = &self.nvme {
                    w.attr("type", "pci");
                    w.yes_no("managed", nvme.managed);
                    w.attr("namespace", nvme.namespace);
                }
            }
            SourceKind::VhostUser => {
                w.attr("type", "unix");
                w.attr_opt("path", self.path.as_deref());
            }
            SourceKind::VhostVdpa => w.attr_opt("dev", self.path.as_deref()),
            SourceKind::None => {}
        }
    }

    fn format_children(&self, w: &mut Writer, flags: FormatFlags) {
        match self.kind {
            SourceKind::Network => self.format_network_children(w, flags),
            SourceKind::Nvme => {
                if let Some(nvme) = &self.nvme {
                    w.element("address", |w| nvme.address.format_attributes(w));
                }
            }
            SourceKind::VhostUser => self.reconnect.unwrap_or_default().format(w),
            _ => {}
        }
        if let Some(slice) = self.slice {
            w.element("slices", |w| {
                w.element("slice", |w| {
                    w.attr("type", "storage");
                    w.attr("offset", slice.offset);
                    w.attr("size", slice.size);
                });
            });
        }
        if self.kind != SourceKind::Network {
            DeviceLabel::format_all(w, &self.labels);
        }
        if let Some(auth) = self.auth.as_ref().filter(|_| !self.auth_at_disk) {
            auth.format(w);
        }
        if let Some(encryption) = self.encryption.as_ref().filter(|_| !self.encryption_at_disk) {
            encryption.format(w);
        }
        if let Some(reservations) = &self.reservations {
            reservations.format(w, flags);
        }
        if let Some(data) = &self.data_store {
            w.element("dataStore", |w| {
                w.attr("type", data.kind);
                w.element("format", |w| w.attr_opt("type", data.format));
                data.format(w, flags, |_| {});
            });
        }
    }

    /// Writes `<backingStore>` of this source, when something is known of it.
    pub fn format_backing(&self, w: &mut Writer, flags: FormatFlags) {
        match &self.backing {
            None => {}
            Some(None) => w.empty("backingStore"),
            Some(Some(store)) => w.element("backingStore", |w| {
                w.attr("type", store.kind);
                if !flags.inactive && store.index > 0 {
                    w.attr("index", store.index);
                }
                w.element("format", |w| {
                    w.attr_opt("type", store.format);
                    format_metadata_cache(w, store.metadata_cache_bytes);
                });
                // the index stands on <backingStore> here
                store.format(w, FormatFlags { inactive: true, ..flags }, |_| {});
                store.format_backing(w, flags);
            }),
        }
    }
}

/// Reads `<metadata_cache><max_size unit=>` in bytes.
pub(super) fn parse_metadata_cache(node: Node<'_>) -> Result<Option<u64>> {
    let Some(size) = node.path(&["metadata_cache", "max_size"]) else { return Ok(None) };
    let text = size.text();
    let value = xml::parse_u64(&text, 10)
        .ok_or_else(|| xml_error(format!("Invalid value '{text}' for element or attribute 'max_size'")))?;
    crate::size::scaled(value, size.attr("unit"), 1, u64::MAX).map(Some)
}

/// Writes `<metadata_cache>`.
pub(super) fn format_metadata_cache(w: &mut Writer, bytes: Option<u64>) {
    if let Some(bytes) = bytes.filter(|b| *b > 0) {
        w.element("metadata_cache", |w| w.leaf_with("max_size", |w| w.attr("unit", "bytes"), bytes));
    }
}
