//! Aliases: the ids by which QEMU knows the devices of a running guest.

use std::collections::HashSet;

use conf::domain::DomainDef;
use conf::domain::device::chardev::ConsoleType;
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel};
use conf::domain::device::disk::{DiskBus, DiskDef};
use conf::domain::device::info::{Address, DeviceInfo};
use conf::domain::device::interface::InterfaceKind;
use conf::domain::device::memory::MemoryModel;

use super::machine;

/// Names every device that has no name of the user's own.
pub fn assign(def: &mut DomainDef) {
    let places = Places::of(def);
    let d = &mut def.devices;
    let scsi: Vec<(u32, Option<ControllerModel>)> =
        d.controllers.iter().filter(|c| c.kind == ControllerKind::Scsi).map(|c| (c.number(), c.model)).collect();
    for disk in &mut d.disks {
        let alias = disk_alias(disk, &scsi);
        name(&mut disk.info, alias);
    }
    let mut numbers = Numbers::default();
    for interface in d.interfaces.iter_mut() {
        let prefix = if interface.actual_kind() == InterfaceKind::Hostdev { "hostdev" } else { "net" };
        numbers.name(&mut interface.info, prefix);
    }
    number(d.filesystems.iter_mut().map(|x| &mut x.info), "fs");
    number(d.sounds.iter_mut().map(|x| &mut x.info), "sound");
    for hostdev in &mut d.hostdevs {
        numbers.name(&mut hostdev.info, "hostdev");
    }
    number(d.redirdevs.iter_mut().map(|x| &mut x.info), "redir");
    number(d.videos.iter_mut().map(|x| &mut x.info), "video");
    for controller in &mut d.controllers {
        let alias = controller_alias(controller, places);
        name(&mut controller.info, alias);
    }
    number(d.inputs.iter_mut().map(|x| &mut x.info), "input");
    number(d.parallels.iter_mut().map(|x| &mut x.info), "parallel");
    number(d.serials.iter_mut().map(|x| &mut x.info), "serial");
    number(d.channels.iter_mut().map(|x| &mut x.info), "channel");
    let first_serial = d.serials.first().and_then(|s| s.info.alias.clone());
    for (at, console) in d.consoles.iter_mut().enumerate() {
        // The first console of a guest with serial ports is the first of them.
        if at == 0 && console.target == Some(ConsoleType::Serial) && first_serial.is_some() {
            console.info.alias = first_serial.clone();
        } else {
            name(&mut console.info, format!("console{at}"));
        }
    }
    number(d.hubs.iter_mut().map(|x| &mut x.info), "hub");
    number(d.shmems.iter_mut().map(|x| &mut x.info), "shmem");
    number(d.smartcards.iter_mut().map(|x| &mut x.info), "smartcard");
    number(d.watchdogs.iter_mut().map(|x| &mut x.info), "watchdog");
    number(d.memballoon.iter_mut().map(|x| &mut x.info), "balloon");
    number(d.rngs.iter_mut().map(|x| &mut x.info), "rng");
    number(d.tpms.iter_mut().map(|x| &mut x.info), "tpm");
    memories(def);
    let d = &mut def.devices;
    number(d.panics.iter_mut().map(|x| &mut x.info), "panic");
    number(d.vsock.iter_mut().map(|x| &mut x.info), "vsock");
    number(d.iommu.iter_mut().map(|x| &mut x.info), "iommu");
    number(d.cryptos.iter_mut().map(|x| &mut x.info), "crypto");
    number(d.pstore.iter_mut().map(|x| &mut x.info), "pstore");
    number(d.nvram.iter_mut().map(|x| &mut x.info), "nvram");
}

/// What the names of controllers depend on.
#[derive(Clone, Copy)]
struct Places {
    builtin_ide: bool,
    q35: bool,
    many_roots: bool,
}

impl Places {
    fn of(def: &DomainDef) -> Places {
        Places {
            builtin_ide: machine::has_builtin_ide(def),
            q35: machine::is_q35(def),
            many_roots: machine::is_pseries(def),
        }
    }
}

fn name(info: &mut DeviceInfo, alias: String) {
    if !info.has_user_alias() {
        info.alias = Some(alias);
    }
}

fn number<'a>(infos: impl Iterator<Item = &'a mut DeviceInfo>, prefix: &str) {
    for (at, info) in infos.enumerate() {
        name(info, format!("{prefix}{at}"));
    }
}

