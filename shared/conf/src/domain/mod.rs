//! The domain: what a guest is made of.
//!
//! [`DomainDef`] is the root; the families stand in their own files (`os`, `cpu`, `memory`, ...) and `device/` holds the devices.
//! `parse` reads a document, `defaults` fills in what follows from the document alone, `validate` checks what no emulator is needed
//! for, `format` prints. What depends on an emulator happens in the driver between defaults and validation.

mod check_device;
mod check_disk;
mod check_memory;
mod check_numa;
pub mod clock;
pub mod cpu;
pub mod cputune;
pub mod defaults;
pub mod device;
pub mod fault;
pub mod features;
mod format;
pub mod launch_security;
pub mod lifecycle;
mod loader;
pub mod memory;
pub mod numa;
pub mod os;
mod parse;
mod placement;
pub mod qemu_namespace;
pub mod resource;
pub mod security;
pub mod sysinfo;
mod validate;
pub mod vcpu;

use xml::{Element, text_enum};

/// How a document is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ParseContext {
    /// A status document of a running guest: generated aliases, live paths and states are kept.
    pub live: bool,
}

text_enum! {
    /// Hypervisor.
    pub enum VirtType {
        Qemu = "qemu", Kqemu = "kqemu", Kvm = "kvm", Xen = "xen", Lxc = "lxc", Uml = "uml", Openvz = "openvz", Test = "test", Vmware = "vmware",
        Hyperv = "hyperv", Vbox = "vbox", Phyp = "phyp", Parallels = "parallels", Bhyve = "bhyve", Vz = "vz", Hvf = "hvf",
    }
}

/// `<domain>`
#[derive(Clone, Debug, PartialEq)]
pub struct DomainDef {
    pub virt_type: VirtType,
    /// Id of the running guest.
    pub id: Option<i32>,
    pub name: String,
    pub uuid: [u8; 16],
    pub hwuuid: Option<[u8; 16]>,
    /// Generation id; the flag says it is to be made up at start (`<genid/>`).
    pub genid: Option<([u8; 16], bool)>,
    pub title: Option<String>,
    pub description: Option<String>,
    /// Children of `<metadata>`.
    pub metadata: Vec<Element>,
    pub memory: memory::Memory,
    pub memory_backing: memory::MemoryBacking,
    pub mem_tune: memory::MemTune,
    pub blkio: resource::BlkioTune,
    pub vcpu: vcpu::Vcpus,
    pub iothreads: Vec<vcpu::Iothread>,
    pub default_iothread: Option<vcpu::DefaultIothread>,
    pub cputune: cputune::CpuTune,
    pub numatune: numa::NumaTune,
    pub resource: Option<resource::Resource>,
    pub throttle_groups: Vec<device::throttle::ThrottleGroup>,
    pub idmap: resource::IdMap,
    pub sysinfo: Vec<sysinfo::Sysinfo>,
    pub bootloader: Option<String>,
    pub bootloader_args: Option<String>,
    pub os: os::OsDef,
    pub features: features::Features,
    pub cpu: Option<cpu::CpuDef>,
    pub numa: numa::Numa,
    pub clock: clock::Clock,
    pub lifecycle: lifecycle::Lifecycle,
    pub pm: lifecycle::PowerManagement,
    pub perf: Vec<(String, bool)>,
    pub devices: device::Devices,
    pub labels: Vec<security::SecurityLabel>,
    pub keywrap: Option<resource::KeyWrap>,
    pub launch_security: Option<launch_security::LaunchSecurity>,
    pub qemu: Option<qemu_namespace::QemuNamespace>,
}
