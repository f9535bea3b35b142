//! Hypervisor features.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer, missing_attribute};

use super::fault::{unsupported, xml_error};

text_enum! {
    /// Mode of the Hyper-V features.
    pub enum HypervMode { Custom = "custom", Passthrough = "passthrough" }
}
text_enum! {
    /// Hyper-V enlightenment.
    pub enum HypervFeature {
        Relaxed = "relaxed", Vapic = "vapic", Spinlocks = "spinlocks", Vpindex = "vpindex", Runtime = "runtime", Synic = "synic",
        Stimer = "stimer", Reset = "reset", VendorId = "vendor_id", Frequencies = "frequencies", Reenlightenment = "reenlightenment",
        Tlbflush = "tlbflush", Ipi = "ipi", Evmcs = "evmcs", Avic = "avic", EmsrBitmap = "emsr_bitmap", XmmInput = "xmm_input",
    }
}
text_enum! {
    /// KVM feature.
    pub enum KvmFeature {
        Hidden = "hidden", HintDedicated = "hint-dedicated", PollControl = "poll-control", PvIpi = "pv-ipi", DirtyRing = "dirty-ring",
    }
}
text_enum! {
    /// Xen feature.
    pub enum XenFeature { E820Host = "e820_host", Passthrough = "passthrough" }
}
text_enum! {
    /// GIC version.
    pub enum GicVersion { V2 = "2", V3 = "3", Host = "host" }
}
text_enum! {
    /// Where the I/O APIC is.
    pub enum IoApic { Qemu = "qemu", Kvm = "kvm" }
}
text_enum! {
    /// Page table resizing on pseries.
    pub enum HptResizing { Enabled = "enabled", Disabled = "disabled", Required = "required" }
}
text_enum! {
    /// Cache flush capability.
    pub enum Cfpc { Broken = "broken", Workaround = "workaround", Fixed = "fixed" }
}
text_enum! {
    /// Bounds check barrier.
    pub enum Sbbc { Broken = "broken", Workaround = "workaround", Fixed = "fixed" }
}
text_enum! {
    /// Indirect branch speculation.
    pub enum Ibs { Broken = "broken", Workaround = "workaround", FixedIbs = "fixed-ibs", FixedCcd = "fixed-ccd", FixedNa = "fixed-na" }
}
text_enum! {
    /// Capability policy of containers.
    pub enum CapabilitiesPolicy { Default = "default", Allow = "allow", Deny = "deny" }
}

/// `<hyperv>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hyperv {
    pub mode: Option<HypervMode>,
    pub states: Vec<(HypervFeature, bool)>,
    pub spinlock_retries: Option<u32>,
    pub stimer_direct: Option<bool>,
    pub vendor_id: Option<String>,
    /// `<tlbflush>`'s `<direct>` and `<extended>`
    pub tlbflush_direct: Option<bool>,
    pub tlbflush_extended: Option<bool>,
}

impl Hyperv {
    /// State of a feature.
    pub fn state(&self, feature: HypervFeature) -> Option<bool> {
        self.states.iter().find(|(f, _)| *f == feature).map(|(_, on)| *on)
    }
}

/// `<kvm>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kvm {
    pub states: Vec<(KvmFeature, bool)>,
    pub dirty_ring_size: Option<u32>,
}

/// `<smm>`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smm {
    pub state: bool,
    /// Bytes.
    pub tseg: Option<u64>,
}

/// `<features>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    pub acpi: bool,
    pub apic: bool,
    pub apic_eoi: Option<bool>,
    pub pae: bool,
    pub hap: Option<bool>,
    pub viridian: bool,
    pub privnet: bool,
    pub hyperv: Option<Hyperv>,
    pub kvm: Option<Kvm>,
    pub xen: Vec<(XenFeature, bool, Option<String>)>,
    pub pvspinlock: Option<bool>,
    pub capabilities: Option<(CapabilitiesPolicy, Vec<(String, Option<bool>)>)>,
    pub pmu: Option<bool>,
    pub vmport: Option<bool>,
    pub smm: Option<Smm>,
    /// `Some(None)`: `<gic/>` without a version.
    pub gic: Option<Option<GicVersion>>,
    pub ioapic: Option<IoApic>,
    pub hpt: Option<(Option<HptResizing>, Option<u64>)>,
    pub htm: Option<bool>,
    pub nested_hv: Option<bool>,
    pub ccf_assist: Option<bool>,
    pub msrs_unknown_ignore: Option<bool>,
    pub cfpc: Option<Cfpc>,
    pub sbbc: Option<Sbbc>,
    pub ibs: Option<Ibs>,
    pub vmcoreinfo: Option<bool>,
    /// `<tcg><tb-cache>` in KiB.
    pub tb_cache_kib: Option<u64>,
    pub async_teardown: Option<Option<bool>>,
    pub ras: Option<bool>,
    pub ps2: Option<bool>,
    pub aia: Option<String>,
}

