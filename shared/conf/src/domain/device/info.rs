//! What all devices share: alias, guest address, boot order, option ROM.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer, missing_attribute};

pub(crate) use super::address::u64_hex;
pub use super::address::{
    Address, AddressKind, CcidAddress, CcwAddress, DimmAddress, DriveAddress, IsaAddress, PciAddress, UsbAddress,
    VirtioSerialAddress, Zpci, parse_usb_port,
};
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{internal, unsupported};

/// Option ROM of a PCI device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rom {
    pub enabled: Option<bool>,
    pub bar: Option<bool>,
    pub file: Option<String>,
}

/// What all devices share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceInfo {
    /// QEMU's id; a user's own begins with `ua-`.
    pub alias: Option<String>,
    pub address: Option<Address>,
    /// Start port of a companion USB controller.
    pub master_start_port: Option<u32>,
    pub boot_index: Option<u32>,
    /// IPL parameter of s390x boot devices.
    pub loadparm: Option<String>,
    pub rom: Option<Rom>,
    pub acpi_index: Option<u32>,
    /// Devices with equal groups must share a PHB (pseries); filled by address assignment.
    pub isolation_group: Option<u32>,
}

impl DeviceInfo {
    /// The PCI address, when it is one.
    pub fn pci(&self) -> Option<&PciAddress> {
        match &self.address {
            Some(Address::Pci(pci)) => Some(pci),
            _ => None,
        }
    }

    /// Whether a PCI address is wanted but not chosen yet.
    pub fn wants_pci(&self) -> bool {
        self.pci().is_some_and(PciAddress::is_empty)
    }

    /// Whether the user gave the alias.
    pub fn has_user_alias(&self) -> bool {
        self.alias.as_deref().is_some_and(|a| a.starts_with("ua-"))
    }
}

/// `<driver iommu= ats= packed= page_per_vq=/>` of virtio devices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VirtioOptions {
    pub iommu: Option<bool>,
    pub ats: Option<bool>,
    pub packed: Option<bool>,
    pub page_per_vq: Option<bool>,
}

text_enum! {
    /// Flavour of a virtio device.
    pub enum VirtioModel { Virtio = "virtio", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional" }
}

/// What of the shared elements a family takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allow {
    pub boot: bool,
    pub rom: bool,
}

impl DeviceInfo {
    /// Reads the shared children of a device.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext, allow: Allow) -> Result<Self> {
        let mut info = Self::default();
        if let Some(alias) = node.child("alias").and_then(|a| a.non_empty("name")) {
            let wanted = ctx.live
                || (alias.starts_with("ua-") && alias.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            info.alias = wanted.then_some(alias);
        }
        if let Some(master) = node.child("master") {
            info.master_start_port = Some(master.u32("startport")?.unwrap_or_default());
        }
        if allow.boot
            && let Some(boot) = node.child("boot")
        {
            info.parse_boot(boot)?;
        }
        if allow.rom
            && let Some(rom) = node.child("rom")
        {
            info.rom = Some(Rom { enabled: rom.yes_no("enabled")?, bar: rom.on_off("bar")?, file: rom.string("file") });
            if let Some(Rom { enabled: Some(false), bar, file }) = &info.rom
                && (bar.is_some() || file.is_some())
            {
                return Err(unsupported("ROM tuning is not supported when ROM is disabled"));
            }
        }
        if let Some(acpi) = node.child("acpi") {
            info.acpi_index = acpi.u32_nonzero("index")?;
        }
        if let Some(address) = node.child("address") {
            info.address = Some(Address::parse(address)?);
        }
        Ok(info)
    }

    fn parse_boot(&mut self, boot: Node<'_>) -> Result<()> {
        let order = boot.u32_nonzero("order")?.ok_or_else(|| missing_attribute(boot, "order"))?;
        self.boot_index = Some(order);
        if let Some(parm) = boot.attr("loadparm") {
            let upper = parm.to_ascii_uppercase();
            if !(1..=8).contains(&upper.len()) {
                return Err(internal(format!("loadparm value '{parm}' must be between 1 and 8 characters")));
            }
            if !upper.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'.' || b == b' ') {
                return Err(internal(format!(
                    "invalid loadparm value '{upper}', expecting chars in set of [a-zA-Z0-9.] and blank spaces"
                )));
            }
            self.loadparm = Some(upper);
        }
        Ok(())
    }

    /// Writes the shared children.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        if let Some(order) = self.boot_index {
            w.element("boot", |w| {
                w.attr("order", order);
                w.attr_opt("loadparm", self.loadparm.as_deref());
            });
        }
        if !flags.inactive || self.has_user_alias() {
            w.element_if_any("alias", |w| w.attr_opt("name", self.alias.as_deref()));
        }
        w.element_if_any("master", |w| w.attr_opt("startport", self.master_start_port));
        if let Some(rom) = &self.rom {
            w.element_if_any("rom", |w| {
                w.yes_no("enabled", rom.enabled);
                w.on_off("bar", rom.bar);
                w.attr_opt("file", rom.file.as_deref());
            });
        }
        w.element_if_any("acpi", |w| w.attr_opt("index", self.acpi_index));
        if let Some(address) = &self.address {
            address.format(w);
        }
    }
}

impl VirtioOptions {
    /// Reads the options off `<driver>`.
    pub fn parse(driver: Option<Node<'_>>) -> Result<Self> {
        let Some(node) = driver else { return Ok(Self::default()) };
        Ok(Self {
            iommu: node.on_off("iommu")?,
            ats: node.on_off("ats")?,
            packed: node.on_off("packed")?,
            page_per_vq: node.on_off("page_per_vq")?,
        })
    }

    /// Writes the attributes.
    pub fn format(&self, w: &mut Writer) {
        w.on_off("iommu", self.iommu);
        w.on_off("ats", self.ats);
        w.on_off("packed", self.packed);
        w.on_off("page_per_vq", self.page_per_vq);
    }

    /// Writes `<driver>` when there is an option.
    pub fn format_driver(&self, w: &mut Writer) {
        w.element_if_any("driver", |w| self.format(w));
    }

    /// Whether any option is set.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// Refuses options on a device that is not virtio.
    pub fn check_absent(&self) -> Result<()> {
        let options =
            [("iommu", self.iommu), ("ats", self.ats), ("packed", self.packed), ("page_per_vq", self.page_per_vq)];
        match options.iter().find(|(_, v)| v.is_some()) {
            Some((name, _)) => Err(unsupported(format!("{name} driver option is only supported for virtio devices"))),
            None => Ok(()),
        }
    }
}
