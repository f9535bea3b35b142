//! The `<domainCapabilities>` document: what one emulator offers for one machine type.

use super::emulator::{Capability, CpuModelInfo, Machine, VirtType};
use super::firmware::Firmware;
use super::host::HostFacts;
use super::host_model::{self, HostModel};
use crate::cpu::{Policy, feature, model};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use xml::Writer;

/// `VIR_CONNECT_GET_DOMAIN_CAPABILITIES_DISABLE_DEPRECATED_FEATURES`: no deprecated features in the host model.
pub const DISABLE_DEPRECATED_FEATURES: u32 = 1;

/// What the document is about.
#[derive(Debug)]
pub struct Question<'a> {
    /// The emulator.
    pub emulator: &'a Capability,
    /// libvirt's name of the guest architecture.
    pub arch: &'a str,
    /// KVM or TCG.
    pub virt: VirtType,
    /// The machine type, as QEMU describes it.
    pub machine: &'a Machine,
    /// The name that the client asked for, if any: libvirt prints that one.
    pub machine_name: &'a str,
    /// Most vCPUs that KVM takes.
    pub kvm_vcpus_max: u32,
    /// Firmware of this host.
    pub firmware: &'a [Firmware],
    /// Firmware files that libvirt knows by itself, for machines without a descriptor.
    pub known_loaders: &'a [String],
}

/// The document.
pub fn domain_capabilities(q: &Question<'_>, host: &HostFacts) -> String {
    let mut w = Writer::new();
    let vcpus = if q.virt == VirtType::Kvm { q.machine.max_cpus.min(q.kvm_vcpus_max) } else { q.machine.max_cpus };
    w.element("domainCapabilities", |w| {
        w.leaf("path", q.emulator.emulator.display());
        w.leaf("domain", q.virt.name());
        w.leaf("machine", q.machine_name);
        w.leaf("arch", q.arch);
        if vcpus > 0 {
            w.element("vcpu", |w| w.attr("max", vcpus));
        }
        supported(w, "iothreads", q.emulator.has_type("iothread"), |_| {});
        os(w, q);
        w.element("cpu", |w| cpu(w, q, host));
        supported(w, "memoryBacking", true, |w| {
            let memfd = q.emulator.has_type("memory-backend-memfd");
            values(w, "sourceType", [("file", true), ("anonymous", true), ("memfd", memfd)]);
        });
        w.element("devices", |w| devices(w, q));
        w.element("features", |w| features(w, q));
    });
    w.finish()
}

fn supported(w: &mut Writer, name: &str, yes: bool, body: impl FnOnce(&mut Writer)) {
    w.element(name, |w| {
        w.attr("supported", if yes { "yes" } else { "no" });
        if yes {
            body(w);
        }
    });
}

/// `<enum name='...'>` with the values whose flag is set.
fn values<'v>(w: &mut Writer, name: &str, list: impl IntoIterator<Item = (&'v str, bool)>) {
    w.element("enum", |w| {
        w.attr("name", name);
        for (value, there) in list {
            if there {
                w.leaf("value", value);
            }
        }
    });
}

fn is_x86(arch: &str) -> bool {
    matches!(arch, "x86_64" | "i686")
}

fn os(w: &mut Writer, q: &Question<'_>) {
    let target = super::emulator::target_from_arch(q.arch);
    let fitting: Vec<&Firmware> = q.firmware.iter().filter(|firmware| firmware.fits(target, &q.machine.name)).collect();
    let offers = |kind: &str| fitting.iter().any(|firmware| firmware.interface_types.iter().any(|name| name == kind));
    let mut loaders: Vec<String> = Vec::new();
    for code in fitting.iter().filter_map(|firmware| firmware.code()) {
        let code = code.display().to_string();
        if !loaders.contains(&code) {
            loaders.push(code);
        }
    }
    let secure =
        fitting.iter().any(|firmware| firmware.has_feature("secure-boot") && firmware.has_feature("requires-smm"));
    if fitting.is_empty() {
        loaders.extend(q.known_loaders.iter().filter(|path| Path::new(path).exists()).cloned());
    }
    supported(w, "os", true, |w| {
        values(w, "firmware", [("bios", offers("bios")), ("efi", offers("uefi"))]);
        supported(w, "loader", true, |w| {
            loaders.iter().for_each(|path| w.leaf("value", path));
            let pflash = is_x86(q.arch) || matches!(q.arch, "aarch64" | "armv7l" | "riscv64" | "loongarch64");
            values(w, "type", [("rom", true), ("pflash", pflash)]);
            values(w, "readonly", [("yes", true), ("no", true)]);
            values(w, "secure", [("yes", secure), ("no", true)]);
        });
    });
}

