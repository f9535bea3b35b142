//! Checks that see the whole definition and need no emulator.

use std::collections::{BTreeMap, BTreeSet};

use error::Result;
use xml::Vocabulary;

use super::DomainDef;
use super::device::chardev::ChardevSource;
use super::device::console::ChannelTarget;
use super::device::controller::{ControllerDef, ControllerKind, ControllerModel};
use super::device::disk::{DiskBus, DiskDevice, Sgio, StartupPolicy};
use super::device::hostdev::{HostdevSource, MdevModel};
use super::device::info::{Address, AddressKind, DeviceInfo};
use super::device::input::{InputBus, InputKind};
use super::device::interface::{InterfaceKind, NetBackend};
use super::device::iommu::IommuModel;
use super::device::memory::MemoryModel;
use super::device::redirdev::RedirdevDef;
use super::device::rng::RngBackend;
use super::device::shmem::ShmemModel;
use super::device::smartcard::Smartcard;
use super::device::source::{Protocol, SourceKind};
use super::fault::{internal, unsupported, xml_error};

impl DomainDef {
    /// Refuses what no driver can run.
    ///
    /// # Errors
    /// libvirt's codes and texts.
    pub fn validate(&self) -> Result<()> {
        self.validate_controllers()?;
        self.validate_aliases()?;
        self.validate_os()?;
        self.validate_disks()?;
        self.check_disks()?;
        self.check_devices()?;
        self.check_memories()?;
        self.check_timers()?;
        self.check_numa()?;
        self.validate_interfaces()?;
        self.validate_chardevs()?;
        self.validate_inputs()?;
        self.validate_hostdevs()?;
        self.validate_rest()
    }

    /// Refuses two controllers of one number; a companion of a USB controller shares its number on purpose.
    pub fn validate_controllers(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for controller in &self.devices.controllers {
            let Some(index) = controller.index else { continue };
            let companion = controller.kind == ControllerKind::Usb
                && controller.model.is_some_and(|m| xml::Vocabulary::word(m).starts_with("ich9-"));
            if !companion && !seen.insert((controller.kind, index)) {
                return Err(xml_error(format!("Multiple '{}' controllers with index '{index}'", controller.kind)));
            }
        }
        Ok(())
    }

    fn validate_aliases(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut clash = None;
        self.devices.each_info(&mut |info| {
            if let Some(alias) = info.alias.as_deref().filter(|_| info.has_user_alias())
                && !seen.insert(alias.to_owned())
            {
                clash = Some(alias.to_owned());
            }
        });
        match clash {
            Some(alias) => Err(unsupported(format!("non unique alias detected: {alias}"))),
            None => Ok(()),
        }
    }

    fn validate_os(&self) -> Result<()> {
        self.os.check()?;
        self.vcpu.check()?;
        self.sysinfo.iter().try_for_each(super::sysinfo::Sysinfo::check)?;
        if self.numa.cells.is_empty() && !self.numatune.nodes.is_empty() {
            return Err(xml_error("Element 'memnode' is invalid without any guest NUMA cells"));
        }
        if self.numatune.nodes.iter().any(|n| n.cell as usize >= self.numa.cells.len()) {
            return Err(unsupported(
                "Argument 'cellid' in numatune memnode element must correspond to existing guest's NUMA cell",
            ));
        }
        Ok(())
    }

