//! What a machine type implies.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel};

fn name(def: &DomainDef) -> &str {
    def.os.machine.as_deref().unwrap_or("")
}

/// PC with PCI Express.
pub fn is_q35(def: &DomainDef) -> bool {
    is_x86(def) && (name(def) == "q35" || name(def).starts_with("pc-q35"))
}

/// PC with plain PCI.
pub fn is_i440fx(def: &DomainDef) -> bool {
    let name = name(def);
    is_x86(def) && (name == "pc" || ["pc-0.", "pc-1.", "pc-i440", "rhel"].iter().any(|p| name.starts_with(p)))
}

/// Minimal PC.
pub fn is_microvm(def: &DomainDef) -> bool {
    is_x86(def) && name(def) == "microvm"
}

/// PC without PCI.
pub fn is_isapc(def: &DomainDef) -> bool {
    is_x86(def) && name(def) == "isapc"
}

/// Either of Intel's architectures.
pub fn is_x86(def: &DomainDef) -> bool {
    matches!(def.os.arch.as_str(), "x86_64" | "i686")
}

/// Any 32 or 64-bit ARM.
pub fn is_arm(def: &DomainDef) -> bool {
    matches!(def.os.arch.as_str(), "aarch64" | "armv6l" | "armv7l" | "armv7b" | "aarch64_be")
}

/// Any RISC-V.
pub fn is_riscv(def: &DomainDef) -> bool {
    matches!(def.os.arch.as_str(), "riscv32" | "riscv64")
}

/// LoongArch.
pub fn is_loongarch(def: &DomainDef) -> bool {
    def.os.arch == "loongarch64"
}

/// Mainframe.
pub fn is_s390(def: &DomainDef) -> bool {
    matches!(def.os.arch.as_str(), "s390x" | "s390")
}

/// Any POWER.
pub fn is_ppc64(def: &DomainDef) -> bool {
    matches!(def.os.arch.as_str(), "ppc64" | "ppc64le")
}

fn is_virt_name(def: &DomainDef) -> bool {
    name(def) == "virt" || name(def).starts_with("virt-")
}

/// ARM's paravirtual board.
pub fn is_arm_virt(def: &DomainDef) -> bool {
    is_arm(def) && is_virt_name(def)
}

/// RISC-V's.
pub fn is_riscv_virt(def: &DomainDef) -> bool {
    is_riscv(def) && is_virt_name(def)
}

/// LoongArch's.
pub fn is_loongarch_virt(def: &DomainDef) -> bool {
    is_loongarch(def) && is_virt_name(def)
}

/// POWER's paravirtual machine.
pub fn is_pseries(def: &DomainDef) -> bool {
    is_ppc64(def) && (name(def) == "pseries" || name(def).starts_with("pseries-"))
}

/// Mainframe with channel I/O.
pub fn is_s390_ccw(def: &DomainDef) -> bool {
    is_s390(def) && name(def).starts_with("s390-ccw")
}

fn root_is(def: &DomainDef, model: ControllerModel) -> bool {
    def.devices.controllers.iter().any(|c| c.kind == ControllerKind::Pci && c.number() == 0 && c.model == Some(model))
}

/// Whether bus 0 is PCI Express.
pub fn has_pcie_root(def: &DomainDef) -> bool {
    root_is(def, ControllerModel::PcieRoot)
}

/// Whether bus 0 is plain PCI.
pub fn has_pci_root(def: &DomainDef) -> bool {
    root_is(def, ControllerModel::PciRoot)
}

/// Whether QEMU can have PCI devices there at all.
pub fn supports_pci(def: &DomainDef) -> bool {
    if is_arm(def) {
        return name(def) == "versatilepb" || is_arm_virt(def);
    }
    if is_riscv(def) {
        return is_riscv_virt(def);
    }
    if is_loongarch(def) {
        return is_loongarch_virt(def);
    }
    if is_s390(def) {
        return is_s390_ccw(def);
    }
    !is_isapc(def)
}

/// Whether the chip set itself brings an IDE controller.
pub fn has_builtin_ide(def: &DomainDef) -> bool {
    is_i440fx(def) || is_isapc(def) || matches!(name(def), "malta" | "sun4u" | "g3beige" | "mac99")
}
