//! The `<capabilities>` document and the node's figures.

use super::cache::CapabilityCache;
use super::emulator::{Capability, Machine, VirtType};
use super::host::{CacheBank, Cell, HostFacts};
use crate::cpu::{Purpose, decode};
use std::sync::Arc;
use xml::Writer;

/// Guest architectures in libvirt's order; one is offered when its emulator is installed.
const ARCHITECTURES: &[(&str, u32)] = &[
    ("alpha", 64),
    ("armv6l", 32),
    ("armv7l", 32),
    ("aarch64", 64),
    ("cris", 32),
    ("i686", 32),
    ("lm32", 32),
    ("loongarch64", 64),
    ("m68k", 32),
    ("microblaze", 32),
    ("microblazeel", 32),
    ("mips", 32),
    ("mipsel", 32),
    ("mips64", 64),
    ("mips64el", 64),
    ("or32", 32),
    ("parisc", 32),
    ("ppc", 32),
    ("ppc64", 64),
    ("ppc64le", 64),
    ("riscv32", 32),
    ("riscv64", 64),
    ("s390x", 64),
    ("sh4", 64),
    ("sh4eb", 64),
    ("sparc", 32),
    ("sparc64", 64),
    ("unicore32", 32),
    ("x86_64", 64),
    ("xtensa", 32),
    ("xtensaeb", 32),
];

/// An architecture that guests may have, and the emulator that serves it.
#[derive(Debug, Clone)]
pub struct GuestArch {
    /// libvirt's name.
    pub arch: &'static str,
    /// Bits of a machine word.
    pub wordsize: u32,
    /// What its emulator can do.
    pub emulator: Arc<Capability>,
}