/// Counters for names that two families share.
#[derive(Default)]
struct Numbers {
    taken: HashSet<String>,
}

impl Numbers {
    fn name(&mut self, info: &mut DeviceInfo, prefix: &str) {
        if info.has_user_alias() {
            return;
        }
        let alias =
            (0..).map(|n| format!("{prefix}{n}")).find(|a| !self.taken.contains(a)).expect("numbers do not run out");
        self.taken.insert(alias.clone());
        info.alias = Some(alias);
    }
}

/// Number behind a target name: `vda` 0, `sdaa` 26, partitions left out.
pub fn disk_index(target: &str) -> Option<u32> {
    let letters = ["fd", "hd", "vd", "sd", "xvd", "ubd", "nvme"].iter().find_map(|p| target.strip_prefix(p))?;
    let mut index: u32 = 0;
    for (at, letter) in letters.bytes().enumerate() {
        if !letter.is_ascii_lowercase() {
            return (at > 0 && letters[at..].bytes().all(|b| b.is_ascii_digit())).then_some(index);
        }
        index = (index + u32::from(at > 0)).checked_mul(26)?.checked_add(u32::from(letter - b'a'))?;
    }
    (!letters.is_empty()).then_some(index)
}

fn disk_alias(disk: &DiskDef, scsi: &[(u32, Option<ControllerModel>)]) -> String {
    let bus = disk.bus.map_or(String::new(), |b| b.to_string());
    if let Some(Address::Drive(drive)) = &disk.info.address {
        let (controller, unit) = (drive.controller, drive.unit);
        if disk.bus == Some(DiskBus::Scsi) {
            let model = scsi.iter().find(|(n, _)| *n == controller).and_then(|(_, m)| *m);
            // Only lsilogic has no targets in its addresses.
            return if matches!(model, Some(ControllerModel::LsiLogic)) {
                format!("{bus}{controller}-{}-{unit}", drive.bus)
            } else {
                format!("{bus}{controller}-{}-{}-{unit}", drive.bus, drive.target)
            };
        }
        return format!("{bus}{controller}-{}-{unit}", drive.bus);
    }
    format!("{bus}-disk{}", disk_index(&disk.dst).unwrap_or(0))
}

fn controller_alias(controller: &ControllerDef, places: Places) -> String {
    let number = controller.number();
    match controller.kind {
        // The buses of PCI controllers get these names in QEMU.
        ControllerKind::Pci => match controller.model {
            Some(ControllerModel::PcieRoot) => "pcie.0".into(),
            Some(ControllerModel::PciRoot) if places.many_roots && number > 0 => {
                format!("pci.{}", controller.pci.target_index.unwrap_or(number))
            }
            _ => format!("pci.{number}"),
        },
        // The ones of the chip set have the names that QEMU gives to their buses.
        ControllerKind::Ide if number == 0 && places.builtin_ide => "ide".into(),
        ControllerKind::Sata if number == 0 && places.q35 => "ide".into(),
        ControllerKind::Usb if number == 0 => "usb".into(),
        ControllerKind::Scsi if number == 0 && controller.model == Some(ControllerModel::Ncr53c90) => "scsi".into(),
        kind => format!("{kind}{number}"),
    }
}

/// Memory devices are named by slot, the others counted by kind.
fn memories(def: &mut DomainDef) {
    let mut counted: [u32; 3] = [0; 3];
    let mut next = |kind: usize| {
        counted[kind] += 1;
        counted[kind] - 1
    };
    for memory in &mut def.devices.memories {
        let slot = match &memory.info.address {
            Some(Address::Dimm(dimm)) => dimm.slot,
            _ => 0,
        };
        let alias = match memory.model {
            MemoryModel::Dimm => format!("dimm{slot}"),
            MemoryModel::Nvdimm => format!("nvdimm{slot}"),
            MemoryModel::VirtioPmem => format!("virtiopmem{}", next(0)),
            MemoryModel::VirtioMem => format!("virtiomem{}", next(1)),
            MemoryModel::SgxEpc => format!("epc{}", next(2)),
        };
        name(&mut memory.info, alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_names() {
        for (target, index) in [
            ("vda", Some(0)),
            ("hdb", Some(1)),
            ("sdz", Some(25)),
            ("sdaa", Some(26)),
            ("sdab", Some(27)),
            ("vda1", Some(0)),
            ("xyz", None),
            ("vd", None),
            ("vd1", None),
        ] {
            assert_eq!(disk_index(target), index, "{target}");
        }
    }
}
