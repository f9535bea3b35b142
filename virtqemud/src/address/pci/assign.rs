//! The order in which devices get their PCI addresses.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel};
use conf::domain::device::disk::DiskBus;
use conf::domain::device::info::{Address, DeviceInfo, PciAddress};
use conf::domain::device::interface::InterfaceKind;
use conf::domain::device::sound::SoundModel;
use error::Result;

use super::bus::Bus;
use super::connect::{Connect, PCI, PCIE, Wishes};
use super::set::AddressSet;
use super::{chipset, internal, options, xml_error};
use crate::address::{iterate, machine};
use crate::capability::Capability;

/// Gives every PCI device an address and adds the controllers that are needed for it.
pub fn assign(def: &mut DomainDef, capability: &Capability) -> Result<()> {
    let pci_controllers = || def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Pci);
    let highest = pci_controllers().map(ControllerDef::number).max();
    let mut bus_count = highest.map_or(0, |h| h as usize + 1);
    if bus_count > 0 {
        let trial = dry_run(&mut def.clone(), capability, bus_count)?;
        // A new guest with nothing but its root lets us manage the topology: keep one port free for hot-plug.
        let set = finish_trial(def, capability, trial, bus_count)?;
        bus_count = set.buses.len();
    }
    let mut set = create(def, capability, bus_count, false)?;
    if (machine::supports_pci(def) || machine::is_x86(def)) && (bus_count > 0 || machine::is_x86(def)) {
        chipset::validate(def, &mut set)?;
        assign_slots(def, &mut set)?;
        mark_multifunction(def);
        options::fill(def)?;
    } else if bus_count == 0 {
        chipset::validate(def, &mut set)?;
    }
    Ok(())
}

/// First pass over a copy: what buses would there be?
fn dry_run(def: &mut DomainDef, capability: &Capability, bus_count: usize) -> Result<AddressSet> {
    let mut set = create(def, capability, bus_count, true)?;
    chipset::validate(def, &mut set)?;
    let full = set.buses.iter().all(Bus::is_full);
    let mut spare = DeviceInfo::default();
    // Room for a bridge, should the last slots of a plain PCI bus be given out.
    if !full && machine::has_pci_root(def) && !machine::is_pseries(def) {
        set.reserve_next(&mut spare, PCI, None)?;
    }
    assign_slots(def, &mut set)?;
    let only_root = bus_count <= 1;
    if only_root && set.buses.len() > bus_count && machine::has_pcie_root(def) {
        set.reserve_next(&mut spare, PCIE, None)?;
    }
    Ok(set)
}

/// Adds the controllers of the trial's new buses to the definition; these need places themselves, so more may come.
fn finish_trial(def: &mut DomainDef, capability: &Capability, mut set: AddressSet, given: usize) -> Result<AddressSet> {
    let _ = capability;
    let wishes = Wishes::of(def);
    let mut number = 1;
    while number < set.buses.len() {
        let exists =
            def.devices.controllers.iter().any(|c| c.kind == ControllerKind::Pci && c.number() as usize == number);
        if !exists {
            let model = set.buses[number].model.ok_or_else(|| internal(format!("PCI bus {number} has no model")))?;
            let controller = ControllerDef::new(ControllerKind::Pci, Some(number as u32), Some(model));
            let wanted = wishes.controller(&controller);
            let at = insert_position(&def.devices.controllers, ControllerKind::Pci, number as u32);
            def.devices.controllers.insert(at, controller);
            if !wanted.is_none() {
                set.reserve_next(&mut DeviceInfo::default(), wanted, None)?;
            }
        }
        number += 1;
    }
    debug_assert!(set.buses.len() >= given);
    Ok(set)
}

/// Controllers are kept by kind, then number: where a new one goes.
fn insert_position(controllers: &[ControllerDef], kind: ControllerKind, number: u32) -> usize {
    let same: Vec<usize> = (0..controllers.len()).filter(|i| controllers[*i].kind == kind).collect();
    match same.iter().find(|i| controllers[**i].number() > number) {
        Some(after) => *after,
        None => same.last().map_or(controllers.len(), |last| last + 1),
    }
}