fn state(node: Node<'_>) -> Result<bool> {
    node.on_off("state")?.ok_or_else(|| missing_attribute(node, "state"))
}

fn format_state(w: &mut Writer, name: &str, state: Option<bool>) {
    w.element_if_any(name, |w| w.on_off("state", state));
}

impl Hyperv {
    fn parse(node: Node<'_>) -> Result<Self> {
        let mut def = Self { mode: Some(node.word("mode")?.unwrap_or(HypervMode::Custom)), ..Self::default() };
        for child in node.elements() {
            let feature = HypervFeature::from_word(child.name())
                .ok_or_else(|| unsupported(format!("unsupported HyperV Enlightenment feature: {}", child.name())))?;
            let on = state(child)?;
            def.states.retain(|(f, _)| *f != feature);
            def.states.push((feature, on));
            if !on {
                continue;
            }
            match feature {
                HypervFeature::Spinlocks => {
                    let retries = child.u32_base("retries", 0)?.ok_or_else(|| missing_attribute(child, "retries"))?;
                    if retries < 0xfff {
                        return Err(xml_error("HyperV spinlock retry count must be at least 4095"));
                    }
                    def.spinlock_retries = Some(retries);
                }
                HypervFeature::Stimer => def.stimer_direct = child.child("direct").map(state).transpose()?,
                HypervFeature::VendorId => {
                    let value = child
                        .string("value")
                        .ok_or_else(|| xml_error("missing 'value' attribute for HyperV feature 'vendor_id'"))?;
                    if value.len() > 12 {
                        return Err(xml_error(format!(
                            "HyperV vendor_id value must not be more than {} characters.",
                            12
                        )));
                    }
                    if value.contains(',') {
                        return Err(xml_error("HyperV vendor_id value is invalid"));
                    }
                    def.vendor_id = Some(value);
                }
                HypervFeature::Tlbflush => {
                    def.tlbflush_direct = child.child("direct").map(state).transpose()?;
                    def.tlbflush_extended = child.child("extended").map(state).transpose()?;
                }
                _ => {}
            }
        }
        def.states.sort_by_key(|(f, _)| *f);
        Ok(def)
    }

    fn format(&self, w: &mut Writer) {
        w.element("hyperv", |w| {
            w.attr_opt("mode", self.mode);
            // libvirt prints an end tag even when no feature is listed
            w.begin_content();
            for (feature, on) in &self.states {
                w.element(feature.word(), |w| {
                    w.on_off("state", Some(*on));
                    match feature {
                        HypervFeature::Spinlocks => w.attr_opt("retries", self.spinlock_retries.filter(|_| *on)),
                        HypervFeature::VendorId => w.attr_opt("value", self.vendor_id.as_deref().filter(|_| *on)),
                        HypervFeature::Stimer => format_state(w, "direct", self.stimer_direct.filter(|d| *d)),
                        HypervFeature::Tlbflush => {
                            format_state(w, "direct", self.tlbflush_direct.filter(|d| *d));
                            format_state(w, "extended", self.tlbflush_extended.filter(|d| *d));
                        }
                        _ => {}
                    }
                });
            }
        });
    }
}

impl Kvm {
    fn parse(node: Node<'_>) -> Result<Self> {
        let mut def = Self::default();
        for child in node.elements() {
            let feature = KvmFeature::from_word(child.name())
                .ok_or_else(|| unsupported(format!("unsupported KVM feature: {}", child.name())))?;
            let on = state(child)?;
            def.states.retain(|(f, _)| *f != feature);
            def.states.push((feature, on));
            if feature == KvmFeature::DirtyRing && on {
                let size = child.u32("size")?.ok_or_else(|| missing_attribute(child, "size"))?;
                if !size.is_power_of_two() || !(1024..=65536).contains(&size) {
                    return Err(xml_error("dirty ring must be power of 2 and ranges [1024, 65536]"));
                }
                def.dirty_ring_size = Some(size);
            }
        }
        def.states.sort_by_key(|(f, _)| *f);
        Ok(def)
    }

