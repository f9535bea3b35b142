//! Writes `<devices>`.

use xml::Writer;

use super::console::{ConsoleDef, ConsoleType};
use super::*;
use crate::FormatFlags;

impl Devices {
    /// Writes all devices, in libvirt's order.
    pub(in crate::domain) fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("devices", |w| {
            w.begin_content();
            w.leaf_opt("emulator", self.emulator.as_deref());
            self.disks.iter().for_each(|d| d.format(w, flags));
            let hidden = |c: &&controller::ControllerDef| flags.migratable && c.is_implied(&self.controllers);
            self.controllers.iter().filter(|c| !hidden(c)).for_each(|d| d.format(w, flags));
            self.leases.iter().for_each(|d| d.format(w));
            self.filesystems.iter().for_each(|d| d.format(w, flags));
            self.interfaces.iter().for_each(|d| d.format(w, flags));
            self.smartcards.iter().for_each(|d| d.format(w, flags));
            self.serials.iter().for_each(|d| d.format(w, flags));
            self.parallels.iter().for_each(|d| d.format(w, flags));
            self.format_consoles(w, flags);
            self.channels.iter().for_each(|d| d.format(w, flags));
            self.inputs.iter().for_each(|d| d.format(w, flags));
            self.tpms.iter().for_each(|d| d.format(w, flags));
            self.graphics.iter().for_each(|d| d.format(w, flags));
            self.sounds.iter().for_each(|d| d.format(w, flags));
            self.audios.iter().for_each(|d| d.format(w));
            self.videos.iter().for_each(|d| d.format(w, flags));
            self.hostdevs.iter().for_each(|d| d.format(w, flags));
            self.redirdevs.iter().for_each(|d| d.format(w, flags));
            if let Some(rules) = &self.redir_filter {
                redirdev::RedirRule::format_all(w, rules);
            }
            self.hubs.iter().for_each(|d| d.format(w, flags));
            self.watchdogs.iter().for_each(|d| d.format(w, flags));
            self.memballoon.iter().for_each(|d| d.format(w, flags));
            self.rngs.iter().for_each(|d| d.format(w, flags));
            self.nvram.iter().for_each(|d| d.format(w, flags));
            self.panics.iter().for_each(|d| d.format(w, flags));
            self.shmems.iter().for_each(|d| d.format(w, flags));
            self.memories.iter().for_each(|d| d.format(w, flags));
            self.cryptos.iter().for_each(|d| d.format(w, flags));
            self.iommu.iter().for_each(|d| d.format(w, flags));
            self.vsock.iter().for_each(|d| d.format(w, flags));
            self.pstore.iter().for_each(|d| d.format(w, flags));
        });
    }

    /// The first console may be another name of the first serial port; then it is printed with that port's source.
    fn format_consoles(&self, w: &mut Writer, flags: FormatFlags) {
        for (at, console) in self.consoles.iter().enumerate() {
            match self.serials.first() {
                Some(serial) if at == 0 && console.target == Some(ConsoleType::Serial) => {
                    let twin = ConsoleDef {
                        source: serial.source.clone(),
                        target: console.target,
                        port: serial.port,
                        info: serial.info.clone(),
                    };
                    twin.format(w, flags);
                }
                _ => console.format(w, flags),
            }
        }
    }
}

impl controller::ControllerDef {
    /// Whether an old libvirt makes this controller by itself, so that a migratable document leaves it out.
    fn is_implied(&self, all: &[Self]) -> bool {
        use controller::{ControllerKind, ControllerModel};
        match (self.kind, self.model) {
            (ControllerKind::Usb, Some(ControllerModel::Piix3Uhci)) => {
                self.index == Some(0)
                    && all.iter().filter(|c| c.kind == ControllerKind::Usb).count() == 1
                    && !self.info.has_user_alias()
            }
            (ControllerKind::Pci, Some(ControllerModel::PciRoot)) => {
                self.index == Some(0) && !self.info.has_user_alias() && self.pci == controller::PciOptions::default()
            }
            _ => false,
        }
    }
}
