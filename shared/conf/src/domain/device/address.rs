//! Guest addresses: kinds, parse, format.

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer, invalid_value, missing_attribute, text_enum};

use crate::domain::fault::{internal, xml_error};

text_enum! {
    /// Word of each kind of address.
    pub enum AddressKind {
        Pci = "pci", Drive = "drive", VirtioSerial = "virtio-serial", Ccid = "ccid", Usb = "usb", SpaprVio = "spapr-vio",
        VirtioS390 = "virtio-s390", Ccw = "ccw", VirtioMmio = "virtio-mmio", Isa = "isa", Dimm = "dimm", Unassigned = "unassigned",
    }
}

/// zPCI identity of a PCI device on s390x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zpci {
    pub uid: Option<u32>,
    pub fid: Option<u32>,
}

/// Guest or host PCI address. As a guest address, bus 0 slot 0 of domain 0 means "some PCI address, please".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u32,
    pub slot: u32,
    pub function: u32,
    pub multifunction: Option<bool>,
    pub zpci: Zpci,
}

impl PciAddress {
    /// Whether domain, bus and slot are zero: no device can sit there, so it only asks for an address.
    pub fn is_empty(&self) -> bool {
        self.domain == 0 && self.bus == 0 && self.slot == 0
    }

    /// `0000:00:01.2`
    pub fn text(&self) -> String {
        format!("{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

/// Place on a disk or SCSI controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriveAddress {
    pub controller: u32,
    pub bus: u32,
    pub target: u32,
    pub unit: u32,
}

/// Place on a virtio-serial controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioSerialAddress {
    pub controller: u32,
    pub bus: u32,
    /// 0 until assigned.
    pub port: u32,
}

/// Place on a smart card controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CcidAddress {
    pub controller: u32,
    pub slot: u32,
}

/// Place on a USB bus: ports from the root down, empty until assigned (at most four).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsbAddress {
    pub bus: u32,
    pub port: Vec<u32>,
}

/// Channel subsystem address of s390x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CcwAddress {
    /// (cssid, ssid, devno) once known.
    pub at: Option<(u32, u32, u32)>,
}

/// ISA port range start and interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsaAddress {
    pub iobase: Option<u32>,
    pub irq: Option<u32>,
}

/// Slot and guest physical base of a memory device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DimmAddress {
    pub slot: u32,
    pub base: u64,
}

/// Where the guest finds the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Pci(PciAddress),
    Drive(DriveAddress),
    VirtioSerial(VirtioSerialAddress),
    Ccid(CcidAddress),
    Usb(UsbAddress),
    /// `reg`, once known.
    SpaprVio(Option<u64>),
    VirtioS390,
    Ccw(CcwAddress),
    VirtioMmio,
    Isa(IsaAddress),
    Dimm(DimmAddress),
    /// The user does not want the device to be seen by the guest yet.
    Unassigned,
}

impl Address {
    /// Its kind.
    pub fn kind(&self) -> AddressKind {
        match self {
            Self::Pci(_) => AddressKind::Pci,
            Self::Drive(_) => AddressKind::Drive,
            Self::VirtioSerial(_) => AddressKind::VirtioSerial,
            Self::Ccid(_) => AddressKind::Ccid,
            Self::Usb(_) => AddressKind::Usb,
            Self::SpaprVio(_) => AddressKind::SpaprVio,
            Self::VirtioS390 => AddressKind::VirtioS390,
            Self::Ccw(_) => AddressKind::Ccw,
            Self::VirtioMmio => AddressKind::VirtioMmio,
            Self::Isa(_) => AddressKind::Isa,
            Self::Dimm(_) => AddressKind::Dimm,
            Self::Unassigned => AddressKind::Unassigned,
        }
    }
}

