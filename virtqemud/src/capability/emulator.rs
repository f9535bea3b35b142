//! The facts of one QEMU binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whether instructions run on the processor or are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VirtType {
    /// `<domain type='kvm'>`
    Kvm,
    /// `<domain type='qemu'>`
    Tcg,
}

impl VirtType {
    /// Value of `<domain type=...>`.
    pub fn name(self) -> &'static str {
        match self {
            VirtType::Kvm => "kvm",
            VirtType::Tcg => "qemu",
        }
    }
}

/// What QEMU can do, as its binary told. Our own form, kept in the cache directory as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Capability {
    /// The binary.
    pub emulator: PathBuf,
    /// major * 1000000 + minor * 1000 + micro.
    pub version: u64,
    /// The packager's version text.
    pub package: String,
    /// Architecture in libvirt's words (`x86_64`, `i686`, `armv7l`).
    pub arch: String,
    /// Facts that hold under KVM; `None` when KVM cannot be used.
    pub kvm: Option<Accelerated>,
    /// Facts that hold under TCG; `None` when QEMU has no TCG for this.
    pub tcg: Option<Accelerated>,
    /// Features of the host's own processor in libvirt's names, when it can run this architecture.
    #[serde(default)]
    pub host_features: BTreeSet<String>,
    /// Object types, devices included.
    pub types: BTreeSet<String>,
    /// Type → property → default value, for the types that we look into.
    pub properties: BTreeMap<String, BTreeMap<String, Value>>,
    /// QMP commands.
    pub commands: BTreeSet<String>,
    /// Command-line option → parameters.
    pub options: BTreeMap<String, Vec<String>>,
    /// TPM front ends.
    pub tpm_models: Vec<String>,
    /// TPM back ends.
    pub tpm_types: Vec<String>,
    /// Members of enumerations and variants of unions in QMP's schema that decide something (`chardev:qemu-vdagent`).
    pub schema: BTreeSet<String>,
}

/// What differs between KVM and TCG.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
pub struct Accelerated {
    /// Machine types in QEMU's order, `none` left out, the default first.
    pub machines: Vec<Machine>,
    /// CPU models in QEMU's order.
    pub cpu_models: Vec<CpuModelInfo>,
    /// Features of the best CPU: model `host` under KVM, `max` under TCG. Feature → value, canonical names.
    pub host_cpu: Option<Map<String, Value>>,
    /// Features of `host_cpu` that stop migration.
    pub host_cpu_unmigratable: BTreeSet<String>,
}

/// One machine type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Machine {
    /// Versioned name.
    pub name: String,
    /// Short name.
    pub alias: Option<String>,
    /// Most vCPUs.
    pub max_cpus: u32,
    /// Whether vCPUs can be plugged.
    pub hotplug_cpus: bool,
    /// Whether QEMU takes it when nobody says.
    pub default: bool,
    /// CPU type when nobody says.
    pub default_cpu: Option<String>,
    /// Whether `-numa node,mem=` works.
    pub numa_mem: bool,
    /// Id of the main memory.
    pub default_ram_id: Option<String>,
    /// To be dropped one day.
    pub deprecated: bool,
    /// Whether ACPI can be switched.
    pub acpi: Option<bool>,
}

/// One CPU model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CpuModelInfo {
    /// Name.
    pub name: String,
    /// Object type.
    pub typename: String,
    /// What keeps the host from running it; `None` when QEMU does not say.
    pub blockers: Option<Vec<String>>,
    /// Versioned name that it stands for.
    pub canonical: Option<String>,
    /// To be dropped one day.
    pub deprecated: bool,
}

impl Capability {
    /// Facts for one way of running.
    pub fn accelerated(&self, virt: VirtType) -> Option<&Accelerated> {
        match virt {
            VirtType::Kvm => self.kvm.as_ref(),
            VirtType::Tcg => self.tcg.as_ref(),
        }
    }

    /// The best way of running: KVM when it is there.
    pub fn best_virt(&self) -> VirtType {
        if self.kvm.is_some() { VirtType::Kvm } else { VirtType::Tcg }
    }

    /// Machine types.
    pub fn machines(&self, virt: VirtType) -> &[Machine] {
        self.accelerated(virt).or(self.kvm.as_ref()).or(self.tcg.as_ref()).map_or(&[], |a| &a.machines)
    }

