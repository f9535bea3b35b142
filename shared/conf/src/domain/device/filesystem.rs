//! Host directories shared with the guest.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::info::Allow;
use super::info::{DeviceInfo, VirtioModel, VirtioOptions};
use super::source::VolumeSource;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{unsupported, xml_error};

text_enum! {
    /// Kind of source.
    pub enum FilesystemKind {
        Mount = "mount", Block = "block", File = "file", Template = "template", Ram = "ram", Bind = "bind", Volume = "volume",
    }
}
text_enum! {
    /// Driver.
    pub enum FilesystemDriver { Path = "path", Handle = "handle", Loop = "loop", Nbd = "nbd", Ploop = "ploop", VirtioFs = "virtiofs", Mtp = "mtp" }
}
text_enum! {
    /// How owners and modes are kept.
    pub enum AccessMode { Passthrough = "passthrough", Mapped = "mapped", Squash = "squash" }
}
text_enum! {
    /// Several devices below one export.
    pub enum Multidevs { Default = "default", Remap = "remap", Forbid = "forbid", Warn = "warn" }
}
text_enum! {
    /// virtiofsd's sandbox.
    pub enum Sandbox { Namespace = "namespace", Chroot = "chroot" }
}
text_enum! {
    /// virtiofsd's cache mode.
    pub enum VirtiofsCache { None = "none", Always = "always" }
}

/// `<binary>` of virtiofs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtiofsBinary {
    pub path: Option<String>,
    pub xattr: Option<bool>,
    pub cache: Option<VirtiofsCache>,
    pub posix_lock: Option<bool>,
    pub flock: Option<bool>,
    pub sandbox: Option<Sandbox>,
    pub open_files: Option<u64>,
    pub thread_pool: Option<i32>,
}

/// `<idmap>` range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdRange {
    pub start: u32,
    pub target: u32,
    pub count: u32,
}

/// `<filesystem>`
#[derive(Clone, Debug, PartialEq)]
pub struct FilesystemDef {
    pub kind: FilesystemKind,
    pub driver: Option<FilesystemDriver>,
    pub format: Option<super::source::ImageFormat>,
    pub write_policy_immediate: bool,
    pub access_mode: Option<AccessMode>,
    pub model: Option<VirtioModel>,
    pub multidevs: Option<Multidevs>,
    pub fmode: Option<u32>,
    pub dmode: Option<u32>,
    pub queue_size: Option<u64>,
    pub source: Option<String>,
    /// Size of a ram source in bytes.
    pub usage_bytes: Option<u64>,
    pub volume: Option<super::source::VolumeSource>,
    /// Socket of an already running virtiofsd.
    pub socket: Option<String>,
    pub target: String,
    pub readonly: bool,
    pub binary: VirtiofsBinary,
    pub uid_map: Vec<IdRange>,
    pub gid_map: Vec<IdRange>,
    pub space_hard_limit: Option<u64>,
    pub space_soft_limit: Option<u64>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}

impl IdRange {
    /// Reads all children `name` of `<idmap>`, sorted by start; the first must map 0.
    pub fn parse_all(idmap: Option<Node<'_>>, name: &str) -> Result<Vec<Self>> {
        let Some(idmap) = idmap else { return Ok(Vec::new()) };
        let need = |node: Node<'_>, attr: &str| {
            node.u32(attr)?.ok_or_else(|| xml_error("invalid idmap start/target/count settings"))
        };
        let mut ranges: Vec<Self> = Vec::new();
        for node in idmap.children(name) {
            ranges.push(Self {
                start: need(node, "start")?,
                target: need(node, "target")?,
                count: need(node, "count")?,
            });
        }
        ranges.sort_by_key(|r| r.start);
        if ranges.first().is_some_and(|r| r.start != 0) {
            return Err(xml_error("You must map the root user of container"));
        }
        Ok(ranges)
    }

    /// Writes `<idmap>` when there is a range.
    pub fn format_all(w: &mut Writer, uid: &[Self], gid: &[Self]) {
        w.element_if_any("idmap", |w| {
            for (name, ranges) in [("uid", uid), ("gid", gid)] {
                for range in ranges {
                    w.element(name, |w| {
                        w.attr("start", range.start);
                        w.attr("target", range.target);
                        w.attr("count", range.count);
                    });
                }
            }
        });
    }
}

fn octal(node: Node<'_>, name: &str) -> Result<Option<u32>> {
    let Some(text) = node.attr(name) else { return Ok(None) };
    let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o777);
    mode.map(Some).ok_or_else(|| xml_error(format!("invalid {name}: '{text}'")))
}

impl VirtiofsBinary {
    fn parse(node: Node<'_>) -> Result<Self> {
        let child = |name: &str| node.child(name);
        Ok(Self {
            path: node.non_empty("path"),
            xattr: node.on_off("xattr")?,
            cache: child("cache").map(|c| c.word("mode")).transpose()?.flatten(),
            posix_lock: child("lock").map(|l| l.on_off("posix")).transpose()?.flatten(),
            flock: child("lock").map(|l| l.on_off("flock")).transpose()?.flatten(),
            sandbox: child("sandbox").map(|s| s.word("mode")).transpose()?.flatten(),
            open_files: child("openfiles").map(|o| o.u64_nonzero("max")).transpose()?.flatten(),
            thread_pool: child("thread_pool").map(|t| t.i32_non_negative("size")).transpose()?.flatten(),
        })
    }

