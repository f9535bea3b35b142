//! This machine's processor.

use super::feature::{Place, Register, WORDS};
use host::cpuid::cpuid;
use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::{Cap, Kvm};
use std::collections::BTreeSet;

/// What the processor says of itself.
#[derive(Debug, Clone, Default)]
pub struct HostCpu {
    /// `Intel`, `AMD` ...; the twelve letters of CPUID when the maker has no short name.
    pub vendor: Option<String>,
    /// Family, model, stepping.
    pub signature: (u32, u32, u32),
    /// Features, in libvirt's names.
    pub features: BTreeSet<String>,
    /// Physical address bits.
    pub physical_bits: u8,
    /// Frequency of the time stamp counter in Hz, when KVM tells, and whether guests may have another.
    pub tsc: Option<(u64, bool)>,
}

impl HostCpu {
    /// Reads CPUID, and the capability MSRs through KVM where it is there. On other architectures all is empty.
    pub fn read() -> HostCpu {
        if !cfg!(target_arch = "x86_64") {
            return HostCpu::default();
        }
        let kvm = Kvm::new().ok();
        let vendor = cpuid(0, 0);
        let letters: Vec<u8> =
            [vendor.ebx, vendor.edx, vendor.ecx].iter().flat_map(|word| word.to_le_bytes()).collect();
        let features = WORDS.iter().flat_map(|word| {
            let value = match word.place {
                Place::Cpuid { leaf, subleaf, register } => {
                    let registers = cpuid(leaf, subleaf);
                    match register {
                        Register::Eax => registers.eax,
                        Register::Ebx => registers.ebx,
                        Register::Ecx => registers.ecx,
                        Register::Edx => registers.edx,
                    }
                }
                Place::Msr { index } => kvm.as_ref().and_then(|kvm| feature_msr(kvm, index)).unwrap_or(0) as u32,
            };
            word.features.iter().filter(move |(_, bit)| value & (1 << bit) != 0).map(|(name, _)| (*name).to_owned())
        });
        HostCpu {
            vendor: Some(short_vendor(&String::from_utf8_lossy(&letters))),
            signature: signature(cpuid(1, 0).eax),
            features: features.collect(),
            physical_bits: (cpuid(0x8000_0008, 0).eax & 0xff) as u8,
            tsc: kvm.as_ref().and_then(tsc),
        }
    }
}

/// The names that libvirt has for makers.
fn short_vendor(letters: &str) -> String {
    match letters {
        "GenuineIntel" => "Intel",
        "AuthenticAMD" => "AMD",
        "HygonGenuine" => "Hygon",
        "CentaurHauls" => "Centaur",
        "  Shanghai  " => "Zhaoxin",
        other => other,
    }
    .to_owned()
}

/// Family, model and stepping from EAX of leaf 1 (Intel SDM, "Version Information").
fn signature(eax: u32) -> (u32, u32, u32) {
    let base = eax >> 8 & 0xf;
    let family = if base == 0xf { base + (eax >> 20 & 0xff) } else { base };
    let extended = if base == 0xf || base == 6 { eax >> 16 & 0xf } else { 0 };
    (family, (extended << 4) + (eax >> 4 & 0xf), eax & 0xf)
}

fn feature_msr(kvm: &Kvm, index: u32) -> Option<u64> {
    let mut msrs = Msrs::from_entries(&[kvm_msr_entry { index, ..Default::default() }]).ok()?;
    match kvm.get_msrs(&mut msrs) {
        Ok(1) => msrs.as_slice().first().map(|entry| entry.data),
        _ => None,
    }
}

fn tsc(kvm: &Kvm) -> Option<(u64, bool)> {
    if kvm.check_extension_int(Cap::GetTscKhz) <= 0 {
        return None;
    }
    let vcpu = kvm.create_vm().ok()?.create_vcpu(0).ok()?;
    let khz = vcpu.get_tsc_khz().ok()?;
    Some((u64::from(khz) * 1000, kvm.check_extension_int(Cap::TscControl) > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_taken_apart() {
        assert_eq!(signature(0x00a1_0f11), (25, 17, 1));
        assert_eq!(signature(0x0005_0654), (6, 85, 4));
        assert_eq!(signature(0x0000_0543), (5, 4, 3));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn this_processor_has_a_vendor_and_sse2() {
        let cpu = HostCpu::read();
        assert!(cpu.features.contains("sse2"), "{cpu:?}");
        assert!(cpu.vendor.is_some() && cpu.physical_bits >= 32);
    }
}
