//! Image chains as block nodes.
//!
//! An image is one node for its bytes (`libvirt-N-storage`) and, unless it is plain raw, one for its format (`libvirt-N-format`);
//! what an image is based on comes first.

use conf::domain::device::disk::{Cache, DetectZeroes, Discard, DiskDef, DiskDevice, DiskIo};
use conf::domain::device::source::{ImageFormat, NetworkHost, Protocol, SourceKind, StorageSource, Transport};
use error::{Code, Domain, Error, Result};
use serde_json::{Value, json};

use super::plan::Builder;
use super::props::Props;

/// How a disk wants its whole chain to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access {
    readonly: bool,
    cache: Option<Cache>,
    io: Option<DiskIo>,
    discard: Option<Discard>,
    detect_zeroes: Option<DetectZeroes>,
    discard_no_unref: Option<bool>,
    floppy: bool,
}

impl Access {
    /// As the disk says.
    pub fn of(disk: &DiskDef) -> Access {
        Access {
            readonly: disk.readonly,
            cache: disk.driver.cache,
            io: disk.driver.io,
            discard: disk.driver.discard,
            detect_zeroes: disk.driver.detect_zeroes,
            discard_no_unref: disk.driver.discard_no_unref,
            floppy: disk.device == DiskDevice::Floppy,
        }
    }

    /// For what an image is based on.
    fn below(self) -> Access {
        Access { readonly: true, detect_zeroes: None, ..self }
    }
}

/// Names of an image's nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeNames {
    /// The bytes.
    pub storage: String,
    /// The format; the same as `storage` when there is no node for it.
    pub top: String,
}

/// Names of the nodes of an image whose number is known.
pub fn nodes_of(source: &StorageSource) -> NodeNames {
    names(source, &format!("libvirt-{}", source.index))
}

fn names(source: &StorageSource, prefix: &str) -> NodeNames {
    let storage = format!("{prefix}-storage");
    let top = if needs_format_node(source) { format!("{prefix}-format") } else { bytes_node(source, prefix) };
    NodeNames { storage, top }
}

/// The node that has the image's bytes, and no more.
fn bytes_node(source: &StorageSource, prefix: &str) -> String {
    let part = if source.slice.is_some() { "slice-sto" } else { "storage" };
    format!("{prefix}-{part}")
}

fn needs_format_node(source: &StorageSource) -> bool {
    let plain = matches!(source.format, None | Some(ImageFormat::Raw | ImageFormat::Dir));
    !plain || source.encryption.is_some()
}

/// The block nodes of an image and of all that it is based on, the deepest first: what `-blockdev` and `blockdev-add` take.
///
/// # Errors
/// Sources that QEMU cannot open this way.
pub fn attach_nodes(source: &StorageSource, access: Access) -> Result<Vec<Props>> {
    let mut nodes = Vec::new();
    chain(source, access, &mut nodes)?;
    Ok(nodes)
}

fn chain(source: &StorageSource, access: Access, nodes: &mut Vec<Props>) -> Result<()> {
    if let Some(Some(backing)) = &source.backing {
        chain(backing, access.below(), nodes)?;
    }
    let data = match &source.data_store {
        Some(data) => {
            nodes.extend(image(data, access, &format!("libvirt-{}", data.index), None, false)?);
            Some(names(data, &format!("libvirt-{}", data.index)).top)
        }
        None => None,
    };
    nodes.extend(image(source, access, &format!("libvirt-{}", source.index), data, false)?);
    Ok(())
}