impl PciAddress {
    /// Reads the attributes of `<address>` (numbers in any base) and checks their ranges.
    ///
    /// # Errors
    /// `XML_ERROR` for a number out of range, as libvirt's PCI code reports it.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name| node.u32_base(name, 0).map(Option::unwrap_or_default);
        let mut address = Self {
            domain: number("domain")?,
            bus: number("bus")?,
            slot: number("slot")?,
            function: number("function")?,
            multifunction: node.on_off("multifunction")?,
            zpci: Zpci::default(),
        };
        address.check()?;
        if let Some(zpci) = node.child("zpci") {
            address.zpci = Zpci { uid: zpci.u32_base("uid", 0)?, fid: zpci.u32_base("fid", 0)? };
        }
        Ok(address)
    }

    fn check(&self) -> Result<()> {
        let bad = |text: String| Err(Error::new(Domain::None, Code::XmlError, format!("Invalid PCI address {text}")));
        if self.domain > 0xffff {
            return bad(format!("domain='0x{:x}', must be <= 0xFFFF", self.domain));
        }
        if self.bus > 0xff {
            return bad(format!("bus='0x{:x}', must be <= 0xFF", self.bus));
        }
        if self.slot > 0x1f {
            return bad(format!("slot='0x{:x}', must be <= 0x1F", self.slot));
        }
        if self.function > 7 {
            return bad(format!("function=0x{:x}, must be <= 7", self.function));
        }
        Ok(())
    }

    /// Writes the attributes of a host address.
    pub fn format_attributes(&self, w: &mut Writer) {
        w.attr("domain", format_args!("0x{:04x}", self.domain));
        w.attr("bus", format_args!("0x{:02x}", self.bus));
        w.attr("slot", format_args!("0x{:02x}", self.slot));
        w.attr("function", format_args!("0x{:x}", self.function));
    }

    fn format(&self, w: &mut Writer) {
        if !self.is_empty() {
            self.format_attributes(w);
            w.on_off("multifunction", self.multifunction);
        }
        w.element_if_any("zpci", |w| {
            w.attr_opt("uid", self.zpci.uid.map(|u| format!("0x{u:04x}")));
            w.attr_opt("fid", self.zpci.fid.map(|f| format!("0x{f:08x}")));
        });
    }
}

impl DriveAddress {
    /// Reads the attributes of `<address>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name| node.u32(name).map(Option::unwrap_or_default);
        Ok(Self {
            controller: number("controller")?,
            bus: number("bus")?,
            target: number("target")?,
            unit: number("unit")?,
        })
    }
}

impl UsbAddress {
    /// Reads the attributes of `<address>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let port = match node.attr("port") {
            None => Vec::new(),
            Some(text) => parse_usb_port(text).ok_or_else(|| {
                Error::new(Domain::Device, Code::InternalError, "Cannot parse <address> 'port' attribute")
            })?,
        };
        Ok(Self { bus: node.u32("bus")?.unwrap_or_default(), port })
    }

    /// `1.2.3`
    pub fn port_text(&self) -> String {
        self.port.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
    }
}

/// One to four dotted port numbers.
pub fn parse_usb_port(text: &str) -> Option<Vec<u32>> {
    let ports: Option<Vec<u32>> = text.split('.').map(|p| xml::parse_u64(p, 10)?.try_into().ok()).collect();
    ports.filter(|p| p.len() <= 4)
}

impl CcwAddress {
    fn parse(node: Node<'_>) -> Result<Self> {
        let parts = (node.u32_base("cssid", 0)?, node.u32_base("ssid", 0)?, node.u32_base("devno", 0)?);
        match parts {
            (None, None, None) => Ok(Self { at: None }),
            (Some(cssid), Some(ssid), Some(devno)) if cssid <= 254 && ssid <= 3 && devno <= 0xffff => {
                Ok(Self { at: Some((cssid, ssid, devno)) })
            }
            (Some(cssid), Some(ssid), Some(devno)) => Err(internal(format!(
                "Invalid specification for virtio ccw address: cssid='0x{cssid:x}' ssid='0x{ssid:x}' devno='0x{devno:04x}'"
            ))),
            _ => Err(internal("Invalid partial specification for virtio ccw address")),
        }
    }
}