    fn validate_disks(&self) -> Result<()> {
        let mut targets = BTreeMap::new();
        for disk in &self.devices.disks {
            if disk.source.protocol == Some(Protocol::Sheepdog) {
                return Err(unsupported("'sheepdog' protocol is no longer supported by any hypervisor driver"));
            }
            if disk.device == DiskDevice::Lun {
                let iscsi = disk.source.kind == SourceKind::Network && disk.source.protocol == Some(Protocol::Iscsi);
                let block = matches!(disk.source.kind, SourceKind::Block | SourceKind::Volume | SourceKind::None);
                if !iscsi && !block {
                    return Err(unsupported("disk device='lun' is only valid for block type disk source"));
                }
            }
            let bus = disk.bus.map_or("", Vocabulary::word);
            if disk.device == DiskDevice::Floppy && disk.bus != Some(DiskBus::Fdc) {
                return Err(internal(format!("Invalid bus type '{bus}' for floppy disk")));
            }
            if disk.device != DiskDevice::Floppy && disk.bus == Some(DiskBus::Fdc) {
                return Err(internal(format!("Invalid bus type '{bus}' for disk")));
            }
            if disk.bus != Some(DiskBus::Virtio) {
                if disk.driver.queues.is_some() {
                    return Err(unsupported(
                        "queues attribute in disk driver element is only supported for virtio bus",
                    ));
                }
                if disk.driver.event_idx.is_some() {
                    return Err(unsupported("disk event_idx mode supported only for virtio bus"));
                }
                if disk.driver.ioeventfd.is_some() {
                    return Err(unsupported("disk ioeventfd mode supported only for virtio bus"));
                }
            }
            if let Some(policy) = disk.startup_policy {
                if disk.source.kind == SourceKind::Network {
                    return Err(xml_error(format!(
                        "disk startupPolicy '{policy}' is not allowed for disk of 'network' type"
                    )));
                }
                if policy == StartupPolicy::Requisite && !disk.is_removable() {
                    return Err(xml_error(format!(
                        "disk startupPolicy '{policy}' is allowed only for cdrom or floppy"
                    )));
                }
            }
            if disk.removable.is_some() && !matches!(disk.bus, Some(DiskBus::Usb | DiskBus::Scsi)) {
                return Err(xml_error("removable is only valid for usb or scsi disks"));
            }
            if disk.rawio.is_some() && disk.device != DiskDevice::Lun {
                return Err(unsupported("rawio can be used only with device='lun'"));
            }
            if disk.sgio == Some(Sgio::Unfiltered) {
                return Err(unsupported("unfiltered sgio is no longer supported"));
            }
            if disk.sgio.is_some() && disk.device != DiskDevice::Lun {
                return Err(xml_error("sgio can be used only with device='lun'"));
            }
            if let Some(address) = &disk.info.address {
                self.validate_disk_address(disk.bus, &disk.dst, address)?;
            }
            let path = disk.source.path.as_deref().unwrap_or("NULL");
            if let Some(other) = targets.insert(&disk.dst, path) {
                return Err(xml_error(format!(
                    "target '{}' duplicated for disk sources '{other}' and '{path}'",
                    disk.dst
                )));
            }
        }
        Ok(())
    }

    fn validate_disk_address(&self, bus: Option<DiskBus>, dst: &str, address: &Address) -> Result<()> {
        let Some(bus) = bus else { return Ok(()) };
        let kind = address.kind();
        let fits = match bus {
            DiskBus::Ide | DiskBus::Fdc | DiskBus::Scsi | DiskBus::Sata => kind == AddressKind::Drive,
            DiskBus::Usb => return Ok(()),
            DiskBus::Virtio => {
                !matches!(kind, AddressKind::Drive | AddressKind::Usb | AddressKind::Isa | AddressKind::Dimm)
            }
            _ => true,
        };
        if fits || kind == AddressKind::Unassigned {
            return Ok(());
        }
        Err(unsupported(format!("Invalid address type '{kind}' for the disk '{dst}' with the bus type '{bus}'")))
    }

    fn validate_interfaces(&self) -> Result<()> {
        for interface in &self.devices.interfaces {
            let passt = interface.backend.kind == Some(NetBackend::Passt);
            if !interface.port_forwards.is_empty() && !passt {
                return Err(unsupported(
                    "The <portForward> element can only be used with the 'passt' backend of interface type='user' or type='vhostuser'",
                ));
            }
            if passt && !matches!(interface.kind, InterfaceKind::User | InterfaceKind::VhostUser) {
                return Err(unsupported(
                    "The 'passt' backend can only be used with interface type='user' or type='vhostuser'",
                ));
            }
        }
        Ok(())
    }

