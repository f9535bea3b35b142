//! What devices other than disks may not say, whoever runs the guest.

use std::collections::BTreeSet;

use error::Result;
use xml::Vocabulary;

use super::DomainDef;
use super::device::controller::{ControllerKind, ControllerModel};
use super::device::interface::InterfaceKind;
use super::device::tpm::{TpmBackend, TpmVersion};
use super::device::video::VideoModel;
use super::fault::{unsupported, xml_detail, xml_error};

/// PCI buses are numbered by a byte.
const PCI_INDEX_MAX: u32 = 255;

impl DomainDef {
    /// Refuses devices that contradict themselves or each other.
    pub(super) fn check_devices(&self) -> Result<()> {
        self.check_controllers()?;
        self.check_usb()?;
        for interface in &self.devices.interfaces {
            let model = interface.model.as_deref().unwrap_or("virtio");
            if !model.starts_with("virtio") {
                interface.driver.virtio.must_be_absent()?;
            }
            let kind = interface.kind;
            if interface.virtual_port.is_some()
                && !matches!(
                    kind,
                    InterfaceKind::Network
                        | InterfaceKind::Bridge
                        | InterfaceKind::Direct
                        | InterfaceKind::Hostdev
                        | InterfaceKind::Vds
                )
            {
                return Err(unsupported(format!("<virtualport> element unsupported for <interface type='{kind}'>")));
            }
            if interface.port_isolated == Some(true) && !matches!(kind, InterfaceKind::Network | InterfaceKind::Bridge)
            {
                return Err(unsupported(format!(
                    "interface {} - <port isolated='yes'/> is not supported for network interfaces with type='{kind}'",
                    interface.mac
                )));
            }
        }
        for video in self.devices.videos.iter().filter(|v| v.model != Some(VideoModel::Virtio)) {
            video.virtio.must_be_absent()?;
        }
        let mut panics = BTreeSet::new();
        if let Some(model) = self.devices.panics.iter().filter_map(|p| p.model).find(|m| !panics.insert(m.word())) {
            return Err(xml_error(format!("Multiple panic devices with model '{model}'")));
        }
        self.check_tpms()
    }

    fn check_controllers(&self) -> Result<()> {
        for controller in &self.devices.controllers {
            let virtio = matches!(
                controller.model,
                Some(
                    ControllerModel::VirtioScsi
                        | ControllerModel::VirtioTransitional
                        | ControllerModel::VirtioNonTransitional
                )
            );
            if controller.iothread.is_some() && !(controller.kind == ControllerKind::Scsi && virtio) {
                return Err(xml_error("'iothread' attribute only supported for virtio scsi controllers"));
            }
            if controller.kind == ControllerKind::Pci && controller.number() > PCI_INDEX_MAX {
                let number = controller.number();
                return Err(unsupported(format!("PCI controller index {number} too high, maximum is {PCI_INDEX_MAX}")));
            }
        }
        Ok(())
    }

    /// No USB beside a guest without USB, and no companion without its master.
    fn check_usb(&self) -> Result<()> {
        let usb = || self.devices.controllers.iter().filter(|c| c.kind == ControllerKind::Usb);
        let none = usb().any(|c| c.model == Some(ControllerModel::None));
        if none && usb().count() > 1 {
            return Err(xml_detail("Can't add another USB controller: USB is disabled for this domain"));
        }
        let (companions, masters): (Vec<_>, Vec<_>) = usb().partition(|c| c.info.master_start_port.is_some());
        if !companions.is_empty() && masters.is_empty() {
            return Err(xml_detail("No master USB controller specified"));
        }
        Ok(())
    }

    fn check_tpms(&self) -> Result<()> {
        if self.devices.tpms.len() > 2 {
            return Err(xml_error("a maximum of two TPM devices is supported, one of them being a TPM Proxy device"));
        }
        for tpm in &self.devices.tpms {
            let TpmBackend::Emulator(emulator) = &tpm.backend else { continue };
            let old = emulator.version.is_some_and(|v| v != TpmVersion::V2_0);
            if old && !emulator.pcr_banks.is_empty() {
                return Err(xml_error("<active_pcr_banks/> requires TPM version '2.0'"));
            }
            if old && emulator.profile.is_some() {
                return Err(xml_error("<profile/> requires TPM version '2.0'"));
            }
        }
        Ok(())
    }
}