/// Every architecture with an installed emulator. Emulators that are not known yet are probed side by side; one that
/// does not answer is logged and left out.
pub async fn guest_architectures(cache: &CapabilityCache) -> Vec<GuestArch> {
    let asked = ARCHITECTURES.iter().filter(|(arch, _)| cache.emulator_for(arch).is_some()).map(
        |&(arch, wordsize)| async move {
            match cache.for_arch(arch).await {
                Ok(emulator) => Some(GuestArch { arch, wordsize, emulator }),
                Err(error) => {
                    tracing::warn!(arch, %error, "emulator left out of the capabilities");
                    None
                }
            }
        },
    );
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

/// The document of `virConnectGetCapabilities`; `base_label` is uid and gid that guests run as.
pub fn capabilities(host: &HostFacts, guests: &[GuestArch], base_label: (u32, u32)) -> String {
    let mut w = Writer::new();
    w.element("capabilities", |w| {
        blank_line(w);
        w.element("host", |w| host_element(w, host, base_label));
        for guest in guests {
            blank_line(w);
            guest_element(w, guest);
        }
        blank_line(w);
    });
    // Indentation of the empty lines between the parts, which libvirt does not have.
    let text = w.finish();
    text.replace("\n  \n", "\n\n")
}

fn blank_line(w: &mut Writer) {
    w.raw_line("");
}

fn host_element(w: &mut Writer, host: &HostFacts, (uid, gid): (u32, u32)) {
    w.leaf("uuid", xml::format_uuid(&host.uuid));
    w.element("cpu", |w| host_cpu(w, host));
    if host.sleep.is_empty() {
        w.empty("power_management");
    } else {
        w.element("power_management", |w| host.sleep.iter().for_each(|state| w.empty(state)));
    }
    w.element("iommu", |w| w.attr("support", if host.iommu { "yes" } else { "no" }));
    w.element("migration_features", |w| {
        w.empty("live");
        w.element("uri_transports", |w| {
            w.leaf("uri_transport", "tcp");
            w.leaf("uri_transport", "rdma");
        });
    });
    w.element("topology", |w| {
        w.element("cells", |w| {
            w.attr("num", host.cells.len());
            host.cells.iter().for_each(|cell| cell_element(w, cell));
        });
    });
    if !host.caches.is_empty() {
        w.element("cache", |w| host.caches.iter().for_each(|bank| bank_element(w, bank)));
    }
    w.element("secmodel", |w| {
        w.leaf("model", "none");
        w.leaf("doi", "0");
    });
    w.element("secmodel", |w| {
        w.leaf("model", "dac");
        w.leaf("doi", "0");
        for virt in ["kvm", "qemu"] {
            w.leaf_with("baselabel", |w| w.attr("type", virt), format!("+{uid}:+{gid}"));
        }
    });
}

fn host_cpu(w: &mut Writer, host: &HostFacts) {
    let cpu = &host.cpu;
    w.leaf("arch", &host.arch);
    let (family, model, stepping) = cpu.signature;
    let decoded = decode(&cpu.features, cpu.vendor.as_deref(), (family, model), Purpose::Host, |_| true);
    if let Some(decoded) = &decoded {
        w.leaf("model", decoded.model);
        w.leaf_opt("vendor", cpu.vendor.as_deref());
        if let Some(microcode) = host.microcode {
            w.element("microcode", |w| w.attr("version", microcode));
        }
        w.element("signature", |w| {
            w.attr("family", family);
            w.attr("model", model);
            w.attr("stepping", stepping);
        });
    }
    if let Some((frequency, scaling)) = cpu.tsc {
        w.element("counter", |w| {
            w.attr("name", "tsc");
            w.attr("frequency", frequency);
            w.attr("scaling", if scaling { "yes" } else { "no" });
        });
    }
    let (sockets, cores, threads) = host.topology();
    w.element("topology", |w| {
        w.attr("sockets", sockets);
        w.attr("dies", 1);
        w.attr("clusters", 1);
        w.attr("cores", cores);
        w.attr("threads", threads);
    });
    if cpu.physical_bits > 0 {
        w.element("maxphysaddr", |w| {
            w.attr("mode", "emulate");
            w.attr("bits", cpu.physical_bits);
        });
    }
    for (name, _) in decoded.iter().flat_map(|decoded| &decoded.features) {
        w.element("feature", |w| w.attr("name", name));
    }
    for size in &host.page_sizes {
        w.element("pages", |w| {
            w.attr("unit", "KiB");
            w.attr("size", size);
        });
    }
}

fn cell_element(w: &mut Writer, cell: &Cell) {
    w.element("cell", |w| {
        w.attr("id", cell.id);
        w.leaf_with("memory", |w| w.attr("unit", "KiB"), cell.memory_kib);
        for (size, count) in &cell.pages {
            w.leaf_with(
                "pages",
                |w| {
                    w.attr("unit", "KiB");
                    w.attr("size", size);
                },
                count,
            );
        }
        w.element_if_any("distances", |w| {
            for (id, value) in &cell.distances {
                w.element("sibling", |w| {
                    w.attr("id", id);
                    w.attr("value", value);
                });
            }
        });
        w.element("cpus", |w| {
            w.attr("num", cell.cpus.len());
            for cpu in &cell.cpus {
                w.element("cpu", |w| {
                    w.attr("id", cpu.id);
                    w.attr("socket_id", cpu.socket);
                    w.attr("die_id", cpu.die);
                    w.attr("cluster_id", cpu.cluster);
                    w.attr("core_id", cpu.core);
                    w.attr("siblings", &cpu.siblings);
                });
            }
        });
    });
}

fn bank_element(w: &mut Writer, bank: &CacheBank) {
    let (size, unit) =
        if bank.size_kib.is_multiple_of(1024) { (bank.size_kib / 1024, "MiB") } else { (bank.size_kib, "KiB") };
    w.element("bank", |w| {
        w.attr("id", bank.id);
        w.attr("level", bank.level);
        w.attr("type", bank.kind);
        w.attr("size", size);
        w.attr("unit", unit);
        w.attr("cpus", &bank.cpus);
    });
}

fn guest_element(w: &mut Writer, guest: &GuestArch) {
    let emulator = &guest.emulator;
    let x86 = matches!(guest.arch, "i686" | "x86_64");
    w.element("guest", |w| {
        w.leaf("os_type", "hvm");
        w.element("arch", |w| {
            w.attr("name", guest.arch);
            w.leaf("wordsize", guest.wordsize);
            w.leaf("emulator", emulator.emulator.display());
            for machine in emulator.machines(VirtType::Tcg) {
                machine_elements(w, machine);
            }
            for virt in [VirtType::Tcg, VirtType::Kvm] {
                if emulator.accelerated(virt).is_some() {
                    w.element("domain", |w| w.attr("type", virt.name()));
                }
            }
        });
        w.element("features", |w| {
            if guest.arch == "i686" {
                w.empty("pae");
                w.empty("nonpae");
            }
            if x86 || guest.arch == "aarch64" {
                toggle(w, "acpi", "on", "yes");
            }
            if x86 {
                toggle(w, "apic", "on", "no");
            }
            w.empty("cpuselection");
            w.empty("deviceboot");
            toggle(w, "disksnapshot", "on", "no");
            w.empty("externalSnapshot");
        });
    });
}

fn toggle(w: &mut Writer, name: &str, default: &str, toggle: &str) {
    w.element(name, |w| {
        w.attr("default", default);
        w.attr("toggle", toggle);
    });
}

/// The versioned name, then the short one that stands for it.
fn machine_elements(w: &mut Writer, machine: &Machine) {
    let attributes = |w: &mut Writer, canonical: Option<&str>| {
        w.attr_opt("canonical", canonical);
        if machine.max_cpus > 0 {
            w.attr("maxCpus", machine.max_cpus);
        }
        if machine.deprecated {
            w.attr("deprecated", "yes");
        }
    };
    w.leaf_with("machine", |w| attributes(w, None), &machine.name);
    if let Some(alias) = &machine.alias {
        w.leaf_with("machine", |w| attributes(w, Some(&machine.name)), alias);
    }
}

/// The figures of `virNodeGetInfo`.
pub fn node_info(host: &HostFacts) -> protocol::remote::NodeGetInfoRet {
    let (sockets, cores, threads) = host.topology();
    let figure = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let mut model = [0_i8; 32];
    // The last place stays NUL: clients print the field as a C string.
    for (place, byte) in model.iter_mut().take(31).zip(host.arch.bytes()) {
        *place = byte.cast_signed();
    }
    // Where sockets, cores and threads do not multiply to the processors there are, libvirt tells them as the
    // cores of one socket.
    let online = host.cpus().count();
    let regular = host.cells.len() * sockets * cores * threads == online;
    let (nodes, sockets, cores, threads) =
        if regular { (host.cells.len(), sockets, cores, threads) } else { (1, 1, online, 1) };
    protocol::remote::NodeGetInfoRet {
        model,
        memory: host.memory_kib(),
        cpus: figure(online),
        mhz: i32::try_from(host.mhz).unwrap_or(i32::MAX),
        nodes: figure(nodes),
        sockets: figure(sockets),
        cores: figure(cores),
        threads: figure(threads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::host::Cpu;

    fn host(cpus: usize, siblings: &str) -> HostFacts {
        let cpu = |id| Cpu { id, core: i64::from(id), siblings: siblings.into(), ..Cpu::default() };
        let cell = Cell {
            memory_kib: 1024,
            pages: vec![(4, 256)],
            cpus: (0..cpus as u32).map(cpu).collect(),
            ..Cell::default()
        };
        HostFacts { arch: "x86_64".into(), cells: vec![cell], page_sizes: vec![4], ..HostFacts::default() }
    }

    #[test]
    fn node_figures_multiply_to_the_processors() {
        let info = node_info(&host(2, "0"));
        assert_eq!((info.cpus, info.nodes, info.sockets, info.cores, info.threads), (2, 1, 1, 2, 1));
        let odd = node_info(&host(3, "0-1"));
        assert_eq!(odd.nodes * odd.sockets * odd.cores * odd.threads, 3);
        assert_eq!(odd.model[6], 0);
    }

    #[test]
    fn the_document_has_libvirts_empty_lines_and_parses() {
        let text = capabilities(&host(1, "0"), &[], (1, 2));
        assert!(
            text.starts_with("<capabilities>\n\n  <host>\n") && text.ends_with("  </host>\n\n</capabilities>\n"),
            "{text}"
        );
        let document = xml::parse(&text).unwrap();
        assert!(document.root().path(&["host", "topology", "cells", "cell"]).is_some());
        assert!(text.contains("<baselabel type='kvm'>+1:+2</baselabel>"));
    }
}