fn cpu(w: &mut Writer, q: &Question<'_>, host: &HostFacts) {
    let kvm = q.virt == VirtType::Kvm;
    let migratable = is_x86(q.arch);
    mode(w, "host-passthrough", kvm, |w| {
        if migratable {
            // A 32 bit emulator has no feature that could be left out for migration.
            values(w, "hostPassthroughMigratable", [("on", q.arch != "i686"), ("off", true)]);
        } else {
            values(w, "hostPassthroughMigratable", [("off", true)]);
        }
    });
    mode(w, "maximum", q.emulator.accelerated(q.virt).is_some_and(|facts| facts.host_cpu.is_some()), |w| {
        values(w, "maximumMigratable", [("on", migratable), ("off", true)]);
    });
    host_model(w, q, host);
    let models = custom_models(q);
    mode(w, "custom", !models.is_empty(), |w| models.iter().for_each(|info| custom_model(w, info, q.arch)));
}

fn mode(w: &mut Writer, name: &str, yes: bool, body: impl FnOnce(&mut Writer)) {
    w.element("mode", |w| {
        w.attr("name", name);
        w.attr("supported", if yes { "yes" } else { "no" });
        if yes {
            body(w);
        }
    });
}

/// Models that libvirt has too, by name.
fn custom_models<'q>(q: &'q Question<'_>) -> Vec<&'q CpuModelInfo> {
    let facts = q.emulator.accelerated(q.virt);
    let known = |name: &str| !is_x86(q.arch) || model::find(name).is_some();
    let mut models: Vec<_> =
        facts.iter().flat_map(|facts| &facts.cpu_models).filter(|info| known(&info.name)).collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

fn custom_model(w: &mut Writer, info: &CpuModelInfo, arch: &str) {
    let vendor = model::find(&info.name).and_then(|model| model.vendor).unwrap_or("unknown");
    let blockers = blockers(info);
    let usable = match &info.blockers {
        None => "unknown",
        Some(_) if blockers.is_empty() => "yes",
        Some(_) => "no",
    };
    w.leaf_with(
        "model",
        |w| {
            w.attr("usable", usable);
            if info.deprecated {
                w.attr("deprecated", "yes");
            }
            if is_x86(arch) {
                w.attr("vendor", vendor);
            }
            w.attr_opt("canonical", info.canonical.as_deref().filter(|_| is_x86(arch)));
        },
        &info.name,
    );
    if !blockers.is_empty() {
        w.element("blockers", |w| {
            w.attr("model", &info.name);
            blockers.iter().for_each(|name| w.element("feature", |w| w.attr("name", name)));
        });
    }
}

/// Features that the host lacks for a model, in libvirt's names, sorted.
fn blockers(info: &CpuModelInfo) -> Vec<String> {
    let names = info.blockers.iter().flatten().map(|name| feature::from_qemu(name).to_owned());
    let mut names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    names.sort();
    names
}

fn host_model(w: &mut Writer, q: &Question<'_>, host: &HostFacts) {
    // The document tells all features, those that stop migration too.
    let found = host_model::host_model(q.emulator, q.virt, false);
    let Some(HostModel { decoded, vendor }) = found else {
        mode(w, "host-model", false, |_| {});
        return;
    };
    mode(w, "host-model", true, |w| {
        w.leaf_with("model", |w| w.attr("fallback", "forbid"), decoded.model);
        w.leaf_opt("vendor", vendor);
        if q.virt == VirtType::Kvm && host.cpu.physical_bits > 0 {
            w.element("maxphysaddr", |w| {
                w.attr("mode", "passthrough");
                w.attr("limit", host.cpu.physical_bits);
            });
        }
        for (name, policy) in &decoded.features {
            w.element("feature", |w| {
                w.attr("policy", if *policy == Policy::Require { "require" } else { "disable" });
                w.attr("name", name);
            });
        }
    });
}

fn devices(w: &mut Writer, q: &Question<'_>) {
    let has = |name: &str| q.emulator.has_type(name);
    // Built into the older PC chipset only.
    let ide = q.machine.name.starts_with("pc-i440fx") || q.machine.name == "isapc";
    supported(w, "disk", true, |w| {
        let floppy = is_x86(q.arch);
        values(w, "diskDevice", [("disk", true), ("cdrom", true), ("floppy", floppy), ("lun", true)]);
        values(
            w,
            "bus",
            [
                ("ide", ide),
                ("fdc", floppy),
                ("scsi", true),
                ("virtio", true),
                ("usb", has("usb-storage")),
                ("sata", has("ich9-ahci")),
                ("sd", has("sd-card") && q.arch.starts_with("arm")),
            ],
        );
        virtio_models(w, "model", has("virtio-blk-pci-transitional"));
    });
    supported(w, "graphics", true, |w| {
        values(
            w,
            "type",
            [
                ("sdl", true),
                (
                    "vnc",
                    q.emulator.options.contains_key("vnc") || has("vnc") || q.emulator.commands.contains("query-vnc"),
                ),
                ("spice", q.emulator.options.contains_key("spice") || q.emulator.commands.contains("query-spice")),
                ("egl-headless", q.emulator.schema.contains("display:egl-headless")),
                ("dbus", q.emulator.schema.contains("display:dbus")),
            ],
        );
    });
    supported(w, "video", true, |w| {
        values(
            w,
            "modelType",
            [
                ("vga", has("VGA")),
                ("cirrus", has("cirrus-vga")),
                ("vmvga", has("vmware-svga")),
                ("qxl", has("qxl")),
                ("virtio", has("virtio-gpu-pci") || has("virtio-gpu-device")),
                ("none", true),
                ("bochs", has("bochs-display")),
                ("ramfb", has("ramfb")),
            ],
        );
    });
    supported(w, "hostdev", true, |w| {
        values(w, "mode", [("subsystem", true)]);
        values(w, "startupPolicy", [("default", true), ("mandatory", true), ("requisite", true), ("optional", true)]);
        values(
            w,
            "subsysType",
            [("usb", true), ("pci", has("vfio-pci")), ("scsi", has("scsi-generic") || has("scsi-block"))],
        );
        values(w, "capsType", []);
        values(w, "pciBackend", [("vfio", has("vfio-pci") && Path::new("/dev/vfio/vfio").exists())]);
    });
    supported(w, "rng", has("virtio-rng-pci") || has("virtio-rng-device"), |w| {
        virtio_models(w, "model", has("virtio-rng-pci-transitional"));
        values(
            w,
            "backendModel",
            [("random", has("rng-random")), ("egd", has("rng-egd")), ("builtin", has("rng-builtin"))],
        );
    });
    supported(w, "filesystem", true, |w| {
        values(w, "driverType", [("path", true), ("handle", true), ("virtiofs", has("vhost-user-fs-device"))]);
    });
    tpm(w, q);
    supported(w, "redirdev", has("usb-redir"), |w| values(w, "bus", [("usb", true)]));
    supported(w, "channel", true, |w| {
        let spice = q.emulator.schema.contains("chardev:spicevmc");
        values(w, "type", [("pty", true), ("unix", true), ("spicevmc", spice)]);
    });
    supported(w, "crypto", has("virtio-crypto-pci") || has("virtio-crypto-device"), |w| {
        values(w, "model", [("virtio", true)]);
        values(w, "type", [("qemu", true)]);
        values(w, "backendModel", [("builtin", has("cryptodev-backend-builtin"))]);
    });
    supported(w, "interface", true, |w| values(w, "backendType", [("default", true), ("passt", true)]));
    supported(w, "panic", is_x86(q.arch) || q.arch.starts_with("ppc64") || q.arch == "s390x", |w| {
        values(w, "model", [("isa", has("pvpanic")), ("hyperv", is_x86(q.arch)), ("pvpanic", has("pvpanic-pci"))]);
    });
}

fn virtio_models(w: &mut Writer, name: &str, transitional: bool) {
    values(
        w,
        name,
        [("virtio", true), ("virtio-transitional", transitional), ("virtio-non-transitional", transitional)],
    );
}

fn tpm(w: &mut Writer, q: &Question<'_>) {
    let model = |name: &str| q.emulator.tpm_models.iter().any(|known| known == name);
    let kind = |name: &str| q.emulator.tpm_types.iter().any(|known| known == name);
    let any = !q.emulator.tpm_models.is_empty();
    supported(w, "tpm", any, |w| {
        values(
            w,
            "model",
            [
                ("tpm-tis", model("tpm-tis")),
                ("tpm-crb", model("tpm-crb")),
                ("tpm-spapr", model("tpm-spapr")),
                ("spapr-tpm-proxy", model("spapr-tpm-proxy")),
            ],
        );
        let swtpm = kind("emulator") && swtpm_installed();
        values(w, "backendModel", [("passthrough", kind("passthrough")), ("emulator", swtpm)]);
        if swtpm {
            values(w, "backendVersion", [("1.2", true), ("2.0", true)]);
        }
    });
}

fn swtpm_installed() -> bool {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let installed = |name: &str| std::env::split_paths(&search).any(|folder| folder.join(name).exists());
    ["swtpm", "swtpm_setup", "swtpm_ioctl"].iter().all(|name| installed(name))
}

fn features(w: &mut Writer, q: &Question<'_>) {
    let has = |name: &str| q.emulator.has_type(name);
    supported(w, "gic", false, |_| {});
    supported(w, "vmcoreinfo", has("vmcoreinfo"), |_| {});
    supported(w, "genid", has("vmgenid"), |_| {});
    supported(w, "backingStoreInput", true, |_| {});
    supported(w, "backup", true, |_| {});
    supported(w, "async-teardown", q.emulator.has_option("run-with", "async-teardown"), |_| {});
    if is_x86(q.arch) {
        supported(w, "ps2", q.machine.name != "microvm", |_| {});
    }
    supported(w, "sev", false, |_| {});
    supported(w, "sgx", false, |_| {});
    let hyperv = is_x86(q.arch);
    supported(w, "hyperv", hyperv, |w| {
        values(w, "features", hyperv_features(q).iter().map(|name| (*name, true)));
    });
    supported(w, "launchSecurity", false, |_| {});
}

/// Enlightenments that the emulator has, in libvirt's order.
fn hyperv_features(q: &Question<'_>) -> Vec<&'static str> {
    const PROPERTIES: &[(&str, &str)] = &[
        ("relaxed", "hv-relaxed"),
        ("vapic", "hv-vapic"),
        ("spinlocks", ""),
        ("vpindex", "hv-vpindex"),
        ("runtime", "hv-runtime"),
        ("synic", "hv-synic"),
        ("stimer", "hv-stimer"),
        ("reset", "hv-reset"),
        ("vendor_id", ""),
        ("frequencies", "hv-frequencies"),
        ("reenlightenment", "hv-reenlightenment"),
        ("tlbflush", "hv-tlbflush"),
        ("ipi", "hv-ipi"),
        ("evmcs", "hv-evmcs"),
        ("avic", "hv-avic"),
        ("emsr_bitmap", "hv-emsr-bitmap"),
        ("xmm_input", "hv-xmm-input"),
    ];
    let props = q.emulator.accelerated(q.virt).and_then(|facts| facts.host_cpu.as_ref());
    // Under KVM the expansion of the host's model says which of them the kernel offers.
    let on = |property: &str| {
        property.is_empty() || props.is_some_and(|props| props.get(property) == Some(&Value::Bool(true)))
    };
    PROPERTIES.iter().filter(|(_, property)| on(property)).map(|(name, _)| *name).collect()
}