/// The buses of a definition, with what is already on them.
fn create(def: &mut DomainDef, capability: &Capability, bus_count: usize, dry_run: bool) -> Result<AddressSet> {
    let mut buses = vec![Bus::default(); bus_count];
    for controller in def.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Pci) {
        let number = controller.number() as usize;
        let model = controller.model.ok_or_else(|| internal("PCI controller model was not set correctly"))?;
        buses[number] = Bus::of(model).ok_or_else(|| internal(format!("Invalid PCI controller model {model}")))?;
    }
    let filler = if machine::is_pseries(def) {
        ControllerModel::PciRoot
    } else if machine::has_pcie_root(def) {
        ControllerModel::PcieRootPort
    } else {
        ControllerModel::PciBridge
    };
    for (number, bus) in buses.iter_mut().enumerate().filter(|(_, b)| b.model.is_none()) {
        let model = if number == 0 { ControllerModel::PciRoot } else { filler };
        *bus = Bus::of(model).expect("a bridge is a PCI controller");
    }
    let many_roots = machine::is_pseries(def);
    let pcie_to_pci_bridge = capability.has_type("pcie-pci-bridge");
    let mut set = AddressSet { buses, dry_run, many_roots, pcie_to_pci_bridge };
    collect(def, &mut set)?;
    Ok(set)
}

/// Takes the addresses that the definition already has.
fn collect(def: &mut DomainDef, set: &mut AddressSet) -> Result<()> {
    // The first IDE and USB controllers of the PIIX3 are handled with their chip set.
    let built_in = |c: &ControllerDef| {
        c.info.pci().is_some_and(|at| {
            at.domain == 0
                && at.bus == 0
                && at.slot == 1
                && c.number() == 0
                && match c.kind {
                    ControllerKind::Ide => at.function == 1,
                    ControllerKind::Usb => {
                        at.function == 2 && matches!(c.model, None | Some(ControllerModel::Piix3Uhci))
                    }
                    _ => false,
                }
        })
    };
    let skipped: Vec<PciAddress> =
        def.devices.controllers.iter().filter(|c| built_in(c)).filter_map(|c| c.info.pci().copied()).collect();
    if !skipped.is_empty() && set.buses.first().is_some_and(|b| !b.offers.any(Connect::PCI_DEVICE)) {
        return Err(internal("Bus 0 must be PCI for integrated PIIX3 USB or IDE controllers"));
    }
    iterate::each(def, |info, wanted| {
        let Some(at) = info.pci().filter(|at| !at.is_empty()).copied() else { return Ok(()) };
        if skipped.contains(&at) {
            return Ok(());
        }
        // Definitions of old gave addresses to devices that have none; let them be.
        let wanted = if wanted.is_none() { PCI } else { wanted };
        set.reserve(&at, wanted, true)
    })
}

fn wanted(info: &DeviceInfo) -> bool {
    info.address.is_none() || info.wants_pci()
}

/// Every device that wants an address gets the next one, family by family.
fn assign_slots(def: &mut DomainDef, set: &mut AddressSet) -> Result<()> {
    let wishes = Wishes::of(def);
    let mut give = |info: &mut DeviceInfo, kind: Connect| -> Result<()> {
        if wanted(info) && !kind.is_none() { set.reserve_next(info, kind, None) } else { Ok(()) }
    };
    let d = &mut def.devices;
    for controller in d.controllers.iter_mut().filter(|c| c.kind == ControllerKind::Pci) {
        let kind = wishes.controller(controller);
        give(&mut controller.info, kind)?;
    }
    for filesystem in &mut d.filesystems {
        let kind = wishes.filesystem(filesystem);
        give(&mut filesystem.info, kind)?;
    }
    for interface in d.interfaces.iter_mut().filter(|i| i.kind != InterfaceKind::Hostdev) {
        let kind = wishes.interface(interface);
        give(&mut interface.info, kind)?;
    }
    for sound in d.sounds.iter_mut().filter(|s| s.model != SoundModel::Usb) {
        give(&mut sound.info, wishes.sound(sound.model))?;
    }
    controllers(&mut d.controllers, wishes, set)?;
    let mut give = |info: &mut DeviceInfo, kind: Connect| -> Result<()> {
        if wanted(info) && !kind.is_none() { set.reserve_next(info, kind, None) } else { Ok(()) }
    };
    for disk in d.disks.iter_mut().filter(|d| d.bus == Some(DiskBus::Virtio)) {
        match &disk.info.address {
            None | Some(Address::Pci(_) | Address::Ccw(_) | Address::VirtioS390 | Address::VirtioMmio) => {}
            Some(other) => {
                return Err(super::unsupported(format!(
                    "virtio disk cannot have an address of type '{}'",
                    other.kind()
                )));
            }
        }
        let kind = wishes.disk(disk);
        give(&mut disk.info, kind)?;
    }
    for interface in d.interfaces.iter_mut().filter(|i| i.kind == InterfaceKind::Hostdev) {
        let kind = wishes.interface(interface);
        give(&mut interface.info, kind)?;
    }
    for hostdev in &mut d.hostdevs {
        let kind = wishes.hostdev(hostdev);
        give(&mut hostdev.info, kind)?;
    }
    if let Some(balloon) = &mut d.memballoon {
        give(&mut balloon.info, wishes.memballoon(balloon.model))?;
    }
    for rng in &mut d.rngs {
        give(&mut rng.info, wishes.virtio(Some(rng.model)))?;
    }
    for watchdog in &mut d.watchdogs {
        give(&mut watchdog.info, wishes.watchdog(watchdog.model))?;
    }
    for video in &mut d.videos {
        give(&mut video.info, wishes.video(video.model))?;
    }
    for shmem in &mut d.shmems {
        give(&mut shmem.info, wishes.shmem())?;
    }
    for input in &mut d.inputs {
        give(&mut input.info, wishes.input(input.bus, input.model))?;
    }
    for serial in &mut d.serials {
        give(&mut serial.info, wishes.serial(serial.target))?;
    }
    if let Some(vsock) = &mut d.vsock {
        give(&mut vsock.info, wishes.vsock(vsock.model))?;
    }
    for panic in &mut d.panics {
        give(&mut panic.info, wishes.panic(panic.model))?;
    }
    for memory in &mut d.memories {
        give(&mut memory.info, wishes.memory(memory.model))?;
    }
    for crypto in &mut d.cryptos {
        give(&mut crypto.info, wishes.crypto())?;
    }
    if let Some(pstore) = &mut d.pstore {
        give(&mut pstore.info, PCI)?;
    }
    if let Some(iommu) = &mut d.iommu {
        give(&mut iommu.info, wishes.iommu(iommu.model))?;
    }
    Ok(())
}

