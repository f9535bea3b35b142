//! Names of processor features and the bits that show them (Intel SDM volume 2A "CPUID", AMD APM volume 3 appendix E,
//! IA32_ARCH_CAPABILITIES and IA32_CORE_CAPABILITIES of the Intel SDM volume 4).

/// A register of CPUID's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// Where a word of feature bits is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A register of a CPUID leaf.
    Cpuid {
        /// EAX on entry.
        leaf: u32,
        /// ECX on entry.
        subleaf: u32,
        /// The answer's register.
        register: Register,
    },
    /// The low half of a model-specific register.
    Msr {
        /// Its number.
        index: u32,
    },
}

/// One word and the bits of it that have a name.
#[derive(Debug)]
pub struct Word {
    /// Where it is.
    pub place: Place,
    /// Name and bit.
    pub features: &'static [(&'static str, u8)],
}

/// All words, in the order in which libvirt prints features.
pub static WORDS: &[Word] = &[
    Word {
        place: Place::Cpuid { leaf: 0x1, subleaf: 0, register: Register::Ecx },
        features: &[
            ("pni", 0),
            ("pclmuldq", 1),
            ("dtes64", 2),
            ("monitor", 3),
            ("ds_cpl", 4),
            ("vmx", 5),
            ("smx", 6),
            ("est", 7),
            ("tm2", 8),
            ("ssse3", 9),
            ("cid", 10),
            ("fma", 12),
            ("cx16", 13),
            ("xtpr", 14),
            ("pdcm", 15),
            ("pcid", 17),
            ("dca", 18),
            ("sse4.1", 19),
            ("sse4.2", 20),
            ("x2apic", 21),
            ("movbe", 22),
            ("popcnt", 23),
            ("tsc-deadline", 24),
            ("aes", 25),
            ("xsave", 26),
            ("osxsave", 27),
            ("avx", 28),
            ("f16c", 29),
            ("rdrand", 30),
            ("hypervisor", 31),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x1, subleaf: 0, register: Register::Edx },
        features: &[
            ("fpu", 0),
            ("vme", 1),
            ("de", 2),
            ("pse", 3),
            ("tsc", 4),
            ("msr", 5),
            ("pae", 6),
            ("mce", 7),
            ("cx8", 8),
            ("apic", 9),
            ("sep", 11),
            ("mtrr", 12),
            ("pge", 13),
            ("mca", 14),
            ("cmov", 15),
            ("pat", 16),
            ("pse36", 17),
            ("pn", 18),
            ("clflush", 19),
            ("ds", 21),
            ("acpi", 22),
            ("mmx", 23),
            ("fxsr", 24),
            ("sse", 25),
            ("sse2", 26),
            ("ss", 27),
            ("ht", 28),
            ("tm", 29),
            ("ia64", 30),
            ("pbe", 31),
        ],
    },
    Word { place: Place::Cpuid { leaf: 0x6, subleaf: 0, register: Register::Eax }, features: &[("arat", 2)] },
    Word {
        place: Place::Cpuid { leaf: 0x7, subleaf: 0, register: Register::Ebx },
        features: &[
            ("fsgsbase", 0),
            ("tsc_adjust", 1),
            ("sgx", 2),
            ("bmi1", 3),
            ("hle", 4),
            ("avx2", 5),
            ("fdp-excptn-only", 6),
            ("smep", 7),
            ("bmi2", 8),
            ("erms", 9),
            ("invpcid", 10),
            ("rtm", 11),
            ("cmt", 12),
            ("zero-fcs-fds", 13),
            ("mpx", 14),
            ("avx512f", 16),
            ("avx512dq", 17),
            ("rdseed", 18),
            ("adx", 19),
            ("smap", 20),
            ("avx512ifma", 21),
            ("clflushopt", 23),
            ("clwb", 24),
            ("intel-pt", 25),
            ("avx512pf", 26),
            ("avx512er", 27),
            ("avx512cd", 28),
            ("sha-ni", 29),
            ("avx512bw", 30),
            ("avx512vl", 31),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x7, subleaf: 0, register: Register::Ecx },
        features: &[
            ("avx512vbmi", 1),
            ("umip", 2),
            ("pku", 3),
            ("ospke", 4),
            ("waitpkg", 5),
            ("avx512vbmi2", 6),
            ("gfni", 8),
            ("vaes", 9),
            ("vpclmulqdq", 10),
            ("avx512vnni", 11),
            ("avx512bitalg", 12),
            ("avx512-vpopcntdq", 14),
            ("la57", 16),
            ("rdpid", 22),
            ("bus-lock-detect", 24),
            ("cldemote", 25),
            ("movdiri", 27),
            ("movdir64b", 28),
            ("sgxlc", 30),
            ("pks", 31),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x7, subleaf: 0, register: Register::Edx },
        features: &[
            ("avx512-4vnniw", 2),
            ("avx512-4fmaps", 3),
            ("fsrm", 4),
            ("avx512-vp2intersect", 8),
            ("md-clear", 10),
            ("serialize", 14),
            ("tsx-ldtrk", 16),
            ("pconfig", 18),
            ("arch-lbr", 19),
            ("amx-bf16", 22),
            ("avx512-fp16", 23),
            ("amx-tile", 24),
            ("amx-int8", 25),
            ("spec-ctrl", 26),
            ("stibp", 27),
            ("flush-l1d", 28),
            ("arch-capabilities", 29),
            ("core-capability", 30),
            ("ssbd", 31),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x7, subleaf: 1, register: Register::Eax },
        features: &[
            ("sha512", 0),
            ("sm3", 1),
            ("sm4", 2),
            ("avx-vnni", 4),
            ("avx512-bf16", 5),
            ("cmpccxadd", 7),
            ("fzrm", 10),
            ("fsrs", 11),
            ("fsrc", 12),
            ("fred", 17),
            ("lkgs", 18),
            ("wrmsrns", 19),
            ("amx-fp16", 21),
            ("avx-ifma", 23),
            ("lam", 26),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x7, subleaf: 1, register: Register::Edx },
        features: &[
            ("avx-vnni-int8", 4),
            ("avx-ne-convert", 5),
            ("amx-complex", 8),
            ("avx-vnni-int16", 10),
            ("prefetchiti", 14),
            ("avx10", 19),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x7, subleaf: 2, register: Register::Edx },
        features: &[
            ("intel-psfd", 0),
            ("ipred-ctrl", 1),
            ("rrsba-ctrl", 2),
            ("ddpd-u", 3),
            ("bhi-ctrl", 4),
            ("mcdt-no", 5),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0xd, subleaf: 1, register: Register::Eax },
        features: &[("xsaveopt", 0), ("xsavec", 1), ("xgetbv1", 2), ("xsaves", 3), ("xfd", 4)],
    },
    Word {
        place: Place::Cpuid { leaf: 0x24, subleaf: 0, register: Register::Ebx },
        features: &[("avx10-128", 16), ("avx10-256", 17), ("avx10-512", 18)],
    },
    Word {
        place: Place::Cpuid { leaf: 0x80000001, subleaf: 0, register: Register::Ecx },
        features: &[
            ("lahf_lm", 0),
            ("cmp_legacy", 1),
            ("svm", 2),
            ("extapic", 3),
            ("cr8legacy", 4),
            ("abm", 5),
            ("sse4a", 6),
            ("misalignsse", 7),
            ("3dnowprefetch", 8),
            ("osvw", 9),
            ("ibs", 10),
            ("xop", 11),
            ("skinit", 12),
            ("wdt", 13),
            ("lwp", 15),
            ("fma4", 16),
            ("tce", 17),
            ("nodeid_msr", 19),
            ("tbm", 21),
            ("topoext", 22),
            ("perfctr_core", 23),
            ("perfctr_nb", 24),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x80000001, subleaf: 0, register: Register::Edx },
        features: &[
            ("syscall", 11),
            ("nx", 20),
            ("mmxext", 22),
            ("fxsr_opt", 25),
            ("pdpe1gb", 26),
            ("rdtscp", 27),
            ("lm", 29),
            ("3dnowext", 30),
            ("3dnow", 31),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x80000007, subleaf: 0, register: Register::Ebx },
        features: &[("overflow-recov", 0), ("succor", 1)],
    },
    Word { place: Place::Cpuid { leaf: 0x80000007, subleaf: 0, register: Register::Edx }, features: &[("invtsc", 8)] },
    Word {
        place: Place::Cpuid { leaf: 0x80000008, subleaf: 0, register: Register::Ebx },
        features: &[
            ("clzero", 0),
            ("xsaveerptr", 2),
            ("wbnoinvd", 9),
            ("ibpb", 12),
            ("ibrs", 14),
            ("amd-stibp", 15),
            ("stibp-always-on", 17),
            ("amd-ssbd", 24),
            ("virt-ssbd", 25),
            ("amd-no-ssb", 26),
            ("amd-psfd", 28),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x8000000a, subleaf: 0, register: Register::Edx },
        features: &[
            ("npt", 0),
            ("lbrv", 1),
            ("svm-lock", 2),
            ("nrip-save", 3),
            ("tsc-scale", 4),
            ("vmcb-clean", 5),
            ("flushbyasid", 6),
            ("decodeassists", 7),
            ("pause-filter", 10),
            ("pfthreshold", 12),
            ("avic", 13),
            ("v-vmsave-vmload", 15),
            ("vgif", 16),
            ("vnmi", 25),
            ("svme-addr-chk", 28),
        ],
    },
    Word {
        place: Place::Cpuid { leaf: 0x80000021, subleaf: 0, register: Register::Eax },
        features: &[
            ("no-nested-data-bp", 0),
            ("lfence-always-serializing", 2),
            ("null-sel-clr-base", 6),
            ("auto-ibrs", 8),
        ],
    },
    Word {
        place: Place::Msr { index: 0x10a },
        features: &[
            ("rdctl-no", 0),
            ("ibrs-all", 1),
            ("rsba", 2),
            ("skip-l1dfl-vmentry", 3),
            ("ssb-no", 4),
            ("mds-no", 5),
            ("pschange-mc-no", 6),
            ("tsx-ctrl", 7),
            ("taa-no", 8),
            ("sbdr-ssdp-no", 13),
            ("fbsdp-no", 14),
            ("psdp-no", 15),
            ("fb-clear", 17),
            ("bhi-no", 20),
            ("pbrsb-no", 24),
            ("gds-no", 26),
            ("rfds-no", 27),
            ("rfds-clear", 28),
        ],
    },
    Word { place: Place::Msr { index: 0xcf }, features: &[("split-lock-detect", 5)] },
];

