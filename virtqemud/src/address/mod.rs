//! Where each device sits in the guest, and what it is called.
//!
//! [`assign`] fills in what a definition leaves open, as libvirt does, so that a guest keeps its hardware wherever it runs:
//! virtio-serial ports, then PCI (adding controllers where slots run out), then USB ports, then memory slots. [`alias`] names
//! the devices of a guest that is about to start.
//!
//! Reading order: [`machine`] (what a machine type implies) → [`pci`] → [`usb`], [`virtio_serial`], [`ccw`], [`spapr`], [`mmio`] →
//! [`alias`]. Pure: what QEMU can do comes in as [`Capability`].

pub mod alias;
mod ccw;
mod iterate;
pub mod machine;
mod mmio;
pub mod pci;
mod spapr;
mod usb;
mod virtio_serial;
pub(crate) mod zpci;

use conf::domain::DomainDef;
use error::Result;

use crate::capability::Capability;

/// Fills in every address that the definition leaves open and adds the controllers that they need.
///
/// # Errors
/// Addresses that clash, do not exist or do not fit their bus.
pub fn assign(def: &mut DomainDef, capability: &Capability) -> Result<()> {
    virtio_serial::assign(def)?;
    spapr::assign(def)?;
    ccw::assign(def)?;
    mmio::assign(def);
    pci::assign(def, capability)?;
    zpci::assign(def)?;
    usb::assign(def)?;
    memory_slots(def)
}

/// Numbers the slots of DIMMs and NVDIMMs that have none.
fn memory_slots(def: &mut DomainDef) -> Result<()> {
    use conf::domain::device::info::{Address, DimmAddress};
    use conf::domain::device::memory::MemoryModel;
    use std::collections::BTreeSet;

    let slotted = |model| matches!(model, MemoryModel::Dimm | MemoryModel::Nvdimm);
    let mut used = BTreeSet::new();
    for memory in &def.devices.memories {
        if let Some(Address::Dimm(dimm)) = &memory.info.address {
            if dimm.slot >= def.memory.slots && def.memory.slots > 0 {
                return Err(pci::unsupported(format!(
                    "memory device slot '{}' exceeds slots count '{}'",
                    dimm.slot, def.memory.slots
                )));
            }
            if !used.insert(dimm.slot) {
                return Err(pci::unsupported(format!(
                    "memory device slot '{}' is already being used by another memory device",
                    dimm.slot
                )));
            }
        }
    }
    for memory in def.devices.memories.iter_mut().filter(|m| slotted(m.model) && m.info.address.is_none()) {
        let free = (0..def.memory.slots)
            .find(|s| !used.contains(s))
            .ok_or_else(|| pci::internal("failed to find an empty memory slot"))?;
        used.insert(free);
        memory.info.address = Some(Address::Dimm(DimmAddress { slot: free, base: 0 }));
    }
    Ok(())
}