fn is_usb2(model: Option<ControllerModel>) -> Option<u32> {
    match model {
        Some(ControllerModel::Ich9Ehci1) => Some(7),
        Some(ControllerModel::Ich9Uhci1) => Some(0),
        Some(ControllerModel::Ich9Uhci2) => Some(1),
        Some(ControllerModel::Ich9Uhci3) => Some(2),
        _ => None,
    }
}

/// Controllers other than PCI ones; the companions of a USB 2 controller share one slot.
fn controllers(controllers: &mut [ControllerDef], wishes: Wishes, set: &mut AddressSet) -> Result<()> {
    for number in 0..controllers.len() {
        let controller = &controllers[number];
        let elsewhere = match controller.kind {
            ControllerKind::Pci | ControllerKind::Fdc | ControllerKind::Ccid => true,
            ControllerKind::Usb => controller.model == Some(ControllerModel::None),
            ControllerKind::Ide => controller.number() == 0,
            _ => false,
        };
        let kind = wishes.controller(controller);
        if elsewhere || !wanted(&controller.info) || kind.is_none() {
            continue;
        }
        let Some(function) = is_usb2(controller.model).filter(|_| controller.kind == ControllerKind::Usb) else {
            set.reserve_next(&mut controllers[number].info, kind, None)?;
            continue;
        };
        let family = controller.index;
        let multifunction = (function == 0).then_some(true);
        let sibling = controllers
            .iter()
            .filter(|c| c.kind == ControllerKind::Usb && c.index == family && is_usb2(c.model).is_some())
            .find_map(|c| c.info.pci().filter(|at| !at.is_empty()).copied());
        let info = &mut controllers[number].info;
        match sibling {
            None => {
                set.reserve_next(info, kind, Some(function))?;
                if let Some(Address::Pci(at)) = &mut info.address {
                    at.multifunction = multifunction;
                }
            }
            Some(sibling) => {
                let at = PciAddress { function, multifunction, ..sibling };
                set.reserve(&at, kind, true)?;
                info.address = Some(Address::Pci(at));
            }
        }
    }
    Ok(())
}

/// Function 0 of a slot with more functions says so.
fn mark_multifunction(def: &mut DomainDef) {
    let mut shared = std::collections::HashSet::new();
    let _ = iterate::each(def, |info, _| {
        if let Some(at) = info.pci().filter(|at| !at.is_empty() && at.function != 0) {
            shared.insert((at.domain, at.bus, at.slot));
        }
        Ok::<(), ()>(())
    });
    let _ = iterate::each(def, |info, _| {
        if let Some(Address::Pci(at)) = &mut info.address
            && at.function == 0
            && at.multifunction.is_none()
            && !at.is_empty()
            && shared.contains(&(at.domain, at.bus, at.slot))
        {
            at.multifunction = Some(true);
        }
        Ok::<(), ()>(())
    });
}

pub(super) fn bus_below_index(controller: &ControllerDef) -> Result<()> {
    let Some(at) = controller.info.pci() else { return Ok(()) };
    if at.bus >= controller.number() && controller.number() > 0 {
        return Err(xml_error(format!(
            "PCI controller at index {} (0x{:02x}) has bus='0x{:02x}', but index must be larger than bus",
            controller.number(),
            controller.number(),
            at.bus
        )));
    }
    Ok(())
}