/// The one or two nodes of an image.
fn image(
    source: &StorageSource,
    access: Access,
    prefix: &str,
    data: Option<String>,
    force_format: bool,
) -> Result<Vec<Props>> {
    let names = NodeNames { storage: format!("{prefix}-storage"), top: format!("{prefix}-format") };
    let layered = force_format || needs_format_node(source);
    let storage = location(source, access)?.with("node-name", names.storage.clone());
    let mut common = Props::default();
    if let Some(discard) = word(access.discard) {
        common = common.with("discard", discard);
    }
    match access.detect_zeroes {
        Some(DetectZeroes::On) => common = common.with("detect-zeroes", "on"),
        // Without discard there is nothing to unmap into.
        Some(DetectZeroes::Unmap) => {
            common = common.with("detect-zeroes", if access.discard == Some(Discard::Unmap) { "unmap" } else { "on" })
        }
        Some(DetectZeroes::Off) => common = common.with("detect-zeroes", "off"),
        _ => {}
    }
    let cache = cache(access.cache);
    let below =
        |props: Props| props.with("auto-read-only", true).with("discard", "unmap").maybe("cache", cache.clone());
    let top =
        |props: Props| props.with("read-only", access.readonly).extend(common.clone()).maybe("cache", cache.clone());
    let slice = source.slice.map(|slice| {
        let bytes = Props::driver("raw")
            .with("file", names.storage.clone())
            .with("offset", slice.offset)
            .with("size", slice.size);
        bytes.with("node-name", bytes_node(source, prefix))
    });
    let mut nodes = match (slice, layered) {
        (None, false) => return Ok(vec![top(storage)]),
        (Some(slice), false) => return Ok(vec![below(storage), top(slice)]),
        (Some(slice), true) => vec![below(storage), below(slice)],
        (None, true) => vec![below(storage)],
    };
    let format = Props::default()
        .with("node-name", names.top)
        .with("read-only", access.readonly)
        .extend(common)
        .maybe("cache", cache)
        .extend(driver(source, access, prefix))
        .maybe("data-file", data)
        .with("file", bytes_node(source, prefix));
    let format = match &source.backing {
        Some(Some(backing)) => format.with("backing", nodes_of(backing).top),
        Some(None) if has_backing(source.format) => format.with("backing", Value::Null),
        _ => format,
    };
    nodes.push(format);
    Ok(nodes)
}

fn word(discard: Option<Discard>) -> Option<&'static str> {
    match discard {
        Some(Discard::Unmap) => Some("unmap"),
        Some(Discard::Ignore) => Some("ignore"),
        _ => None,
    }
}

fn cache(mode: Option<Cache>) -> Option<Value> {
    let (direct, no_flush) = match mode? {
        Cache::Default => return None,
        Cache::None | Cache::Directsync => (true, false),
        Cache::Writethrough | Cache::Writeback => (false, false),
        Cache::Unsafe => (false, true),
    };
    Some(json!({"direct": direct, "no-flush": no_flush}))
}

fn has_backing(format: Option<ImageFormat>) -> bool {
    matches!(
        format,
        Some(ImageFormat::Cow | ImageFormat::Qcow | ImageFormat::Qcow2 | ImageFormat::Qed | ImageFormat::Vmdk)
    )
}

/// Format driver with its own options.
fn driver(source: &StorageSource, access: Access, prefix: &str) -> Props {
    let secret = format!("{prefix}-format-encryption-secret0");
    let encrypted = source.encryption.is_some();
    match source.format {
        Some(ImageFormat::Qcow2) => {
            let props = Props::driver("qcow2");
            let props =
                if encrypted { props.with("encrypt", json!({"format": "luks", "key-secret": secret})) } else { props };
            props
                .maybe("discard-no-unref", access.discard_no_unref)
                .maybe("cache-size", source.metadata_cache_bytes.filter(|b| *b > 0))
        }
        Some(ImageFormat::Qcow) => {
            let props = Props::driver("qcow");
            if encrypted { props.with("encrypt", json!({"format": "aes", "key-secret": secret})) } else { props }
        }
        None | Some(ImageFormat::Raw) if encrypted => Props::driver("luks").with("key-secret", secret),
        None | Some(ImageFormat::Raw | ImageFormat::Iso) => Props::driver("raw"),
        Some(ImageFormat::Fat) => Props::driver("raw"),
        Some(ImageFormat::Vhd) => Props::driver("vhdx"),
        Some(ImageFormat::Ploop) => Props::driver("parallels"),
        Some(other) => Props::driver(other.to_string()),
    }
}

