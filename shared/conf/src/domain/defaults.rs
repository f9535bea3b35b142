//! What follows from a document alone, whatever runs it: libvirt's driver-independent post-parse.
//!
//! Two steps, because the driver's own defaults come between them: [`DomainDef::settle_memory`] and the other early
//! checks, then [`DomainDef::complete`] once the driver has chosen buses and models.

use error::Result;

use super::DomainDef;
use super::device::console::{ChannelTarget, ConsoleDef, ConsoleType, SerialDef, SerialType};
use super::device::controller::{ControllerDef, ControllerKind, ControllerModel};
use super::device::disk::{DiskBus, DiskDef, SnapshotMode};
use super::device::hostdev::{HostdevDef, HostdevSource, ScsiSource};
use super::device::info::{Address, DriveAddress};
use super::device::source::{Protocol, SourceKind, StorageSource};
use super::device::video::VideoModel;
use super::fault::{internal, unsupported, xml_error};
use super::os::{BootDevice, OsType};

impl DomainDef {
    /// Fills in what the driver's defaults leave open, in libvirt's order.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn complete(&mut self) -> Result<()> {
        self.complete_disks()?;
        self.complete_videos()?;
        self.complete_ports();
        self.complete_hostdevs()?;
        self.add_implicit_controllers();
        self.number_controllers();
        self.sort_controllers();
        self.complete_boot()
    }

    /// Pairs the first console with the first serial port: whichever is missing is made from the other. Consoles are
    /// numbered by their place.
    pub fn pair_console(&mut self) {
        self.pair_first_console();
        for (port, console) in (0..).zip(&mut self.devices.consoles) {
            console.port = Some(port);
        }
    }

    fn pair_first_console(&mut self) {
        if self.os.kind != OsType::Hvm {
            return;
        }
        match self.devices.consoles.first_mut() {
            Some(console) if matches!(console.target, None | Some(ConsoleType::Serial)) => {
                console.target = Some(ConsoleType::Serial);
                if self.devices.serials.is_empty() {
                    let serial = SerialDef {
                        source: console.source.clone(),
                        target: None,
                        model: None,
                        port: console.port,
                        info: std::mem::take(&mut console.info),
                    };
                    self.devices.serials.push(serial);
                }
            }
            _ => {
                let Some(serial) = self.devices.serials.first() else { return };
                let plain = matches!(
                    serial.target,
                    None | Some(SerialType::Isa | SerialType::SpaprVio | SerialType::System | SerialType::Sclp)
                );
                if plain {
                    let console = ConsoleDef {
                        source: serial.source.clone(),
                        target: Some(ConsoleType::Serial),
                        port: Some(0),
                        info: Default::default(),
                    };
                    self.devices.consoles.insert(0, console);
                }
            }
        }
    }

    /// An iSCSI name without a LUN means LUN 0.
    fn complete_iscsi(&mut self) {
        fn add_lun(path: &mut String) {
            if !path.contains('/') {
                path.push_str("/0");
            }
        }
        fn visit(source: &mut StorageSource) {
            if source.protocol == Some(Protocol::Iscsi)
                && let Some(path) = &mut source.path
            {
                add_lun(path);
            }
            if let Some(Some(backing)) = &mut source.backing {
                visit(backing);
            }
        }
        self.devices.disks.iter_mut().for_each(|d| visit(&mut d.source));
        for hostdev in &mut self.devices.hostdevs {
            if let HostdevSource::Scsi { source: ScsiSource::Iscsi { path, .. }, .. } = &mut hostdev.source {
                add_lun(path);
            }
        }
    }

    fn complete_disks(&mut self) -> Result<()> {
        self.complete_iscsi();
        for at in 0..self.devices.disks.len() {
            let disk = &mut self.devices.disks[at];
            if disk.source.kind == SourceKind::VhostUser && disk.snapshot.is_none() {
                disk.snapshot = Some(SnapshotMode::No);
            }
            if disk.info.address.is_none() && disk.name_index().is_none() {
                return Err(xml_error(format!("Unknown disk name '{}' and no address specified", disk.dst)));
            }
            if disk.info.address.is_none() && takes_drive_address(disk) {
                let address = disk.default_drive_address()?;
                self.check_scsi_place(at, &address)?;
                self.devices.disks[at].info.address = Some(Address::Drive(address));
            }
        }
        Ok(())
    }

    /// A disk whose place follows from its name must not sit where a SCSI host device was put.
    fn check_scsi_place(&self, at: usize, address: &DriveAddress) -> Result<()> {
        let disk = &self.devices.disks[at];
        if disk.bus != Some(DiskBus::Scsi) {
            return Ok(());
        }
        let taken = self.devices.hostdevs.iter().any(|h| {
            matches!(h.source, HostdevSource::Scsi { .. }) && h.info.address == Some(Address::Drive(*address))
        });
        if taken {
            return Err(unsupported(format!(
                "using disk target name '{}' conflicts with SCSI host device address controller='{}' bus='{}' target='{}' unit='{}",
                disk.dst, address.controller, address.bus, address.target, address.unit
            )));
        }
        Ok(())
    }

    fn complete_videos(&mut self) -> Result<()> {
        let videos = &mut self.devices.videos;
        let Some(first) = videos.first() else { return Ok(()) };
        if first.model == Some(VideoModel::None) {
            if videos.len() > 1 {
                return Err(unsupported("a 'none' video type must be the only video device defined for the domain"));
            }
            let (info, none) = (std::mem::take(&mut videos[0].info), Some(VideoModel::None));
            videos[0] = super::device::video::VideoDef { model: none, info, ..Default::default() };
            return Ok(());
        }
        match videos.iter().filter(|v| v.primary).count() {
            0 => videos[0].primary = true,
            1 => {
                let at = videos.iter().position(|v| v.primary).unwrap_or(0);
                let primary = videos.remove(at);
                videos.insert(0, primary);
            }
            _ => return Err(unsupported("Only one primary video device is supported")),
        }
        for video in videos.iter_mut() {
            video.heads = video.heads.or(Some(1));
        }
        Ok(())
    }

    /// Numbers serial, parallel and console ports that have no number above those that have one.
    fn complete_ports(&mut self) {
        fn number(mut ports: Vec<&mut Option<i32>>) {
            let mut max = ports.iter().filter_map(|p| **p).max().unwrap_or(-1);
            for port in ports.iter_mut().filter(|p| p.is_none()) {
                max = max.saturating_add(1);
                **port = Some(max);
            }
        }
        number(self.devices.serials.iter_mut().map(|s| &mut s.port).collect());
        number(self.devices.parallels.iter_mut().map(|s| &mut s.port).collect());
        number(self.devices.consoles.iter_mut().map(|s| &mut s.port).collect());
    }

    fn complete_hostdevs(&mut self) -> Result<()> {
        for at in 0..self.devices.hostdevs.len() {
            let hostdev = &self.devices.hostdevs[at];
            if self.devices.hostdevs[..at].iter().any(|h| h.is_same_device(hostdev)) {
                return Err(xml_error("Hostdev already exists in the domain configuration"));
            }
            if matches!(hostdev.source, HostdevSource::Scsi { .. }) && hostdev.info.address.is_none() {
                let address = self.free_scsi_place()?;
                self.devices.hostdevs[at].info.address = Some(Address::Drive(address));
            }
        }
        Ok(())
    }

    /// The first place on a SCSI controller that is free, counting up units, then controllers.
    fn free_scsi_place(&self) -> Result<DriveAddress> {
        let taken = |a: &DriveAddress| {
            let place = Some(Address::Drive(*a));
            self.devices.hostdevs.iter().any(|h| h.info.address == place)
                || self.devices.disks.iter().any(|d| d.bus == Some(DiskBus::Scsi) && d.info.address == place)
        };
        // libvirt counts the seven units of a narrow bus, whatever the controller
        let places = (0..1024)
            .flat_map(|controller| (0..7).map(move |unit| DriveAddress { controller, bus: 0, target: 0, unit }));
        places.into_iter().find(|a| !taken(a)).ok_or_else(|| internal("no free SCSI address"))
    }

    fn add_implicit_controllers(&mut self) {
        let drive = |d: &DiskDef| match d.info.address {
            Some(Address::Drive(a)) => Some(a.controller),
            _ => None,
        };
        for (bus, kind) in [
            (DiskBus::Scsi, ControllerKind::Scsi),
            (DiskBus::Fdc, ControllerKind::Fdc),
            (DiskBus::Ide, ControllerKind::Ide),
            (DiskBus::Sata, ControllerKind::Sata),
        ] {
            let max = self.devices.disks.iter().filter(|d| d.bus == Some(bus)).filter_map(drive).max();
            self.ensure_controllers(kind, max);
        }
        // only the controllers that are named, not those below them
        let number = |a: &Option<Address>| match a {
            Some(Address::VirtioSerial(v)) => v.controller,
            _ => 0,
        };
        let channels = self
            .devices
            .channels
            .iter()
            .filter(|c| matches!(c.target, ChannelTarget::Virtio { .. }))
            .map(|c| number(&c.info.address));
        let consoles = self
            .devices
            .consoles
            .iter()
            .filter(|c| c.target == Some(ConsoleType::Virtio))
            .map(|c| number(&c.info.address));
        for index in channels.chain(consoles).collect::<Vec<_>>() {
            self.ensure_controller(ControllerKind::VirtioSerial, index);
        }
        let ccid = self.devices.smartcards.iter().filter_map(|s| match s.info.address {
            Some(Address::Ccid(c)) => Some(c.controller),
            _ => None,
        });
        let max = ccid.max();
        self.ensure_controllers(ControllerKind::Ccid, max);
        let hostdevs = self.devices.hostdevs.iter().filter_map(|h| match (&h.source, &h.info.address) {
            (HostdevSource::Scsi { .. }, Some(Address::Drive(a))) => Some(a.controller),
            _ => None,
        });
        let max = hostdevs.max();
        self.ensure_controllers(ControllerKind::Scsi, max);
    }

    /// Adds the controllers of `kind` from 0 to `max` that are not there.
    pub fn ensure_controllers(&mut self, kind: ControllerKind, max: Option<u32>) {
        let Some(max) = max.map(|m| m.min(1024)) else { return };
        for index in 0..=max {
            self.ensure_controller(kind, index);
        }
    }

    fn ensure_controller(&mut self, kind: ControllerKind, index: u32) {
        if !self.devices.controllers.iter().any(|c| c.kind == kind && c.index == Some(index)) {
            let model = self
                .devices
                .controllers
                .iter()
                .rev()
                .find(|c| c.kind == kind && kind == ControllerKind::Scsi)
                .and_then(|c| c.model);
            self.devices.insert_controller(ControllerDef::new(kind, Some(index), model));
        }
    }

    /// Numbers controllers that have no index with the lowest free one of their kind; a USB companion shares the number
    /// of the one before it.
    pub fn number_controllers(&mut self) {
        for controller in &mut self.devices.controllers {
            let port = match controller.model {
                Some(ControllerModel::Ich9Uhci1) => 0,
                Some(ControllerModel::Ich9Uhci2) => 2,
                Some(ControllerModel::Ich9Uhci3) => 4,
                _ => continue,
            };
            if controller.index.is_none() {
                controller.info.master_start_port.get_or_insert(port);
            }
        }

        let usb2 = |c: &ControllerDef| {
            c.model.is_some_and(|m| (ControllerModel::Ich9Ehci1..=ControllerModel::Ich9Uhci3).contains(&m))
        };
        for at in 0..self.devices.controllers.len() {
            let controller = &self.devices.controllers[at];
            if controller.index.is_some() {
                continue;
            }
            let kind = controller.kind;
            if let Some(before) = at.checked_sub(1).map(|b| &self.devices.controllers[b])
                && usb2(controller)
                && usb2(before)
                && !self
                    .devices
                    .controllers
                    .iter()
                    .any(|c| c.kind == kind && c.index == before.index && c.model == controller.model)
            {
                self.devices.controllers[at].index = before.index;
                continue;
            }
            let free = (0..).find(|i| !self.devices.controllers.iter().any(|c| c.kind == kind && c.index == Some(*i)));
            self.devices.controllers[at].index = free;
        }
    }

    /// Puts controllers where reading the finished document would put them, so that printing it again changes nothing.
    fn sort_controllers(&mut self) {
        for controller in std::mem::take(&mut self.devices.controllers) {
            self.devices.insert_controller(controller);
        }
    }

    /// Adds the SCSI controllers that host devices name, before any default device.
    pub fn add_hostdev_controllers(&mut self) {
        let number = |h: &HostdevDef| match (&h.source, &h.info.address) {
            (HostdevSource::Scsi { .. }, Some(Address::Drive(a))) => Some(a.controller),
            (HostdevSource::Scsi { .. }, _) => Some(0),
            _ => None,
        };
        let max = self.devices.hostdevs.iter().filter_map(number).max();
        self.ensure_controllers(ControllerKind::Scsi, max);
    }

    /// Refuses boot orders that clash and boots from disk when nothing else is said.
    fn complete_boot(&mut self) -> Result<()> {
        let mut orders = self.boot_orders();
        if !orders.is_empty() && !self.os.boot.is_empty() {
            return Err(unsupported("per-device boot elements cannot be used together with os/boot elements"));
        }
        orders.sort_unstable();
        if let Some(pair) = orders.windows(2).find(|p| p[0] == p[1]) {
            return Err(unsupported(format!("boot order '{}' used for more than one device", pair[0])));
        }
        if orders.is_empty() && self.os.boot.is_empty() && self.os.kind == OsType::Hvm {
            self.os.boot.push(BootDevice::Disk);
        }
        Ok(())
    }

    fn boot_orders(&self) -> Vec<u32> {
        let d = &self.devices;
        let infos = d
            .disks
            .iter()
            .map(|x| &x.info)
            .chain(d.interfaces.iter().map(|x| &x.info))
            .chain(d.hostdevs.iter().map(|x| &x.info));
        let infos = infos.chain(d.redirdevs.iter().map(|x| &x.info)).chain(d.filesystems.iter().map(|x| &x.info));
        infos.filter_map(|i| i.boot_index).collect()
    }
}

