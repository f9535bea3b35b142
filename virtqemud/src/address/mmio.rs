//! virtio-mmio, the transport of boards without PCI.

use conf::domain::DomainDef;
use conf::domain::device::controller::ControllerKind;
use conf::domain::device::disk::DiskBus;
use conf::domain::device::info::{Address, DeviceInfo};
use conf::domain::device::input::InputBus;
use conf::domain::device::memballoon::MemballoonModel;

use super::{iterate, machine};

/// Puts virtio devices without an address on the board's virtio-mmio slots.
pub fn assign(def: &mut DomainDef) {
    if !(machine::is_arm(def) || machine::is_riscv(def)) {
        return;
    }
    let name = def.os.machine.as_deref().unwrap_or("");
    if !(name.starts_with("vexpress-") || machine::is_arm_virt(def) || machine::is_riscv_virt(def)) {
        return;
    }
    if machine::has_pcie_root(def) {
        // PCI is preferred where it is, unless a device already uses the older transport.
        let mut seen = false;
        let _ = iterate::each(def, |info, _| {
            seen |= info.address == Some(Address::VirtioMmio);
            Ok::<(), ()>(())
        });
        if !seen {
            return;
        }
    }
    prime(def, &Address::VirtioMmio);
}

/// Gives `transport` to every virtio device that has no address.
pub fn prime(def: &mut DomainDef, transport: &Address) {
    let set = |info: &mut DeviceInfo| {
        if info.address.is_none() {
            info.address = Some(transport.clone());
        }
    };
    let d = &mut def.devices;
    d.disks.iter_mut().filter(|d| d.bus == Some(DiskBus::Virtio)).for_each(|d| set(&mut d.info));
    d.interfaces.iter_mut().filter(|i| i.is_virtio()).for_each(|i| set(&mut i.info));
    d.inputs.iter_mut().filter(|i| i.bus == Some(InputBus::Virtio)).for_each(|i| set(&mut i.info));
    let virtio_controller = |kind| matches!(kind, ControllerKind::VirtioSerial | ControllerKind::Scsi);
    d.controllers.iter_mut().filter(|c| virtio_controller(c.kind)).for_each(|c| set(&mut c.info));
    d.memballoon.iter_mut().filter(|b| b.model == MemballoonModel::Virtio).for_each(|b| set(&mut b.info));
    d.rngs.iter_mut().for_each(|r| set(&mut r.info));
    d.filesystems.iter_mut().for_each(|f| set(&mut f.info));
    d.sounds
        .iter_mut()
        .filter(|s| s.model == conf::domain::device::sound::SoundModel::Virtio)
        .for_each(|s| set(&mut s.info));
    d.cryptos.iter_mut().for_each(|c| set(&mut c.info));
    d.vsock.iter_mut().for_each(|v| set(&mut v.info));
    if *transport != Address::VirtioMmio {
        use conf::domain::device::{
            hostdev::HostdevSource, hostdev::MdevModel, memory::MemoryModel, video::VideoModel,
        };
        d.videos.iter_mut().filter(|v| v.model == Some(VideoModel::Virtio)).for_each(|v| set(&mut v.info));
        for hostdev in &mut d.hostdevs {
            if matches!(
                &hostdev.source,
                HostdevSource::ScsiHost { .. } | HostdevSource::Mdev { model: MdevModel::VfioCcw, .. }
            ) {
                set(&mut hostdev.info);
            }
        }
        d.memories
            .iter_mut()
            .filter(|m| matches!(m.model, MemoryModel::VirtioMem | MemoryModel::VirtioPmem))
            .for_each(|m| set(&mut m.info));
    }
}
