//! What QEMU's smaller devices cannot be: memory modules, TPMs, panic devices, shared memory, file systems, watchdogs.

use conf::domain::DomainDef;
use conf::domain::device::filesystem::{AccessMode, FilesystemKind};
use conf::domain::device::info::{AddressKind, DeviceInfo};
use conf::domain::device::memory::MemoryModel;
use conf::domain::device::panic::PanicModel;
use conf::domain::device::shmem::{ShmemDef, ShmemModel};
use conf::domain::device::tpm::TpmModel;
use conf::domain::device::watchdog::WatchdogModel;
use error::Result;

use super::{Facts, unsupported};
use crate::address::machine;

fn kind(info: &DeviceInfo) -> Option<AddressKind> {
    info.address.as_ref().map(conf::domain::device::info::Address::kind)
}

/// Checks that libvirt makes before it gives out addresses.
pub(super) fn before_addresses(def: &DomainDef) -> Result<()> {
    def.devices.shmems.iter().try_for_each(shmem)
}

/// Checks every one of them.
pub(super) fn all(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    memories(def, facts)?;
    for panic in &def.devices.panics {
        match (panic.model, kind(&panic.info)) {
            (Some(PanicModel::Isa), Some(at)) if at != AddressKind::Isa => {
                return Err(unsupported("panic is supported only with ISA address type"));
            }
            (Some(PanicModel::Pvpanic), Some(at)) if at != AddressKind::Pci => {
                return Err(unsupported("pvpanic is supported only with PCI address type"));
            }
            (Some(PanicModel::Isa), _) if !facts.capability.has_type("pvpanic") => {
                return Err(unsupported("the QEMU binary does not support the ISA panic device"));
            }
            _ => {}
        }
    }
    for watchdog in &def.devices.watchdogs {
        match (watchdog.model, kind(&watchdog.info)) {
            (WatchdogModel::I6300esb, Some(at)) if at != AddressKind::Pci => {
                return Err(unsupported("i6300esb model of watchdog can go only on PCI bus"));
            }
            (WatchdogModel::Ib700, Some(_)) => {
                return Err(unsupported("ib700 model of watchdog does not support configuring the address"));
            }
            _ => {}
        }
    }
    for fs in &def.devices.filesystems {
        if fs.kind != FilesystemKind::Mount {
            return Err(unsupported("only supports mount filesystem type"));
        }
        if (fs.fmode.is_some() || fs.dmode.is_some()) && fs.access_mode != Some(AccessMode::Mapped) {
            return Err(unsupported("fmode and dmode must be used with accessmode=mapped"));
        }
    }
    let (proxies, others): (Vec<_>, Vec<_>) =
        def.devices.tpms.iter().partition(|t| t.model == Some(TpmModel::SpaprProxy));
    if proxies.len() > 1 {
        return Err(unsupported("only a single TPM Proxy device is supported"));
    }
    if others.len() > 1 {
        return Err(unsupported("only a single TPM non-proxy device is supported"));
    }
    if def.devices.nvram.is_some() && !machine::is_ppc64(def) {
        return Err(unsupported("nvram device is only supported for PPC64"));
    }
    Ok(())
}

fn memories(def: &DomainDef, facts: &Facts<'_>) -> Result<()> {
    for memory in &def.devices.memories {
        let at = kind(&memory.info);
        match memory.model {
            MemoryModel::VirtioPmem if at.is_some_and(|a| a != AddressKind::Pci) => {
                return Err(unsupported("only 'pci' addresses are supported for the virtio-pmem device"));
            }
            MemoryModel::VirtioMem if at.is_some_and(|a| !matches!(a, AddressKind::Pci | AddressKind::Ccw)) => {
                return Err(unsupported("only 'pci' and 'ccw' addresses are supported for the virtio-mem device"));
            }
            MemoryModel::SgxEpc if !facts.capability.commands.contains("query-sgx-capabilities:available") => {
                return Err(unsupported("sgx epc isn't supported by this QEMU binary"));
            }
            MemoryModel::Dimm | MemoryModel::Nvdimm if memory.target_node.is_none() && def.numa.cells.len() > 1 => {
                return Err(unsupported("target NUMA node needs to be specified for memory device"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn shmem(shmem: &ShmemDef) -> Result<()> {
    match shmem.model {
        Some(model @ ShmemModel::IvshmemPlain) if shmem.server.is_some() => {
            return Err(unsupported(format!("shmem model '{model}' is supported only with server option disabled")));
        }
        Some(model @ ShmemModel::IvshmemDoorbell) => {
            if shmem.server.is_none() {
                return Err(unsupported(format!("shmem model '{model}' is supported only with server option enabled")));
            }
            if shmem.size.is_some_and(|s| s > 0) {
                return Err(unsupported(format!("shmem model '{model}' does not support size setting")));
            }
        }
        _ => {}
    }
    Ok(())
}