    /// A machine type by its name or alias.
    pub fn machine(&self, virt: VirtType, name: &str) -> Option<&Machine> {
        let machines = self.machines(virt);
        machines.iter().find(|m| m.name == name).or_else(|| machines.iter().find(|m| m.alias.as_deref() == Some(name)))
    }

    /// The versioned name behind an alias; any other name as it is.
    pub fn canonical_machine<'a>(&'a self, virt: VirtType, name: &'a str) -> &'a str {
        let machines = self.machines(virt);
        machines.iter().find(|m| m.alias.as_deref() == Some(name)).map_or(name, |m| &m.name)
    }

    /// The machine type for a definition that names none: QEMU's own choice, or libvirt's where QEMU has none.
    pub fn default_machine(&self, virt: VirtType) -> Option<&Machine> {
        let machines = self.machines(virt);
        // libvirt's choices for architectures whose QEMU has no default machine.
        let preferred = match self.arch.as_str() {
            "armv7l" | "armv6l" | "aarch64" => "virt",
            "riscv32" | "riscv64" | "loongarch64" => "virt",
            _ => "",
        };
        let by_name = self.machine(virt, preferred).filter(|_| !preferred.is_empty());
        by_name.or_else(|| machines.iter().find(|m| m.default)).or(machines.first())
    }

    /// Whether a type (device or object) exists.
    pub fn has_type(&self, name: &str) -> bool {
        self.types.contains(name)
    }

    /// Whether a device has a property; only for the types in [`super::probe::INSPECTED`].
    pub fn has_property(&self, device: &str, property: &str) -> bool {
        self.properties.get(device).is_some_and(|p| p.contains_key(property))
    }

    /// Whether a command-line option has a parameter.
    pub fn has_option(&self, option: &str, parameter: &str) -> bool {
        self.options.get(option).is_some_and(|p| p.iter().any(|p| p == parameter))
    }

    /// A CPU model by name.
    pub fn cpu_model(&self, virt: VirtType, name: &str) -> Option<&CpuModelInfo> {
        self.accelerated(virt)?.cpu_models.iter().find(|m| m.name == name)
    }
}

/// Architecture names: QEMU's target → libvirt's.
pub fn arch_from_target(target: &str) -> &str {
    match target {
        "i386" => "i686",
        "arm" => "armv7l",
        "or1k" => "or32",
        other => other,
    }
}

/// Architecture names: libvirt's → QEMU's target.
pub fn target_from_arch(arch: &str) -> &str {
    match arch {
        "i686" => "i386",
        "armv6l" | "armv7l" | "armv7b" => "arm",
        "or32" => "or1k",
        "ppc64le" => "ppc64",
        "ppcle" => "ppc",
        "s390" => "s390x",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn two_machines() -> Capability {
        let machine = |name: &str, alias: &str, default| Machine {
            name: name.into(),
            alias: Some(alias.into()),
            default,
            ..Machine::default()
        };
        let tcg = Accelerated {
            machines: vec![machine("pc-i440fx-10.0", "pc", true), machine("pc-q35-10.0", "q35", false)],
            ..Accelerated::default()
        };
        Capability {
            emulator: "/usr/bin/qemu-system-x86_64".into(),
            version: 10_000_002,
            package: String::new(),
            arch: "x86_64".into(),
            kvm: None,
            tcg: Some(tcg),
            host_features: BTreeSet::new(),
            types: BTreeSet::new(),
            properties: BTreeMap::new(),
            commands: BTreeSet::new(),
            options: BTreeMap::new(),
            tpm_models: vec![],
            tpm_types: vec![],
            schema: BTreeSet::new(),
        }
    }

    #[test]
    fn aliases_and_default() {
        let capability = two_machines();
        assert_eq!(capability.canonical_machine(VirtType::Tcg, "q35"), "pc-q35-10.0");
        assert_eq!(capability.canonical_machine(VirtType::Tcg, "pc-q35-2.4"), "pc-q35-2.4");
        assert_eq!(capability.default_machine(VirtType::Tcg).unwrap().name, "pc-i440fx-10.0");
        assert_eq!(capability.best_virt(), VirtType::Tcg);
    }
}