    fn format(&self, w: &mut Writer) {
        w.element("kvm", |w| {
            w.begin_content();
            for (feature, on) in &self.states {
                w.element(feature.word(), |w| {
                    w.on_off("state", Some(*on));
                    if *feature == KvmFeature::DirtyRing {
                        w.attr_opt("size", self.dirty_ring_size.filter(|_| *on));
                    }
                });
            }
        });
    }
}

impl Smm {
    fn parse(node: Node<'_>) -> Result<Self> {
        let state = node.on_off("state")?.unwrap_or(true);
        let tseg = match node.child("tseg").filter(|_| state) {
            None => None,
            Some(tseg) => {
                let text = tseg.text();
                let value = xml::parse_u64(text.trim(), 10)
                    .ok_or_else(|| xml_error(format!("Invalid value '{text}' for element or attribute './tseg'")))?;
                Some(crate::size::scaled(value, tseg.attr("unit"), 1 << 20, u64::MAX)?)
            }
        };
        Ok(Self { state, tseg })
    }

    fn format(&self, w: &mut Writer) {
        w.element("smm", |w| {
            w.on_off("state", Some(self.state));
            if let Some(bytes) = self.tseg {
                // the largest unit that fits, down to bytes
                let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
                let unit = units.into_iter().find(|(_, shift)| bytes > 0 && bytes % (1 << shift) == 0);
                let (name, shift) = unit.unwrap_or(("B", 0));
                w.leaf_with("tseg", |w| w.attr("unit", name), bytes >> shift);
            }
        });
    }
}

