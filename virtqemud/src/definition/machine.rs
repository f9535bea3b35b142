//! Emulator, machine type and what they switch on by themselves.

use conf::domain::DomainDef;
use conf::domain::device::iommu::IommuModel;
use conf::domain::features::{GicVersion, IoApic};
use error::Result;

use super::{Facts, unsupported, virt_type, xml_error};
use crate::address::machine;

/// Most vCPUs without extended interrupt mode.
const VCPUS_WITHOUT_EIM: usize = 255;

/// Fills in emulator and machine type.
pub(super) fn settle(def: &mut DomainDef, facts: &Facts<'_>) -> Result<()> {
    if def.bootloader.is_some() || def.bootloader_args.is_some() {
        return Err(unsupported("bootloader is not supported by QEMU"));
    }
    if def.devices.emulator.is_none() {
        def.devices.emulator = Some(facts.emulator.clone());
    }
    let virt = virt_type(def);
    def.os.machine = match def.os.machine.take() {
        Some(name) => Some(facts.capability.canonical_machine(virt, &name).to_owned()),
        None => {
            let machine = facts.capability.default_machine(virt);
            Some(machine.ok_or_else(|| xml_error("could not get preferred machine for the emulator"))?.name.clone())
        }
    };
    Ok(())
}

/// Features that a machine has unless told otherwise.
pub(super) fn add_features(def: &mut DomainDef) {
    if machine::is_arm_virt(def) && matches!(def.features.gic, None | Some(None)) {
        // without KVM, QEMU emulates version 2 for the machine's default
        def.features.gic = Some(Some(GicVersion::V2));
    }
}

/// What follows from devices.
pub(super) fn settle_late(def: &mut DomainDef) {
    // more vCPUs than 8-bit APIC ids need interrupt remapping with extended ids
    if def.vcpu.max() <= VCPUS_WITHOUT_EIM || !machine::is_q35(def) {
        return;
    }
    if let Some(iommu) = def.devices.iommu.as_mut().filter(|i| i.model == IommuModel::Intel) {
        iommu.intremap.get_or_insert(true);
        iommu.eim.get_or_insert(true);
        def.features.ioapic.get_or_insert(IoApic::Qemu);
    }
}
