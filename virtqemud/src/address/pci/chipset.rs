//! Places that a chip set fixes.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::info::{Address, DeviceInfo, PciAddress};
use conf::domain::device::sound::SoundModel;
use conf::domain::device::video::VideoModel;
use error::Result;

use super::bus::Connect;
use super::connect::{PCI, Wishes};
use super::internal;
use super::set::AddressSet;
use crate::address::machine;

/// Checks and takes what the chip set of this machine holds.
pub fn validate(def: &mut DomainDef, set: &mut AddressSet) -> Result<()> {
    if machine::is_i440fx(def) {
        piix3(def, set)?;
    }
    if machine::is_q35(def) {
        q35(def, set)?;
    }
    Ok(())
}

fn at(slot: u32, function: u32) -> PciAddress {
    PciAddress { slot, function, ..PciAddress::default() }
}

fn present(info: &DeviceInfo) -> Option<&PciAddress> {
    info.pci().filter(|at| !at.is_empty())
}

fn same_place(a: &PciAddress, b: &PciAddress) -> bool {
    (a.domain, a.bus, a.slot, a.function) == (b.domain, b.bus, b.slot, b.function)
}

fn piix3(def: &mut DomainDef, set: &mut AddressSet) -> Result<()> {
    for controller in def.devices.controllers.iter_mut().filter(|c| c.number() == 0) {
        let (place, complaint) = match (controller.kind, controller.model) {
            (ControllerKind::Ide, _) => (at(1, 1), "Primary IDE controller must have PCI address 0:0:1.1"),
            (ControllerKind::Usb, None | Some(ControllerModel::Piix3Uhci)) => {
                (at(1, 2), "PIIX3 USB controller at index 0 must have PCI address 0:0:1.2")
            }
            _ => continue,
        };
        match present(&controller.info) {
            Some(given) if !same_place(given, &place) => return Err(internal(complaint)),
            Some(_) => {}
            None => controller.info.address = Some(Address::Pci(place)),
        }
        if !set.buses.is_empty() {
            set.reserve(&place, PCI, true)?;
        }
    }
    if !set.buses.is_empty() {
        // The ISA bridge and the power management function.
        set.reserve(&at(1, 0), PCI, true)?;
        set.reserve(&at(1, 3), PCI, true)?;
    }
    primary_video(def, set, 2)
}

/// QEMU puts the first video card into the first slot after the chip set.
fn primary_video(def: &mut DomainDef, set: &mut AddressSet, slot: u32) -> Result<()> {
    let wishes = Wishes::of(def);
    let Some(video) = def.devices.videos.first_mut() else { return Ok(()) };
    if matches!(video.model, Some(VideoModel::None | VideoModel::Ramfb)) || set.buses.is_empty() {
        return Ok(());
    }
    let wanted = wishes.video(video.model);
    if wanted.is_none() || !(video.info.address.is_none() || video.info.wants_pci()) {
        return Ok(());
    }
    let place = at(slot, 0);
    set.validate(&place, wanted, true)?;
    if set.in_use(&place) {
        return set.reserve_next(&mut video.info, wanted, None);
    }
    set.reserve(&place, wanted, true)?;
    video.info.address = Some(Address::Pci(place));
    Ok(())
}

fn q35(def: &mut DomainDef, set: &mut AddressSet) -> Result<()> {
    let wishes = Wishes::of(def);
    for controller in &mut def.devices.controllers {
        let kind = wishes.controller(controller);
        let wanted = controller.info.address.is_none() || controller.info.wants_pci();
        match (controller.kind, controller.model) {
            (ControllerKind::Sata, _) if controller.number() == 0 => {
                let place = at(0x1f, 2);
                match present(&controller.info) {
                    Some(given) if !same_place(given, &place) => {
                        return Err(internal("Primary SATA controller must have PCI address 0:0:1f.2"));
                    }
                    Some(_) => {}
                    None => {
                        controller.info.address = Some(Address::Pci(place));
                        set.reserve(&place, kind, true)?;
                    }
                }
            }
            // Where real hardware has them, if free.
            (ControllerKind::Usb, Some(ControllerModel::Ich9Uhci1)) if wanted => {
                if let Some(slot) = [0x1d, 0x1a].into_iter().find(|s| !set.in_use(&at(*s, 0))) {
                    set.reserve(&at(slot, 0), kind, true)?;
                    controller.info.address =
                        Some(Address::Pci(PciAddress { multifunction: Some(true), ..at(slot, 0) }));
                }
            }
            (ControllerKind::Pci, Some(ControllerModel::DmiToPciBridge)) if wanted && !set.in_use(&at(0x1e, 0)) => {
                set.reserve(&at(0x1e, 0), kind, true)?;
                controller.info.address = Some(Address::Pci(at(0x1e, 0)));
            }
            _ => {}
        }
    }
    if !set.buses.is_empty() {
        // The ISA bridge and the SMBus controller.
        let plain = Connect::PCI_DEVICE;
        set.reserve(&PciAddress { multifunction: Some(true), ..at(0x1f, 0) }, plain, true)?;
        set.reserve(&at(0x1f, 3), plain, true)?;
    }
    primary_video(def, set, 1)?;
    for sound in def.devices.sounds.iter_mut().filter(|s| s.model == SoundModel::Ich9) {
        if present(&sound.info).is_none() && !set.buses.is_empty() && !set.in_use(&at(0x1b, 0)) {
            set.reserve(&at(0x1b, 0), wishes.sound(sound.model), true)?;
            sound.info.address = Some(Address::Pci(at(0x1b, 0)));
        }
    }
    Ok(())
}
