//! Hypervisor features.

use xml::text_enum;

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
