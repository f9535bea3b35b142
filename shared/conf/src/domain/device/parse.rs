//! Reads `<devices>`.

use error::Result;
use xml::Node;

use super::*;
use crate::domain::ParseContext;
use crate::domain::fault::{internal, xml_error};

impl Devices {
    /// Reads all devices of `<domain>`; unknown elements are dropped, as libvirt does.
    ///
    /// # Errors
    /// Of the first device that is wrong.
    pub(in crate::domain) fn parse(domain: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let mut devices = Self::default();
        let Some(node) = domain.child("devices") else { return Ok(devices) };
        devices.emulator = node.child_text("emulator");
        for child in node.elements() {
            devices.parse_one(child, ctx)?;
        }
        Ok(devices)
    }

    fn parse_one(&mut self, node: Node<'_>, ctx: ParseContext) -> Result<()> {
        match node.name() {
            "disk" => {
                let disk = disk::DiskDef::parse(node, ctx)?;
                self.insert_disk(disk);
            }
            "controller" => {
                let controller = controller::ControllerDef::parse(node, ctx)?;
                self.insert_controller(controller);
            }
            "lease" => self.leases.push(lease::LeaseDef::parse(node)?),
            "filesystem" => self.filesystems.push(filesystem::FilesystemDef::parse(node, ctx)?),
            "interface" => self.interfaces.push(interface::InterfaceDef::parse(node, ctx)?),
            "smartcard" => self.smartcards.push(smartcard::SmartcardDef::parse(node, ctx)?),
            "serial" => self.serials.push(console::SerialDef::parse(node, ctx)?),
            "parallel" => self.parallels.push(console::ParallelDef::parse(node, ctx)?),
            "console" => self.consoles.push(console::ConsoleDef::parse(node, ctx)?),
            "channel" => self.channels.push(console::ChannelDef::parse(node, ctx)?),
            "input" => self.inputs.push(input::InputDef::parse(node, ctx)?),
            "tpm" => self.tpms.push(tpm::TpmDef::parse(node, ctx)?),
            "graphics" => self.graphics.push(graphics::GraphicsDef::parse(node, ctx)?),
            "sound" => self.sounds.push(sound::SoundDef::parse(node, ctx)?),
            "audio" => self.audios.push(audio::AudioDef::parse(node)?),
            "video" => self.videos.push(video::VideoDef::parse(node, ctx)?),
            "hostdev" => self.hostdevs.push(hostdev::HostdevDef::parse(node, ctx)?),
            "redirdev" => self.redirdevs.push(redirdev::RedirdevDef::parse(node, ctx)?),
            "redirfilter" => {
                let rules = redirdev::RedirRule::parse_all(node)?;
                single(&mut self.redir_filter, rules, || {
                    internal("only one set of redirection filter rule is supported")
                })?;
            }
            "hub" => self.hubs.push(hub::HubDef::parse(node, ctx)?),
            "watchdog" => self.watchdogs.push(watchdog::WatchdogDef::parse(node, ctx)?),
            "memballoon" => {
                let balloon = memballoon::MemballoonDef::parse(node, ctx)?;
                single(&mut self.memballoon, balloon, || internal("only a single memory balloon device is supported"))?;
            }
            "rng" => self.rngs.push(rng::RngDef::parse(node, ctx)?),
            "nvram" => {
                let nvram = nvram::NvramDef::parse(node, ctx)?;
                single(&mut self.nvram, nvram, || xml_error("only a single nvram device is supported"))?;
            }
            "panic" => self.panics.push(panic::PanicDef::parse(node, ctx)?),
            "shmem" => self.shmems.push(shmem::ShmemDef::parse(node, ctx)?),
            "memory" => self.memories.push(memory::MemoryDef::parse(node, ctx)?),
            "crypto" => self.cryptos.push(crypto::CryptoDef::parse(node, ctx)?),
            "iommu" => {
                let iommu = iommu::IommuDef::parse(node, ctx)?;
                single(&mut self.iommu, iommu, || xml_error("only a single IOMMU device is supported"))?;
            }
            "vsock" => {
                let vsock = vsock::VsockDef::parse(node, ctx)?;
                single(&mut self.vsock, vsock, || xml_error("only a single vsock device is supported"))?;
            }
            "pstore" => {
                let pstore = pstore::PstoreDef::parse(node, ctx)?;
                single(&mut self.pstore, pstore, || xml_error("only a single pstore device is supported"))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a disk before the first of its bus with a higher name, so that disks of a bus stay sorted.
    pub fn insert_disk(&mut self, new: disk::DiskDef) {
        let mut place = None;
        for (at, current) in self.disks.iter().enumerate().rev().filter(|(_, d)| d.bus == new.bus) {
            if current.name_index() > new.name_index() {
                place = Some(at);
            } else if place.is_none() {
                place = Some(at + 1);
            }
        }
        let place = place.unwrap_or(self.disks.len());
        self.disks.insert(place, new);
    }

    /// Adds a controller behind the last one of its kind with a lower index, or at the end.
    pub fn insert_controller(&mut self, new: controller::ControllerDef) {
        let mut place = None;
        for (at, current) in self.controllers.iter().enumerate().rev().filter(|(_, c)| c.kind == new.kind) {
            let Some(index) = new.index else {
                place = Some(at + 1);
                break;
            };
            // libvirt treats a controller without index as the lowest
            let other = current.index.map_or(-1, i64::from);
            let master_first = new.info.master_start_port.is_none()
                && current.info.master_start_port.is_some()
                && other == i64::from(index);
            if other > i64::from(index) || master_first {
                place = Some(at);
            } else if place.is_none() {
                place = Some(at + 1);
            }
        }
        let place = place.unwrap_or(self.controllers.len());
        self.controllers.insert(place, new);
    }
}

fn single<T>(slot: &mut Option<T>, value: T, error: impl FnOnce() -> error::Error) -> Result<()> {
    if slot.is_some() {
        return Err(error());
    }
    *slot = Some(value);
    Ok(())
}
