//! Questions to a QEMU without a machine: what it could do.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::PropertyInfo;
use crate::qmp::command::commands;

commands! {
    /// Version.
    QueryVersion = "query-version" -> crate::qmp::Version {}
    /// Target architecture (`x86_64`).
    QueryTarget = "query-target" -> TargetInfo {}
    /// Whether KVM is there and in use.
    QueryKvm = "query-kvm" -> KvmInfo {}
    /// Machine types.
    QueryMachines = "query-machines" -> Vec<MachineInfo> {}
    /// CPU models.
    QueryCpuDefinitions = "query-cpu-definitions" -> Vec<CpuDefinition> {}
    /// What a model stands for; `type` is `static` or `full`.
    QueryCpuModelExpansion = "query-cpu-model-expansion" -> CpuModelExpansion {
        #[serde(rename = "type")] type_: String,
        model: CpuModel,
    }
    /// Types of QEMU's object model.
    QomListTypes = "qom-list-types" -> Vec<ObjectType> {
        #[serde(skip_serializing_if = "Option::is_none")] implements: Option<String>,
        #[serde(rename = "abstract", skip_serializing_if = "Option::is_none")] abstract_: Option<bool>,
    }
    /// Properties of a device type.
    DeviceListProperties = "device-list-properties" -> Vec<PropertyInfo> { #[serde(rename = "typename")] typename: String }
    /// Properties of an object type.
    QomListProperties = "qom-list-properties" -> Vec<PropertyInfo> { #[serde(rename = "typename")] typename: String }
    /// Names of commands.
    QueryCommands = "query-commands" -> Vec<CommandInfo> {}
    /// Options of the command line.
    QueryCommandLineOptions = "query-command-line-options" -> Vec<CommandLineOption> {}
    /// The whole schema of QMP.
    QueryQmpSchema = "query-qmp-schema" -> Vec<Value> {}
    /// TPM front ends.
    QueryTpmModels = "query-tpm-models" -> Vec<String> {}
    /// TPM back ends.
    QueryTpmTypes = "query-tpm-types" -> Vec<String> {}
    /// Interrupt controllers (ARM).
    QueryGicCapabilities = "query-gic-capabilities" -> Vec<Value> {}
    /// Memory encryption of AMD.
    QuerySevCapabilities = "query-sev-capabilities" -> Value {}
    /// Memory encryption of Intel.
    QuerySgxCapabilities = "query-sgx-capabilities" -> Value {}
}

/// Reply of `query-target`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct TargetInfo {
    /// Architecture as in `qemu-system-ARCH`.
    pub arch: String,
}

/// Reply of `query-kvm`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct KvmInfo {
    /// In use.
    pub enabled: bool,
    /// Usable.
    pub present: bool,
}

/// One machine type.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub struct MachineInfo {
    /// Versioned name (`pc-q35-10.0`).
    pub name: String,
    /// Short name that stands for it (`q35`).
    #[serde(default)]
    pub alias: Option<String>,
    /// Whether QEMU takes it when nobody says.
    #[serde(default)]
    pub is_default: bool,
    /// Most vCPUs.
    #[serde(default)]
    pub cpu_max: u32,
    /// Whether vCPUs can be plugged.
    #[serde(default)]
    pub hotpluggable_cpus: bool,
    /// Whether memory may be described by NUMA nodes.
    #[serde(default)]
    pub numa_mem_supported: bool,
    /// Whether QEMU's authors want to drop it.
    #[serde(default)]
    pub deprecated: bool,
    /// CPU type when nobody says (`qemu64-x86_64-cpu`).
    #[serde(default)]
    pub default_cpu_type: Option<String>,
    /// Id of the main memory (`pc.ram`).
    #[serde(default)]
    pub default_ram_id: Option<String>,
    /// Whether ACPI is there to switch off.
    #[serde(default)]
    pub acpi: Option<bool>,
}

/// One CPU model.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub struct CpuDefinition {
    /// Name (`Skylake-Client`).
    pub name: String,
    /// What keeps the host from running it; absent when unknown.
    #[serde(default)]
    pub unavailable_features: Option<Vec<String>>,
    /// Object type (`Skylake-Client-x86_64-cpu`).
    #[serde(default)]
    pub typename: String,
    /// Versioned name it stands for.
    #[serde(default)]
    pub alias_of: Option<String>,
    /// Whether QEMU's authors want to drop it.
    #[serde(default)]
    pub deprecated: bool,
    /// Whether it means the same everywhere.
    #[serde(default, rename = "static")]
    pub static_: bool,
}

/// A model and how its features differ from the plain one.
#[derive(Debug, Clone, Deserialize, serde::Serialize, PartialEq)]
pub struct CpuModel {
    /// Model name.
    pub name: String,
    /// Feature → value.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub props: Map<String, Value>,
}

/// Reply of `query-cpu-model-expansion`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct CpuModelExpansion {
    /// What it stands for.
    pub model: CpuModel,
}

/// One type.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct ObjectType {
    /// Its name.
    pub name: String,
    /// Its parent.
    #[serde(default)]
    pub parent: Option<String>,
}

/// One command.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct CommandInfo {
    /// Its name.
    pub name: String,
}

/// One option of the command line.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct CommandLineOption {
    /// Without the dash.
    pub option: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Vec<OptionParameter>,
}

/// One parameter.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct OptionParameter {
    /// Its name.
    pub name: String,
}
