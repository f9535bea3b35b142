//! The CPUID instruction.

/// The four registers of one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// Asks this processor; all zero above its highest leaf, and on other architectures.
pub fn cpuid(leaf: u32, subleaf: u32) -> Registers {
    #[cfg(target_arch = "x86_64")]
    {
        let highest = execute(leaf & 0xffff_0000, 0).eax;
        if leaf <= highest {
            return execute(leaf, subleaf);
        }
    }
    let _ = (leaf, subleaf);
    Registers::default()
}

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "the intrinsic is unsafe in older compilers only")]
#[allow(unsafe_code, reason = "this crate is the home of unsafe")]
fn execute(leaf: u32, subleaf: u32) -> Registers {
    // SAFETY: every x86-64 processor has CPUID, and the instruction changes nothing but its result registers.
    let found = unsafe { core::arch::x86_64::__cpuid_count(leaf, subleaf) };
    Registers { eax: found.eax, ebx: found.ebx, ecx: found.ecx, edx: found.edx }
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_x86_64_has_sse2() {
        assert_ne!(super::cpuid(1, 0).edx & 1 << 26, 0);
        assert_eq!(super::cpuid(0x0fff_ffff, 0), super::Registers::default());
    }
}