    fn validate_chardevs(&self) -> Result<()> {
        let d = &self.devices;
        d.serials.iter().try_for_each(|s| s.source.check(false))?;
        d.parallels.iter().try_for_each(|s| s.source.check(false))?;
        d.consoles.iter().try_for_each(|s| s.source.check(false))?;
        d.channels.iter().try_for_each(|c| c.source.check(!matches!(c.target, ChannelTarget::Guestfwd { .. })))?;
        d.redirdevs.iter().map(|r: &RedirdevDef| &r.source).try_for_each(|s| s.check(false))?;
        let egd = d.rngs.iter().filter_map(|r| if let RngBackend::Egd(s) = &r.backend { Some(s) } else { None });
        let cards = d
            .smartcards
            .iter()
            .filter_map(|s| if let Smartcard::Passthrough(s) = &s.smartcard { Some(s) } else { None });
        egd.chain(cards).try_for_each(|s: &ChardevSource| s.check(false))
    }

    fn validate_inputs(&self) -> Result<()> {
        let ps2_off = self.features.ps2 == Some(false);
        let usb = |i: &&super::device::input::InputDef| i.bus == Some(InputBus::Usb);
        if self
            .devices
            .inputs
            .iter()
            .filter(usb)
            .filter_map(|i| i.info.address.as_ref())
            .any(|a| a.kind() != AddressKind::Usb)
        {
            return Err(xml_error("Invalid address for a USB device"));
        }
        for input in &self.devices.inputs {
            if ps2_off && input.bus == Some(InputBus::Ps2) {
                return Err(unsupported("ps2 bus inputs require the ps2 feature not to be disabled"));
            }
            if input.kind == InputKind::Passthrough && input.evdev.is_none() {
                return Err(xml_error("Missing evdev path for input device passthrough"));
            }
        }
        Ok(())
    }