/// Every feature name, in the order in which libvirt prints them.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORDS.iter().flat_map(|word| word.features.iter().map(|(name, _)| *name))
}

/// Features that model-specific registers show.
pub fn names_of_msrs() -> impl Iterator<Item = &'static str> {
    let words = WORDS.iter().filter(|word| matches!(word.place, Place::Msr { .. }));
    words.flat_map(|word| word.features.iter().map(|(name, _)| *name))
}

/// Place in the printing order; unknown names come last.
pub fn rank(name: &str) -> usize {
    names().position(|known| known == name).unwrap_or(usize::MAX)
}

/// Pairs of (libvirt's, QEMU's) where the names differ.
const TRANSLATIONS: &[(&str, &str)] = &[
    ("cmp_legacy", "cmp-legacy"),
    ("ds_cpl", "ds-cpl"),
    ("fxsr_opt", "fxsr-opt"),
    ("lahf_lm", "lahf-lm"),
    ("nodeid_msr", "nodeid-msr"),
    ("pclmuldq", "pclmulqdq"),
    ("perfctr_core", "perfctr-core"),
    ("perfctr_nb", "perfctr-nb"),
    ("tsc_adjust", "tsc-adjust"),
];

/// QEMU's name of a feature in libvirt's words.
pub fn from_qemu(name: &str) -> &str {
    TRANSLATIONS.iter().find(|(_, qemu)| *qemu == name).map_or(name, |(ours, _)| ours)
}

/// libvirt's name of a feature in QEMU's words.
pub fn to_qemu(name: &str) -> &str {
    TRANSLATIONS.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, qemu)| qemu)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_translate_both_ways() {
        let all: Vec<&str> = super::names().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for name in all {
            assert_eq!(super::from_qemu(super::to_qemu(name)), name);
        }
    }

    #[test]
    fn bits_are_within_their_word_and_unique() {
        for word in super::WORDS {
            let bits: BTreeSet<u8> = word.features.iter().map(|(_, bit)| *bit).collect();
            assert!(bits.iter().all(|bit| *bit < 32) && bits.len() == word.features.len());
        }
    }
}
