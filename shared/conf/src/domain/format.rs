//! Writes `<domain>`.

use xml::{Writer, format_uuid};

use super::DomainDef;
use super::device::filesystem::IdRange;
use super::device::throttle;
use super::vcpu::Iothread;
use crate::FormatFlags;

impl DomainDef {
    /// The document, as libvirt prints it.
    pub fn format(&self, flags: FormatFlags) -> String {
        let mut w = Writer::new();
        self.write(&mut w, flags);
        w.finish()
    }

    /// Writes the element, for documents that contain a domain.
    pub fn write(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("domain", |w| {
            w.attr("type", self.virt_type);
            w.attr_opt("id", self.id.filter(|id| *id >= 0 && !flags.inactive));
            if self.qemu.is_some() {
                w.attr("xmlns:qemu", super::qemu_namespace::URI);
            }
            self.write_identity(w);
            self.write_resources(w, flags);
            self.write_machine(w, flags);
            self.devices.format(w, flags);
            self.labels.iter().for_each(|l| l.format(w, flags.inactive));
            if let Some(wrap) = &self.keywrap {
                wrap.format(w);
            }
            if let Some(security) = &self.launch_security {
                security.format(w);
            }
            if let Some(qemu) = &self.qemu {
                qemu.format(w);
            }
        });
    }

    fn write_identity(&self, w: &mut Writer) {
        w.leaf("name", &self.name);
        w.leaf("uuid", format_uuid(&self.uuid));
        w.leaf_opt("hwuuid", self.hwuuid.map(|u| format_uuid(&u)));
        w.leaf_opt("genid", self.genid.map(|(u, _)| format_uuid(&u)));
        w.leaf_opt("title", self.title.as_deref());
        w.leaf_opt("description", self.description.as_deref());
        w.element_if_any("metadata", |w| {
            for element in &self.metadata {
                let text = element.format(w.depth());
                w.raw_line(&text);
            }
        });
    }

    fn write_resources(&self, w: &mut Writer, flags: FormatFlags) {
        self.memory.format(w);
        self.blkio.format(w);
        self.mem_tune.format(w);
        self.memory_backing.format(w);
        self.vcpu.format(w);
        Iothread::format_all(w, &self.iothreads);
        if let Some(default) = &self.default_iothread {
            default.format(w);
        }
        throttle::format_groups(w, &self.throttle_groups);
        self.cputune.format(w, !flags.inactive);
        self.numatune.format(w);
        if let Some(resource) = &self.resource {
            resource.format(w);
        }
    }

    fn write_machine(&self, w: &mut Writer, flags: FormatFlags) {
        self.sysinfo.iter().for_each(|s| s.format(w));
        w.leaf_opt("bootloader", self.bootloader.as_deref());
        w.leaf_opt("bootloader_args", self.bootloader_args.as_deref());
        self.os.format(w, flags);
        IdRange::format_all(w, &self.idmap.uid, &self.idmap.gid);
        self.features.format(w);
        let numa = |w: &mut Writer| self.numa.format(w, flags);
        match &self.cpu {
            Some(cpu) => cpu.format(w, numa),
            None => w.element_if_any("cpu", numa),
        }
        self.clock.format(w, flags);
        self.lifecycle.format(w);
        self.pm.format(w);
        w.element_if_any("perf", |w| {
            for (name, enabled) in &self.perf {
                w.element("event", |w| {
                    w.attr("name", name);
                    w.yes_no("enabled", Some(*enabled));
                });
            }
        });
    }
}