/// Driver and place of the bytes.
fn location(source: &StorageSource, access: Access) -> Result<Props> {
    let path = || source.path.clone().unwrap_or_default();
    let aio = match access.io {
        Some(DiskIo::Native) => Some("native"),
        Some(DiskIo::Threads) => Some("threads"),
        Some(DiskIo::IoUring) => Some("io_uring"),
        _ => None,
    };
    let pr = source.reservations.as_ref().map(|r| {
        if r.managed == Some(true) {
            "pr-helper0".to_owned()
        } else {
            format!("pr-helper-libvirt-{}-storage", source.index)
        }
    });
    Ok(match source.kind {
        SourceKind::File => Props::driver("file").with("filename", path()).maybe("aio", aio).maybe("pr-manager", pr),
        SourceKind::Block => {
            Props::driver("host_device").with("filename", path()).maybe("aio", aio).maybe("pr-manager", pr)
        }
        SourceKind::Dir if !access.readonly => {
            return Err(Error::new(
                Domain::Qemu,
                Code::ConfigUnsupported,
                "virtual FAT storage can't be accessed in read-write mode",
            ));
        }
        SourceKind::Dir => {
            Props::driver("vvfat").with("dir", path()).with("floppy", access.floppy).with("rw", !access.readonly)
        }
        SourceKind::Nvme => match &source.nvme {
            Some(nvme) => Props::driver("nvme").with("device", nvme.address.text()).with("namespace", nvme.namespace),
            None => return Err(missing("nvme source has no address")),
        },
        SourceKind::VhostVdpa => Props::driver("virtio-blk-vhost-vdpa").with("path", "/dev/fdset/0"),
        SourceKind::Network => network(source)?,
        SourceKind::None | SourceKind::Volume | SourceKind::VhostUser => {
            return Err(missing("disk source cannot be opened as a block node"));
        }
    })
}

fn missing(detail: &str) -> Error {
    Error::new(Domain::Qemu, Code::InternalError, detail)
}

fn default_port(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Nbd => 10809,
        Protocol::Gluster => 24007,
        Protocol::Iscsi => 3260,
        Protocol::Http => 80,
        Protocol::Https => 443,
        Protocol::Ftp => 21,
        Protocol::Ftps => 990,
        Protocol::Tftp => 69,
        Protocol::Ssh => 22,
        Protocol::Sheepdog => 7000,
        _ => 0,
    }
}

/// A server as QEMU's `SocketAddress`.
fn server(host: &NetworkHost, protocol: Protocol) -> Props {
    if host.transport == Transport::Unix {
        return Props::default().with("type", "unix").with("path", host.socket.clone().unwrap_or_default());
    }
    Props::default()
        .with("type", "inet")
        .with("host", host.name.clone().unwrap_or_default())
        .with("port", host.port.unwrap_or(default_port(protocol)).to_string())
}

fn network(source: &StorageSource) -> Result<Props> {
    let Some(protocol) = source.protocol else { return Err(missing("missing network protocol")) };
    let path = source.path.clone().unwrap_or_default();
    let first = || source.hosts.first().ok_or_else(|| missing("missing network host"));
    let prefix = format!("libvirt-{}-storage", source.index);
    Ok(match protocol {
        Protocol::Nbd => Props::driver("nbd")
            .with("server", server(first()?, protocol))
            .maybe("export", source.path.clone())
            .maybe("tls-creds", (source.tls == Some(true)).then(|| format!("obj{prefix}_tls0")))
            .maybe("tls-hostname", source.tls_hostname.clone())
            .maybe("reconnect-delay", source.reconnect_delay.filter(|d| *d > 0)),
        Protocol::Gluster => {
            let (volume, image) = path.split_once('/').unwrap_or((&path, ""));
            let servers: Vec<Value> = source.hosts.iter().map(|h| server(h, protocol).into()).collect();
            Props::driver("gluster").with("volume", volume).with("path", image).with("server", servers).with("debug", 4)
        }
        Protocol::Http | Protocol::Https | Protocol::Ftp | Protocol::Ftps | Protocol::Tftp => {
            url(source, protocol, &prefix)?
        }
        Protocol::Nfs => {
            let host = first()?;
            let place = Props::default().with("host", host.name.clone().unwrap_or_default()).with("type", "inet");
            let number = |id: &Option<String>| id.as_ref().and_then(|i| i.trim_start_matches('+').parse::<i64>().ok());
            Props::driver("nfs")
                .with("server", place)
                .with("path", if path.starts_with('/') { path } else { format!("/{path}") })
                .maybe("user", number(&source.nfs_user))
                .maybe("group", number(&source.nfs_group))
        }
        Protocol::Ssh => {
            let host = first()?;
            let place = Props::default()
                .with("host", host.name.clone().unwrap_or_default())
                .with("port", host.port.unwrap_or(22).to_string());
            let user = source.ssh.username.clone().or_else(|| source.auth.as_ref().map(|a| a.username.clone()));
            Props::driver("ssh").with("path", path).with("server", place).maybe("user", user)
        }
        Protocol::Rbd => rbd(source, &path),
        Protocol::Iscsi => iscsi(source, &path, first()?),
        Protocol::Sheepdog => Props::driver("sheepdog").with("server", server(first()?, protocol)).with("vdi", path),
        Protocol::Vxhs => return Err(missing("VxHS protocol is not supported with this QEMU binary")),
    })
}

