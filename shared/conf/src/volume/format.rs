//! Printing a `<volume>` document.

use xml::Writer;

use super::{Timestamp, Timestamps, VolumeBacking, VolumeDef, VolumeTarget};

impl VolumeDef {
    /// The document in libvirt's form.
    pub fn format(&self) -> String {
        let mut w = Writer::new();
        w.element("volume", |w| {
            w.attr("type", self.kind);
            w.leaf("name", &self.name);
            w.leaf("key", self.key.as_deref().unwrap_or("(null)"));
            let bytes = |w: &mut Writer| w.attr("unit", "bytes");
            w.leaf_with("capacity", bytes, self.capacity);
            w.leaf_with("allocation", bytes, self.allocation);
            if self.physical != 0 {
                w.leaf_with("physical", bytes, self.physical);
            }
            self.target.write(w);
            if let Some(backing) = &self.backing {
                backing.write(w);
            }
        });
        w.finish()
    }
}

impl VolumeTarget {
    fn write(&self, w: &mut Writer) {
        w.element("target", |w| {
            w.leaf_opt("path", self.path.as_deref());
            if let Some(format) = self.format {
                w.element("format", |w| w.attr("type", format));
            }
            self.permissions.write(w);
            if let Some(timestamps) = &self.timestamps {
                timestamps.write(w);
            }
            if let Some(encryption) = &self.encryption {
                encryption.write(w);
            }
            w.leaf_opt("compat", self.compat.as_deref());
            if self.nocow {
                w.empty("nocow");
            }
            if let Some(size) = self.cluster_size {
                w.leaf_with("clusterSize", |w| w.attr("unit", "B"), size);
            }
            if let Some(features) = &self.features {
                w.element("features", |w| {
                    for feature in features {
                        w.empty(xml::Vocabulary::word(*feature));
                    }
                });
            }
        });
    }
}

impl VolumeBacking {
    fn write(&self, w: &mut Writer) {
        w.element("backingStore", |w| {
            w.leaf_opt("path", self.path.as_deref());
            if let Some(format) = self.format {
                w.element("format", |w| w.attr("type", format));
            }
            self.permissions.write(w);
            if let Some(timestamps) = &self.timestamps {
                timestamps.write(w);
            }
        });
    }
}

impl Timestamps {
    fn write(&self, w: &mut Writer) {
        w.element("timestamps", |w| {
            w.leaf("atime", self.access.text());
            w.leaf("mtime", self.modify.text());
            w.leaf("ctime", self.change.text());
            // libvirt 11.3.0 has the element but never a birth time
            w.leaf("btime", 0);
        });
    }
}

impl Timestamp {
    fn text(self) -> String {
        match self.nanoseconds {
            0 => self.seconds.to_string(),
            n => format!("{}.{n:09}", self.seconds),
        }
    }
}