impl Features {
    /// Reads `<features>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let mut def = Self::default();
        let Some(features) = domain.child("features") else { return Ok(def) };
        for node in features.elements() {
            match node.name() {
                "acpi" => def.acpi = true,
                "apic" => {
                    def.apic = true;
                    def.apic_eoi = node.on_off("eoi")?;
                }
                "pae" => def.pae = true,
                "hap" => def.hap = Some(node.on_off("state")?.unwrap_or(true)),
                "viridian" => def.viridian = true,
                "privnet" => def.privnet = true,
                "hyperv" => def.hyperv = Some(Hyperv::parse(node)?),
                "kvm" => def.kvm = Some(Kvm::parse(node)?),
                "xen" => def.parse_xen(node)?,
                "pvspinlock" => def.pvspinlock = Some(node.on_off("state")?.unwrap_or(true)),
                "capabilities" => {
                    let policy = node.word("policy")?.unwrap_or(CapabilitiesPolicy::Default);
                    let list = node
                        .elements()
                        .map(|c| Ok((c.name().to_owned(), c.on_off("state")?)))
                        .collect::<Result<_>>()?;
                    def.capabilities = Some((policy, list));
                }
                "pmu" => def.pmu = Some(node.on_off("state")?.unwrap_or(true)),
                "vmport" => def.vmport = Some(node.on_off("state")?.unwrap_or(true)),
                "smm" => def.smm = Some(Smm::parse(node)?),
                "gic" => def.gic = Some(node.word("version")?),
                "ioapic" => def.ioapic = node.word("driver")?,
                "hpt" => {
                    def.hpt = Some((
                        node.word("resizing")?,
                        node.child("maxpagesize").map(crate::size::memory_kib).transpose()?,
                    ))
                }
                "htm" => def.htm = Some(state(node)?),
                "nested-hv" => def.nested_hv = Some(state(node)?),
                "ccf-assist" => def.ccf_assist = Some(state(node)?),
                "ras" => def.ras = Some(state(node)?),
                "ps2" => def.ps2 = Some(state(node)?),
                "vmcoreinfo" => def.vmcoreinfo = Some(node.on_off("state")?.unwrap_or(true)),
                "msrs" => {
                    def.msrs_unknown_ignore = match node.required("unknown")? {
                        "ignore" => Some(true),
                        "fault" => Some(false),
                        other => return Err(xml::invalid_value(node, "unknown", other, "")),
                    }
                }
                "cfpc" => def.cfpc = Some(node.required_word("value")?),
                "sbbc" => def.sbbc = Some(node.required_word("value")?),
                "ibs" => def.ibs = Some(node.required_word("value")?),
                "tcg" => def.tb_cache_kib = node.child("tb-cache").map(crate::size::memory_kib).transpose()?,
                "async-teardown" => def.async_teardown = Some(Some(node.yes_no("enabled")?.unwrap_or(true))),
                "aia" => {
                    let value = node.required("value")?;
                    if !["none", "aplic", "aplic-imsic"].contains(&value) {
                        return Err(xml::invalid_value(node, "value", value, ""));
                    }
                    def.aia = Some(value.to_owned());
                }
                other => return Err(unsupported(format!("unexpected feature '{other}'"))),
            }
        }
        Ok(def)
    }

    fn parse_xen(&mut self, node: Node<'_>) -> Result<()> {
        for child in node.elements() {
            let feature = XenFeature::from_word(child.name())
                .ok_or_else(|| unsupported(format!("unsupported Xen feature: {}", child.name())))?;
            self.xen.push((feature, state(child)?, child.string("mode")));
        }
        Ok(())
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("features", |w| self.format_all(w));
    }

    fn format_all(&self, w: &mut Writer) {
        let flag = |w: &mut Writer, name: &str, on: bool| {
            if on {
                w.empty(name)
            }
        };
        flag(w, "acpi", self.acpi);
        if self.apic {
            w.element("apic", |w| w.on_off("eoi", self.apic_eoi));
        }
        flag(w, "pae", self.pae);
        format_state(w, "hap", self.hap);
        flag(w, "viridian", self.viridian);
        flag(w, "privnet", self.privnet);
        if let Some(hyperv) = &self.hyperv {
            hyperv.format(w);
        }
        if let Some(kvm) = &self.kvm {
            kvm.format(w);
        }
        format_state(w, "pvspinlock", self.pvspinlock);
        if let Some((policy, list)) = &self.capabilities {
            w.element("capabilities", |w| {
                w.attr("policy", policy);
                list.iter().for_each(|(name, state)| w.element(name, |w| w.on_off("state", *state)));
            });
        }
        format_state(w, "pmu", self.pmu);
        format_state(w, "vmport", self.vmport);
        if let Some(version) = &self.gic {
            w.element("gic", |w| w.attr_opt("version", *version));
        }
        if let Some(smm) = &self.smm {
            smm.format(w);
        }
        w.element_if_any("ioapic", |w| w.attr_opt("driver", self.ioapic));
        if let Some((resizing, page)) = &self.hpt {
            w.element_if_any("hpt", |w| {
                w.attr_opt("resizing", *resizing);
                if let Some(kib) = page {
                    w.leaf_with("maxpagesize", |w| w.attr("unit", "KiB"), kib);
                }
            });
        }
        format_state(w, "vmcoreinfo", self.vmcoreinfo);
        format_state(w, "htm", self.htm);
        format_state(w, "nested-hv", self.nested_hv);
        w.element_if_any("msrs", |w| {
            w.attr_opt("unknown", self.msrs_unknown_ignore.map(|i| if i { "ignore" } else { "fault" }))
        });
        format_state(w, "ccf-assist", self.ccf_assist);
        w.element_if_any("xen", |w| {
            for (feature, on, mode) in &self.xen {
                w.element(feature.word(), |w| {
                    w.on_off("state", Some(*on));
                    w.attr_opt("mode", mode.as_deref());
                });
            }
        });
        w.element_if_any("cfpc", |w| w.attr_opt("value", self.cfpc));
        w.element_if_any("sbbc", |w| w.attr_opt("value", self.sbbc));
        w.element_if_any("ibs", |w| w.attr_opt("value", self.ibs));
        if let Some(kib) = self.tb_cache_kib {
            w.element("tcg", |w| w.leaf_with("tb-cache", |w| w.attr("unit", "KiB"), kib));
        }
        w.element_if_any("async-teardown", |w| w.yes_no("enabled", self.async_teardown.flatten()));
        format_state(w, "ras", self.ras);
        format_state(w, "ps2", self.ps2);
        w.element_if_any("aia", |w| w.attr_opt("value", self.aia.as_deref()));
    }
}