    fn validate_hostdevs(&self) -> Result<()> {
        for hostdev in &self.devices.hostdevs {
            let Some(address) = &hostdev.info.address else { continue };
            let kind = address.kind();
            if kind == AddressKind::Unassigned {
                continue;
            }
            match &hostdev.source {
                HostdevSource::Mdev { model, .. } => {
                    let wanted = match model {
                        MdevModel::VfioPci => Some(AddressKind::Pci),
                        MdevModel::VfioCcw => Some(AddressKind::Ccw),
                        MdevModel::VfioAp => None,
                    };
                    if wanted.is_some_and(|w| w != kind) {
                        return Err(xml_error(format!(
                            "Unsupported address type '{kind}' with mediated device model '{model}'"
                        )));
                    }
                }
                HostdevSource::Pci { .. } if kind != AddressKind::Pci => {
                    return Err(internal("PCI host devices must use 'pci' or 'unassigned' address type"));
                }
                HostdevSource::Scsi { .. } if kind != AddressKind::Drive => {
                    return Err(unsupported("SCSI host device must use 'drive' address type"));
                }
                HostdevSource::ScsiHost { .. } if !matches!(kind, AddressKind::Pci | AddressKind::Ccw) => {
                    return Err(unsupported("SCSI_host host device must use 'pci' or 'ccw' address type"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn validate_usb(&self) -> Result<()> {
        let off = |c: &ControllerDef| c.kind == ControllerKind::Usb && c.model == Some(ControllerModel::None);
        if !self.devices.controllers.iter().any(off) {
            return Ok(());
        }
        if !self.devices.hubs.is_empty() {
            return Err(unsupported("Can't add USB hub: USB is disabled for this domain"));
        }
        if self.devices.inputs.iter().any(|i| i.bus == Some(InputBus::Usb)) {
            return Err(unsupported("Can't add USB input device. USB bus is disabled"));
        }
        Ok(())
    }

    fn validate_rest(&self) -> Result<()> {
        for shmem in &self.devices.shmems {
            if shmem.model == Some(ShmemModel::IvshmemPlain) || shmem.server.is_none() {
                if shmem.msi.is_some() {
                    return Err(xml_error("msi option is only supported with a server"));
                }
            } else if shmem.role.is_some() {
                return Err(xml_error("shmem role is not supported with a server"));
            }
        }
        self.validate_usb()?;
        for controller in self.devices.controllers.iter().filter(|c| c.pci.target_index.is_some()) {
            if (controller.index == Some(0)) != (controller.pci.target_index == Some(0)) {
                return Err(unsupported(
                    "Only the PCI controller with index 0 can have target index 0, and vice versa",
                ));
            }
        }
        if let Some(iommu) = &self.devices.iommu {
            let options = [iommu.intremap, iommu.caching_mode, iommu.eim, iommu.iotlb, iommu.dma_translation];
            let any = options.iter().any(Option::is_some) || iommu.aw_bits.is_some_and(|b| b > 0);
            if any && iommu.model != IommuModel::Intel {
                return Err(xml_error(format!("iommu model '{}' doesn't support additional attributes", iommu.model)));
            }
        }
        for label in self.devices.disks.iter().flat_map(|d| &d.source.labels) {
            if label.relabel && label.label.is_none() && !label.label_skip {
                let model = label.model.as_deref().unwrap_or("(null)");
                return Err(xml_error(format!("Cannot specify relabel if label is missing. model={model}")));
            }
        }
        if self.devices.memories.iter().any(|m| m.model == MemoryModel::Nvdimm && m.uuid.is_some()) {
            return Err(unsupported("UUID is not supported for NVDIMM device"));
        }
        if self.devices.vsock.as_ref().and_then(|v| v.cid).is_some_and(|c| c < 3) {
            return Err(unsupported("guest CIDs must be >= 3"));
        }
        let mut ids = BTreeSet::new();
        if self.devices.audios.iter().any(|a| !ids.insert(a.id)) {
            return Err(internal("Multiple audio backends with the same ID"));
        }
        Ok(())
    }
}

impl super::device::Devices {
    /// Visits the shared part of every device.
    pub fn each_info<'a>(&'a self, visit: &mut dyn FnMut(&'a DeviceInfo)) {
        self.disks.iter().for_each(|x| visit(&x.info));
        self.controllers.iter().for_each(|x| visit(&x.info));
        self.filesystems.iter().for_each(|x| visit(&x.info));
        self.interfaces.iter().for_each(|x| visit(&x.info));
        self.smartcards.iter().for_each(|x| visit(&x.info));
        self.serials.iter().for_each(|x| visit(&x.info));
        self.parallels.iter().for_each(|x| visit(&x.info));
        // the first console shares its alias with the first serial port
        let twin = usize::from(!self.serials.is_empty());
        self.consoles.iter().skip(twin).for_each(|x| visit(&x.info));
        self.channels.iter().for_each(|x| visit(&x.info));
        self.inputs.iter().for_each(|x| visit(&x.info));
        self.tpms.iter().for_each(|x| visit(&x.info));
        self.sounds.iter().for_each(|x| visit(&x.info));
        self.videos.iter().for_each(|x| visit(&x.info));
        self.hostdevs.iter().for_each(|x| visit(&x.info));
        self.redirdevs.iter().for_each(|x| visit(&x.info));
        self.hubs.iter().for_each(|x| visit(&x.info));
        self.watchdogs.iter().for_each(|x| visit(&x.info));
        self.memballoon.iter().for_each(|x| visit(&x.info));
        self.rngs.iter().for_each(|x| visit(&x.info));
        self.nvram.iter().for_each(|x| visit(&x.info));
        self.panics.iter().for_each(|x| visit(&x.info));
        self.shmems.iter().for_each(|x| visit(&x.info));
        self.memories.iter().for_each(|x| visit(&x.info));
        self.cryptos.iter().for_each(|x| visit(&x.info));
        self.iommu.iter().for_each(|x| visit(&x.info));
        self.vsock.iter().for_each(|x| visit(&x.info));
        self.pstore.iter().for_each(|x| visit(&x.info));
    }
}
