//! Every device of a definition that has an address, in libvirt's order.

use conf::domain::DomainDef;
use conf::domain::device::info::DeviceInfo;

use super::pci::connect::{Connect, Wishes};

/// Calls `visit` with the shared part of each device and the kind of PCI slot it wants.
pub fn each<E>(def: &mut DomainDef, mut visit: impl FnMut(&mut DeviceInfo, Connect) -> Result<(), E>) -> Result<(), E> {
    let wishes = Wishes::of(def);
    let none = Connect::default();
    let d = &mut def.devices;
    for disk in &mut d.disks {
        let wanted = wishes.disk(disk);
        visit(&mut disk.info, wanted)?;
    }
    for interface in &mut d.interfaces {
        let wanted = wishes.interface(interface);
        visit(&mut interface.info, wanted)?;
    }
    for sound in &mut d.sounds {
        visit(&mut sound.info, wishes.sound(sound.model))?;
    }
    for hostdev in &mut d.hostdevs {
        let wanted = wishes.hostdev(hostdev);
        visit(&mut hostdev.info, wanted)?;
    }
    for video in &mut d.videos {
        visit(&mut video.info, wishes.video(video.model))?;
    }
    for controller in &mut d.controllers {
        let wanted = wishes.controller(controller);
        visit(&mut controller.info, wanted)?;
    }
    for smartcard in &mut d.smartcards {
        visit(&mut smartcard.info, none)?;
    }
    for serial in &mut d.serials {
        visit(&mut serial.info, wishes.serial(serial.target))?;
    }
    for parallel in &mut d.parallels {
        visit(&mut parallel.info, none)?;
    }
    for channel in &mut d.channels {
        visit(&mut channel.info, none)?;
    }
    for (number, console) in d.consoles.iter_mut().enumerate() {
        // The first console may be the first serial port once more.
        if number == 0
            && console.target == Some(conf::domain::device::chardev::ConsoleType::Serial)
            && !d.serials.is_empty()
        {
            continue;
        }
        visit(&mut console.info, none)?;
    }
    for input in &mut d.inputs {
        visit(&mut input.info, wishes.input(input.bus, input.model))?;
    }
    for filesystem in &mut d.filesystems {
        let wanted = wishes.filesystem(filesystem);
        visit(&mut filesystem.info, wanted)?;
    }
    for watchdog in &mut d.watchdogs {
        visit(&mut watchdog.info, wishes.watchdog(watchdog.model))?;
    }
    if let Some(balloon) = &mut d.memballoon {
        visit(&mut balloon.info, wishes.memballoon(balloon.model))?;
    }
    for rng in &mut d.rngs {
        visit(&mut rng.info, wishes.virtio(Some(rng.model)))?;
    }
    if let Some(nvram) = &mut d.nvram {
        visit(&mut nvram.info, none)?;
    }
    for hub in &mut d.hubs {
        visit(&mut hub.info, none)?;
    }
    for shmem in &mut d.shmems {
        visit(&mut shmem.info, wishes.shmem())?;
    }
    for tpm in &mut d.tpms {
        visit(&mut tpm.info, none)?;
    }
    for redirdev in &mut d.redirdevs {
        visit(&mut redirdev.info, none)?;
    }
    for panic in &mut d.panics {
        visit(&mut panic.info, wishes.panic(panic.model))?;
    }
    for memory in &mut d.memories {
        visit(&mut memory.info, wishes.memory(memory.model))?;
    }
    if let Some(iommu) = &mut d.iommu {
        visit(&mut iommu.info, wishes.iommu(iommu.model))?;
    }
    if let Some(vsock) = &mut d.vsock {
        visit(&mut vsock.info, wishes.vsock(vsock.model))?;
    }
    for crypto in &mut d.cryptos {
        visit(&mut crypto.info, wishes.crypto())?;
    }
    if let Some(pstore) = &mut d.pstore {
        visit(&mut pstore.info, none)?;
    }
    Ok(())
}