fn url(source: &StorageSource, protocol: Protocol, prefix: &str) -> Result<Props> {
    let host = source.hosts.first().ok_or_else(|| missing("missing network host"))?;
    let name = super::escape::host(host.name.as_deref().unwrap_or("")).into_owned();
    let port = host.port.unwrap_or(default_port(protocol));
    let path = source.path.as_deref().unwrap_or("").trim_start_matches('/');
    let query = source.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
    Ok(Props::driver(protocol.to_string())
        .with("url", format!("{protocol}://{name}:{port}/{path}{query}"))
        .maybe("username", source.auth.as_ref().map(|a| a.username.clone()))
        .maybe("password-secret", source.auth.as_ref().map(|_| format!("{prefix}-auth-secret0")))
        .maybe("sslverify", source.ssl_verify)
        .maybe("cookie-secret", (!source.cookies.is_empty()).then(|| format!("{prefix}-httpcookie-secret0")))
        .maybe("timeout", source.timeout)
        .maybe("readahead", source.readahead))
}

fn rbd(source: &StorageSource, path: &str) -> Props {
    let (pool, image) = path.split_once('/').unwrap_or(("rbd", path));
    let servers: Vec<Value> = source
        .hosts
        .iter()
        .map(|h| {
            Props::default()
                .with("host", h.name.clone().unwrap_or_default())
                .with("port", h.port.unwrap_or(0).to_string())
                .into()
        })
        .collect();
    Props::driver("rbd")
        .with("pool", pool)
        .with("image", image)
        .maybe("snapshot", source.snapshot.clone())
        .maybe("conf", source.config_file.clone())
        .maybe("server", (!servers.is_empty()).then_some(servers))
        .maybe("user", source.auth.as_ref().map(|a| a.username.clone()))
        .maybe("auth-client-required", source.auth.as_ref().map(|_| json!(["cephx", "none"])))
        .maybe("key-secret", source.auth.as_ref().map(|_| format!("libvirt-{}-storage-auth-secret0", source.index)))
}

fn iscsi(source: &StorageSource, path: &str, host: &NetworkHost) -> Props {
    let (target, lun) = path.split_once('/').unwrap_or((path, "0"));
    let name = super::escape::host(host.name.as_deref().unwrap_or("")).into_owned();
    let portal = format!("{name}:{}", host.port.unwrap_or(3260));
    Props::driver("iscsi")
        .with("portal", portal)
        .with("target", target)
        .with("lun", lun.parse::<u64>().unwrap_or(0))
        .with("transport", if host.transport == Transport::Rdma { "iser" } else { "tcp" })
        .maybe("user", source.auth.as_ref().map(|a| a.username.clone()))
        .maybe(
            "password-secret",
            source.auth.as_ref().map(|_| format!("libvirt-{}-storage-auth-secret0", source.index)),
        )
        .maybe("initiator-name", source.initiator_iqn.clone())
}

/// `-blockdev` of a firmware image under a fixed name.
pub fn pflash(b: &mut Builder, source: &StorageSource, prefix: &str, readonly: bool, force_format: bool) -> Result<()> {
    let access = Access { readonly, ..Access::default() };
    for node in image(source, access, prefix, None, force_format)? {
        b.json("-blockdev", &node);
    }
    Ok(())
}

/// The old form of `-drive`, for SD cards.
pub fn legacy_drive(source: &StorageSource) -> Result<String> {
    fn flatten(text: &mut String, name: &str, value: &Value) {
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| flatten(text, &format!("{name}.{k}"), v)),
            Value::Array(list) => list.iter().enumerate().for_each(|(n, v)| flatten(text, &format!("{name}.{n}"), v)),
            Value::String(s) => text.push_str(&format!("{name}={},", super::escape::comma(s))),
            Value::Bool(on) => text.push_str(&format!("{name}={},", super::escape::on_off(*on))),
            other => text.push_str(&format!("{name}={other},")),
        }
    }
    let mut text = String::new();
    if matches!(source.kind, SourceKind::File | SourceKind::Block) {
        text.push_str(&format!("file={},", super::escape::comma(source.path.as_deref().unwrap_or(""))));
    } else {
        flatten(&mut text, "file", &location(source, Access::default())?.into());
    }
    text.push_str(&format!("format={},", source.format.unwrap_or(ImageFormat::Raw)));
    Ok(text)
}
