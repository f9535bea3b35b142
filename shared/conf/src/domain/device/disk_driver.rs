//! How the host drives a disk: caching, threads, and the destination of a block job.

use error::Result;
use xml::{Node, Vocabulary, Writer, invalid_value};

use super::disk::{Cache, DetectZeroes, Discard, DiskDriver, DiskIo, ErrorPolicy, IothreadMapping, Mirror, MirrorJob};
use super::info::VirtioOptions;
use super::source::{ImageFormat, SourceKind, StorageSource, format_metadata_cache};
use crate::FormatFlags;

/// Reads `<iothreads><iothread id=><queue id=>`.
pub(super) fn parse_iothread_mapping(driver: Node<'_>) -> Result<Vec<IothreadMapping>> {
    let Some(list) = driver.child("iothreads") else { return Ok(Vec::new()) };
    let threads: Result<Vec<_>> = list
        .children("iothread")
        .map(|thread| {
            let id = thread.u32_nonzero("id")?.ok_or_else(|| xml::missing_attribute(thread, "id"))?;
            let queues: Result<Vec<u32>> =
                thread.children("queue").map(|q| q.u32("id")?.ok_or_else(|| xml::missing_attribute(q, "id"))).collect();
            Ok(IothreadMapping { id, queues: queues? })
        })
        .collect();
    threads
}

/// Writes `<iothreads>`.
pub(super) fn format_iothread_mapping(w: &mut Writer, threads: &[IothreadMapping]) {
    w.element_if_any("iothreads", |w| {
        for thread in threads {
            w.element("iothread", |w| {
                w.attr("id", thread.id);
                for queue in &thread.queues {
                    w.element("queue", |w| w.attr("id", queue));
                }
            });
        }
    });
}

impl DiskDriver {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        Ok(Self {
            name: node.string("name"),
            cache: node.word("cache")?.filter(|c| *c != Cache::Default),
            error_policy: node.word("error_policy")?.filter(|p| *p != ErrorPolicy::Default),
            rerror_policy: match node.word("rerror_policy")? {
                Some(ErrorPolicy::Enospace) => return Err(invalid_value(node, "rerror_policy", "enospace", "")),
                policy => policy.filter(|p| *p != ErrorPolicy::Default),
            },
            io: node.word("io")?.filter(|i| *i != DiskIo::Default),
            ioeventfd: node.on_off("ioeventfd")?,
            event_idx: node.on_off("event_idx")?,
            copy_on_read: node.on_off("copy_on_read")?,
            discard: node.word("discard")?.filter(|d| *d != Discard::Default),
            discard_no_unref: node.on_off("discard_no_unref")?,
            detect_zeroes: node.word("detect_zeroes")?.filter(|d| *d != DetectZeroes::Default),
            iothread: node.u32_nonzero("iothread")?,
            iothreads: parse_iothread_mapping(node)?,
            queues: node.u32_nonzero("queues")?,
            queue_size: node.u32("queue_size")?,
            virtio: VirtioOptions::parse(Some(node))?,
            statistics: Vec::new(),
        })
    }

    pub(super) fn format(&self, w: &mut Writer, source: &StorageSource) {
        w.element_if_any("driver", |w| {
            w.attr_opt("name", self.name.as_deref());
            w.attr_opt("type", source.format.filter(|f| *f != ImageFormat::None));
            w.attr_opt("cache", self.cache);
            w.attr_opt("error_policy", self.error_policy);
            w.attr_opt("rerror_policy", self.rerror_policy);
            w.attr_opt("io", self.io);
            w.on_off("ioeventfd", self.ioeventfd);
            w.on_off("event_idx", self.event_idx);
            w.on_off("copy_on_read", self.copy_on_read);
            w.attr_opt("discard", self.discard);
            w.attr_opt("iothread", self.iothread);
            w.attr_opt("detect_zeroes", self.detect_zeroes);
            w.attr_opt("queues", self.queues);
            w.attr_opt("queue_size", self.queue_size.filter(|q| *q > 0));
            w.on_off("discard_no_unref", self.discard_no_unref);
            self.virtio.format(w);
            format_metadata_cache(w, source.metadata_cache_bytes);
            format_iothread_mapping(w, &self.iothreads);
            if !self.statistics.is_empty() {
                w.element("statistics", |w| {
                    self.statistics.iter().for_each(|s| w.element("statistic", |w| w.attr("interval", s)));
                });
            }
        });
    }
}

pub(super) fn parse_mirror(node: Node<'_>) -> Result<Mirror> {
    let job = node.word("job")?.unwrap_or(MirrorJob::Copy);
    let kind = node.word("type")?.unwrap_or(SourceKind::File);
    let mut source = StorageSource::parse(kind, node.child("source"))?;
    let format = node.child("format").and_then(|f| f.attr("type")).or(node.attr("format"));
    source.format = format.and_then(ImageFormat::from_word);
    source.backing = StorageSource::parse_backing(node)?;
    Ok(Mirror { job, state: node.word("ready")?, source })
}

impl Mirror {
    pub(super) fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("mirror", |w| {
            w.attr("type", self.source.kind);
            // the old form of a file destination is still printed for old clients
            if self.source.kind == SourceKind::File && self.job == MirrorJob::Copy {
                w.attr_opt("file", self.source.path.as_deref());
                w.attr_opt("format", self.source.format);
            }
            w.attr("job", self.job);
            w.attr_opt("ready", self.state);
            w.element_if_any("format", |w| w.attr_opt("type", self.source.format));
            self.source.format(w, flags, |_| {});
            self.source.format_backing(w, flags);
        });
    }
}
