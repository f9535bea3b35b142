//! `<storagepoolCapabilities>`: which types of pools there are and what they can hold.

use xml::{Vocabulary, Writer};

use super::PoolType;

/// Formats of volumes that are files.
const FILES: &[&str] = &[
    "none", "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop", "cow", "qcow", "qcow2",
    "qed", "vmdk",
];
/// Types of partitions.
const PARTITIONS: &[&str] = &["none", "linux", "fat16", "fat32", "linux-swap", "linux-lvm", "linux-raid", "extended"];

/// The document for a host on which `supported` types can be started.
pub fn capabilities(supported: impl Fn(PoolType) -> bool) -> String {
    let mut w = Writer::new();
    w.element("storagepoolCapabilities", |w| {
        for (kind, _) in PoolType::WORDS {
            w.element_split("pool", |w| {
                w.attr("type", kind);
                w.yes_no("supported", Some(supported(*kind)));
                if let Some(formats) = kind.source_formats() {
                    options(w, "poolOptions", formats.default, "sourceFormatType", formats.words);
                }
                match kind {
                    PoolType::Dir | PoolType::Fs | PoolType::Netfs | PoolType::Gluster | PoolType::Vstorage => {
                        options(w, "volOptions", "raw", "targetFormatType", FILES);
                    }
                    PoolType::Disk => options(w, "volOptions", "none", "targetFormatType", PARTITIONS),
                    PoolType::Rbd => options(w, "volOptions", "raw", "targetFormatType", &[]),
                    _ => {}
                }
            });
        }
    });
    w.finish()
}

fn options(w: &mut Writer, name: &str, default: &str, list: &str, words: &[&str]) {
    w.element(name, |w| {
        w.element("defaultFormat", |w| w.attr("type", default));
        w.element_split("enum", |w| {
            w.attr("name", list);
            for word in words {
                w.leaf("value", word);
            }
        });
    });
}