impl Address {
    /// Reads `<address type=...>`.
    ///
    /// # Errors
    /// `XML_ERROR` for an unknown type or a bad number.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name| node.u32(name).map(Option::unwrap_or_default);
        Ok(match node.required_word::<AddressKind>("type")? {
            AddressKind::Pci => Self::Pci(PciAddress::parse(node)?),
            AddressKind::Drive => Self::Drive(DriveAddress::parse(node)?),
            AddressKind::VirtioSerial => Self::VirtioSerial(VirtioSerialAddress {
                controller: number("controller")?,
                bus: number("bus")?,
                port: number("port")?,
            }),
            AddressKind::Ccid => Self::Ccid(CcidAddress { controller: number("controller")?, slot: number("slot")? }),
            AddressKind::Usb => Self::Usb(UsbAddress::parse(node)?),
            AddressKind::SpaprVio => Self::SpaprVio(u64_hex(node, "reg")?),
            AddressKind::VirtioS390 => return Err(xml_error("virtio-s390 bus doesn't have an address")),
            AddressKind::Ccw => Self::Ccw(CcwAddress::parse(node)?),
            AddressKind::VirtioMmio => Self::VirtioMmio,
            AddressKind::Isa => {
                Self::Isa(IsaAddress { iobase: node.u32_base("iobase", 16)?, irq: node.u32_base("irq", 16)? })
            }
            AddressKind::Dimm => Self::Dimm(DimmAddress {
                slot: node.u32("slot")?.ok_or_else(|| missing_attribute(node, "slot"))?,
                base: u64_hex(node, "base")?.unwrap_or_default(),
            }),
            AddressKind::Unassigned => Self::Unassigned,
        })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        if matches!(self, Self::VirtioS390) {
            return;
        }
        w.element("address", |w| {
            w.attr("type", self.kind());
            match self {
                Self::Pci(pci) => pci.format(w),
                Self::Drive(d) => {
                    w.attr("controller", d.controller);
                    w.attr("bus", d.bus);
                    w.attr("target", d.target);
                    w.attr("unit", d.unit);
                }
                Self::VirtioSerial(v) => {
                    w.attr("controller", v.controller);
                    w.attr("bus", v.bus);
                    w.attr("port", v.port);
                }
                Self::Ccid(c) => {
                    w.attr("controller", c.controller);
                    w.attr("slot", c.slot);
                }
                Self::Usb(u) => {
                    w.attr("bus", u.bus);
                    if !u.port.is_empty() && u.port[0] != 0 {
                        w.attr("port", u.port_text());
                    }
                }
                Self::SpaprVio(reg) => w.attr_opt("reg", reg.map(|r| format!("0x{r:08x}"))),
                Self::Ccw(c) => {
                    if let Some((cssid, ssid, devno)) = c.at {
                        w.attr("cssid", format_args!("0x{cssid:x}"));
                        w.attr("ssid", format_args!("0x{ssid:x}"));
                        w.attr("devno", format_args!("0x{devno:04x}"));
                    }
                }
                Self::Isa(i) => {
                    w.attr_opt("iobase", i.iobase.filter(|n| *n > 0).map(|n| format!("0x{n:x}")));
                    w.attr_opt("irq", i.irq.filter(|n| *n > 0).map(|n| format!("0x{n:x}")));
                }
                Self::Dimm(d) => {
                    w.attr("slot", d.slot);
                    w.attr_opt("base", (d.base > 0).then(|| format!("0x{:x}", d.base)));
                }
                Self::VirtioS390 | Self::VirtioMmio | Self::Unassigned => {}
            }
        });
    }
}

/// A hexadecimal 64-bit attribute.
pub(crate) fn u64_hex(node: Node<'_>, name: &str) -> Result<Option<u64>> {
    let Some(text) = node.attr(name) else { return Ok(None) };
    xml::parse_u64(text, 16)
        .map(Some)
        .ok_or_else(|| invalid_value(node, name, text, " Expected non-negative integer value"))
}