    fn format(&self, w: &mut Writer) {
        w.element_if_any("binary", |w| {
            w.attr_opt("path", self.path.as_deref());
            w.on_off("xattr", self.xattr);
            w.element_if_any("cache", |w| w.attr_opt("mode", self.cache));
            w.element_if_any("sandbox", |w| w.attr_opt("mode", self.sandbox));
            w.element_if_any("lock", |w| {
                w.on_off("posix", self.posix_lock);
                w.on_off("flock", self.flock);
            });
            w.element_if_any("thread_pool", |w| w.attr_opt("size", self.thread_pool));
            w.element_if_any("openfiles", |w| w.attr_opt("max", self.open_files));
        });
    }
}

impl FilesystemDef {
    /// Reads `<filesystem>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let kind = node.word("type")?.unwrap_or(FilesystemKind::Mount);
        let driver = node.child("driver");
        let source = node.child("source");
        let attr = |name: &str| source.and_then(|s| s.non_empty(name));
        let volume = match kind {
            FilesystemKind::Volume => {
                attr("pool").zip(attr("volume")).map(|(pool, volume)| VolumeSource { pool, volume, mode: None })
            }
            _ => None,
        };
        let usage_bytes = match source.filter(|_| kind == FilesystemKind::Ram) {
            None => None,
            Some(s) => s.u64("usage")?.map(|n| crate::size::scaled(n, s.attr("units"), 1024, u64::MAX)).transpose()?,
        };
        let path = match kind {
            FilesystemKind::Mount | FilesystemKind::Bind => attr("dir"),
            FilesystemKind::File => attr("file"),
            FilesystemKind::Block => attr("dev"),
            FilesystemKind::Template => attr("name"),
            FilesystemKind::Ram | FilesystemKind::Volume => None,
        };
        let socket = attr("socket");
        if path.is_none() && socket.is_none() && usage_bytes.is_none() && volume.is_none() {
            return Err(error::Error::new(
                error::Domain::Domain,
                error::Code::NoSource,
                node.child("target").and_then(|t| t.string("dir")).unwrap_or_default(),
            ));
        }
        let target = node.child("target").and_then(|t| t.non_empty("dir")).ok_or_else(|| {
            error::Error::new(error::Domain::Domain, error::Code::NoTarget, path.clone().unwrap_or_default())
        })?;
        let write_policy = driver.and_then(|d| d.attr("wrpolicy"));
        if write_policy.is_some_and(|p| p != "immediate") {
            return Err(unsupported(format!("unknown filesystem write policy '{}'", write_policy.unwrap_or_default())));
        }
        let limit = |name: &str| node.child(name).map(crate::size::memory_kib).transpose();
        let idmap = node.child("idmap");
        Ok(Self {
            kind,
            driver: driver
                .map(|d| d.word("type"))
                .transpose()?
                .flatten()
                .filter(|d| *d != FilesystemDriver::Path || write_policy.is_some()),
            format: driver.map(|d| d.word("format")).transpose()?.flatten(),
            write_policy_immediate: write_policy.is_some(),
            access_mode: node.word("accessmode")?,
            model: node.word("model")?,
            multidevs: node.word("multidevs")?,
            fmode: octal(node, "fmode")?,
            dmode: octal(node, "dmode")?,
            queue_size: driver.map(|d| d.u64("queue")).transpose()?.flatten(),
            source: path,
            usage_bytes,
            volume,
            socket,
            target,
            readonly: node.child("readonly").is_some(),
            binary: node.child("binary").map(VirtiofsBinary::parse).transpose()?.unwrap_or_default(),
            uid_map: IdRange::parse_all(idmap, "uid")?,
            gid_map: IdRange::parse_all(idmap, "gid")?,
            space_hard_limit: limit("space_hard_limit")?,
            space_soft_limit: limit("space_soft_limit")?,
            virtio: VirtioOptions::parse(driver)?,
            info: DeviceInfo::parse(node, ctx, Allow { boot: true, rom: false })?,
        })
    }

    /// Writes `<filesystem>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("filesystem", |w| {
            w.attr("type", self.kind);
            w.attr_opt("accessmode", self.access_mode);
            w.attr_opt("multidevs", self.multidevs.filter(|m| *m != Multidevs::Default));
            w.attr_opt("model", self.model);
            w.attr_opt("fmode", self.fmode.filter(|m| *m > 0).map(|m| format!("{m:04o}")));
            w.attr_opt("dmode", self.dmode.filter(|m| *m > 0).map(|m| format!("{m:04o}")));
            w.element_if_any("driver", |w| {
                w.attr_opt("type", self.driver);
                w.attr_opt("format", self.format);
                if self.write_policy_immediate {
                    w.attr("wrpolicy", "immediate");
                }
                w.attr_opt("queue", self.queue_size.filter(|q| *q > 0));
                self.virtio.format(w);
            });
            self.binary.format(w);
            IdRange::format_all(w, &self.uid_map, &self.gid_map);
            w.element_if_any("source", |w| {
                let name = match self.kind {
                    FilesystemKind::File => "file",
                    FilesystemKind::Block => "dev",
                    FilesystemKind::Template => "name",
                    _ => "dir",
                };
                w.attr_opt(name, self.source.as_deref());
                if let Some(bytes) = self.usage_bytes {
                    w.attr("usage", bytes / 1024);
                    w.attr("units", "KiB");
                }
                w.attr_opt("pool", self.volume.as_ref().map(|v| &v.pool));
                w.attr_opt("volume", self.volume.as_ref().map(|v| &v.volume));
                w.attr_opt("socket", self.socket.as_deref());
            });
            w.element("target", |w| w.attr("dir", &self.target));
            if self.readonly {
                w.empty("readonly");
            }
            for (name, limit) in
                [("space_hard_limit", self.space_hard_limit), ("space_soft_limit", self.space_soft_limit)]
            {
                if let Some(kib) = limit.filter(|k| *k > 0) {
                    w.leaf_with(name, |w| w.attr("unit", "bytes"), kib * 1024);
                }
            }
            self.info.format(w, flags);
        });
    }
}