fn takes_drive_address(disk: &DiskDef) -> bool {
    matches!(disk.bus, Some(DiskBus::Scsi | DiskBus::Ide | DiskBus::Fdc | DiskBus::Sata))
}

impl DiskDef {
    /// Number of the disk in its name: `vda` is 0, `sdaa` is 26. `None` for a name of another form.
    pub fn name_index(&self) -> Option<u32> {
        name_index(&self.dst)
    }

    /// Where libvirt puts a disk of this name on its bus.
    fn default_drive_address(&self) -> Result<DriveAddress> {
        let unknown = || xml_error(format!("Unknown disk name '{}' and no address specified", self.dst));
        let index = self.name_index().ok_or_else(unknown)?;
        let place = |controller, bus, unit| DriveAddress { controller, bus, target: 0, unit };
        Ok(match self.bus {
            Some(DiskBus::Scsi) => place(index / 7, 0, index % 7),
            Some(DiskBus::Ide) => place(index / 4, index % 4 / 2, index % 2),
            Some(DiskBus::Sata) => place(index / 6, 0, index % 6),
            _ => place(index / 2, 0, index % 2),
        })
    }
}

/// Number behind the prefix of a target name; a partition number may follow.
pub fn name_index(name: &str) -> Option<u32> {
    const PREFIXES: [&str; 7] = ["fd", "hd", "sd", "vd", "xvd", "ubd", "nvme"];
    let letters = PREFIXES.iter().find_map(|p| name.strip_prefix(p))?;
    let end = letters.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(letters.len());
    let (letters, rest) = letters.split_at(end);
    if letters.is_empty() || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = letters.bytes().try_fold(0u32, |n, b| n.checked_mul(26)?.checked_add(u32::from(b - b'a') + 1));
    number.map(|n| n - 1).filter(|n| *n < i32::MAX as u32)
}

impl HostdevDef {
    /// Whether both name the same device of the host.
    pub fn is_same_device(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (HostdevSource::Pci { address: a, .. }, HostdevSource::Pci { address: b, .. }) => {
                (a.domain, a.bus, a.slot, a.function) == (b.domain, b.bus, b.slot, b.function)
            }
            (HostdevSource::Usb(a), HostdevSource::Usb(b)) => match (a.address, b.address, &a.port, &b.port) {
                (Some(x), Some(y), ..) => x == y,
                (_, _, Some(x), Some(y)) => x == y,
                (None, None, None, None) => a.vendor_product == b.vendor_product,
                _ => false,
            },
            (HostdevSource::Scsi { source: a, .. }, HostdevSource::Scsi { source: b, .. }) => a == b,
            (HostdevSource::ScsiHost { wwpn: a, .. }, HostdevSource::ScsiHost { wwpn: b, .. }) => a == b,
            (HostdevSource::Mdev { uuid: a, .. }, HostdevSource::Mdev { uuid: b, .. }) => a == b,
            _ => false,
        }
    }
}
