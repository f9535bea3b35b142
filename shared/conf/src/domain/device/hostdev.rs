//! Host devices given to the guest: PCI, USB, SCSI, vhost SCSI, mediated devices.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::disk::{Sgio, StartupPolicy};
use super::info::Allow;
use super::info::{DeviceInfo, PciAddress};
use super::interface::Teaming;
use super::source::{Auth, NetworkHost};
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{internal, unsupported, xml_error};

text_enum! {
    /// Driver on the host.
    pub enum HostdevDriverName { Default = "default", Kvm = "kvm", Vfio = "vfio", Xen = "xen" }
}
text_enum! {
    /// Kind of mediated device.
    pub enum MdevModel { VfioPci = "vfio-pci", VfioCcw = "vfio-ccw", VfioAp = "vfio-ap" }
}
text_enum! {
    /// Kind of vhost SCSI device.
    pub enum ScsiHostModel { Virtio = "virtio", Transitional = "virtio-transitional", NonTransitional = "virtio-non-transitional" }
}

/// `<driver name= model=/>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostdevPciDriver {
    pub name: Option<HostdevDriverName>,
    pub model: Option<String>,
}

/// Origin state of a device, kept in status documents so that it can be returned.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OriginStates {
    pub unbind: bool,
    pub removeslot: bool,
    pub reprobe: bool,
}

/// A USB device by identity, place, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsbSource {
    pub vendor_product: Option<(u32, u32)>,
    /// bus, device
    pub address: Option<(u32, u32)>,
    /// bus, port
    pub port: Option<(u32, String)>,
    pub startup_policy: Option<super::disk::StartupPolicy>,
    pub guest_reset: Option<String>,
    /// The address was found by us.
    pub auto_address: bool,
}

/// Where a SCSI device comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ScsiSource {
    Host { adapter: String, bus: u32, target: u32, unit: u64 },
    Iscsi { path: String, hosts: Vec<NetworkHost>, auth: Option<Auth>, initiator_iqn: Option<String> },
}

/// By kind.
#[derive(Clone, Debug, PartialEq)]
pub enum HostdevSource {
    Pci { address: PciAddress, driver: HostdevPciDriver, states: OriginStates },
    Usb(UsbSource),
    Scsi { source: ScsiSource, rawio: Option<bool>, sgio: Option<super::disk::Sgio> },
    ScsiHost { wwpn: String, model: Option<ScsiHostModel> },
    Mdev { uuid: [u8; 16], model: MdevModel, display: Option<bool>, ramfb: Option<bool> },
}

/// `<hostdev mode='subsystem'>`
#[derive(Clone, Debug, PartialEq)]
pub struct HostdevDef {
    pub source: HostdevSource,
    pub managed: Option<bool>,
    pub readonly: bool,
    pub shareable: bool,
    pub teaming: Option<Teaming>,
    pub info: DeviceInfo,
}

impl HostdevPciDriver {
    /// Writes `<driver>` when there is something to say.
    pub fn format(&self, w: &mut Writer) {
        w.element_if_any("driver", |w| {
            w.attr_opt("name", self.name.filter(|n| *n != HostdevDriverName::Default));
            w.attr_opt("model", self.model.as_deref());
        });
    }
}

impl UsbSource {
    fn parse(source: Node<'_>, live: bool) -> Result<Self> {
        let mut usb = Self {
            startup_policy: source.word("startupPolicy")?,
            guest_reset: source.string("guestReset"),
            ..Self::default()
        };
        if let Some(reset) = &usb.guest_reset
            && !["off", "uninitialized", "on"].contains(&reset.as_str())
        {
            return Err(xml::invalid_value(source, "guestReset", reset, ""));
        }
        if live {
            usb.auto_address = source.yes_no("autoAddress")? == Some(true);
        }
        let id = |name: &str| -> Result<Option<u32>> {
            let Some(node) = source.child(name) else { return Ok(None) };
            node.u32_base("id", 0)?.ok_or_else(|| xml::missing_attribute(node, "id")).map(Some)
        };
        if let Some(vendor) = id("vendor")? {
            if vendor == 0 {
                return Err(xml_error("vendor cannot be 0."));
            }
            usb.vendor_product = Some((vendor, id("product")?.ok_or_else(|| internal("missing product"))?));
        } else if source.child("product").is_some() {
            return Err(internal("missing vendor"));
        }
        if let Some(address) = source.child("address") {
            let bus = address.u32_base("bus", 0)?.ok_or_else(|| xml::missing_attribute(address, "bus"))?;
            let device = address.u32_base("device", 0)?.ok_or_else(|| xml::missing_attribute(address, "device"))?;
            usb.address = Some((bus, device));
        }
        if usb.vendor_product.is_none() && usb.address.is_none() && usb.port.is_none() {
            return Err(xml_error("vendor cannot be 0."));
        }
        Ok(usb)
    }

    fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("source", |w| {
            w.attr_opt("startupPolicy", self.startup_policy.filter(|p| *p != StartupPolicy::Default));
            if self.auto_address && flags.status {
                w.attr("autoAddress", "yes");
            }
            w.attr_opt("guestReset", self.guest_reset.as_deref());
            if let Some((vendor, product)) = self.vendor_product {
                w.element("vendor", |w| w.attr("id", format_args!("0x{vendor:04x}")));
                w.element("product", |w| w.attr("id", format_args!("0x{product:04x}")));
            }
            // an address that we found belongs to the running guest
            let hidden = self.auto_address && flags.inactive;
            if let Some((bus, device)) = self.address.filter(|_| !hidden) {
                w.element("address", |w| {
                    w.attr("bus", bus);
                    w.attr("device", device);
                });
            } else if let Some((bus, port)) = &self.port {
                w.element("address", |w| {
                    w.attr("bus", bus);
                    w.attr("port", port);
                });
            }
        });
    }
}

impl ScsiSource {
    fn parse(source: Node<'_>) -> Result<Self> {
        if let Some(protocol) = source.attr("protocol") {
            if protocol != "iscsi" && protocol != "adapter" {
                return Err(xml_error(format!("Unknown scsi subsystem protocol '{protocol}'")));
            }
            if protocol == "iscsi" {
                return Self::parse_iscsi(source);
            }
        }
        let address =
            source.child("address").ok_or_else(|| xml_error("'address' must be specified for scsi hostdev source"))?;
        let adapter =
            source.child("adapter").ok_or_else(|| xml_error("'adapter' must be specified for scsi hostdev source"))?;
        let number = |name: &str| {
            address.u32(name)?.ok_or_else(|| {
                xml_error("'bus', 'target', and 'unit' must be specified for scsi hostdev source address")
            })
        };
        let unit = address.u64("unit")?.ok_or_else(|| {
            xml_error("'bus', 'target', and 'unit' must be specified for scsi hostdev source address")
        })?;
        let name = adapter
            .string("name")
            .ok_or_else(|| xml_error("'adapter' name must be specified for scsi hostdev source"))?;
        Ok(Self::Host { adapter: name, bus: number("bus")?, target: number("target")?, unit })
    }

    fn parse_iscsi(source: Node<'_>) -> Result<Self> {
        let path = source.string("name").ok_or_else(|| xml_error("missing iSCSI hostdev source path name"))?;
        let hosts = NetworkHost::parse_all(source)?;
        if hosts.is_empty() {
            return Err(xml_error("missing the host address for the iSCSI hostdev"));
        }
        if hosts.len() > 1 {
            return Err(xml_error("only one source host address may be specified for the iSCSI hostdev"));
        }
        let auth = source.child("auth").map(Auth::parse).transpose()?;
        let initiator_iqn = source.path(&["initiator", "iqn"]).and_then(|i| i.string("name"));
        Ok(Self::Iscsi { path, hosts, auth, initiator_iqn })
    }

    fn format(&self, w: &mut Writer) {
        w.element("source", |w| match self {
            Self::Host { adapter, bus, target, unit } => {
                w.element("adapter", |w| w.attr("name", adapter));
                w.element("address", |w| {
                    w.attr("bus", bus);
                    w.attr("target", target);
                    w.attr("unit", unit);
                });
            }
            Self::Iscsi { path, hosts, auth, initiator_iqn } => {
                w.attr("protocol", "iscsi");
                w.attr("name", path);
                NetworkHost::format_all(w, hosts);
                if let Some(auth) = auth {
                    auth.format(w);
                }
                if let Some(iqn) = initiator_iqn {
                    w.element("initiator", |w| w.element("iqn", |w| w.attr("name", iqn)));
                }
            }
        });
    }
}

text_enum! {
    /// Kind of host device.
    pub enum HostdevKind { Usb = "usb", Pci = "pci", Scsi = "scsi", ScsiHost = "scsi_host", Mdev = "mdev" }
}

impl HostdevDef {
    /// Reads `<hostdev>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        match node.attr("mode") {
            None | Some("subsystem") => {}
            Some("capabilities") => return Err(unsupported("hostdev mode 'capabilities' is not supported in QEMU")),
            Some(mode) => return Err(xml_error(format!("unexpected hostdev mode {mode}"))),
        }
        let kind = node.required_word("type")?;
        let source = node.child("source").ok_or_else(|| xml_error("Missing <source> element in hostdev device"))?;
        let (rawio, sgio) = (node.yes_no("rawio")?, node.word::<Sgio>("sgio")?);
        if kind != HostdevKind::Scsi {
            if sgio.is_some() {
                return Err(xml_error("sgio is only supported for scsi host device"));
            }
            if rawio.is_some() {
                return Err(xml_error("rawio is only supported for scsi host device"));
            }
        }
        let source = match kind {
            HostdevKind::Usb => HostdevSource::Usb(UsbSource::parse(source, ctx.live)?),
            HostdevKind::Pci => Self::parse_pci(node, source)?,
            HostdevKind::Scsi => HostdevSource::Scsi { source: ScsiSource::parse(source)?, rawio, sgio },
            HostdevKind::ScsiHost => {
                if source.attr("protocol") != Some("vhost") {
                    return Err(xml_error(format!(
                        "Unknown scsi_host subsystem protocol '{}'",
                        source.attr("protocol").unwrap_or("(null)")
                    )));
                }
                let wwpn =
                    source.string("wwpn").ok_or_else(|| xml_error("Missing scsi_host subsystem protocol wwpn"))?;
                let digits = wwpn
                    .strip_prefix("naa.")
                    .is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_hexdigit()));
                if !digits {
                    return Err(xml_error("malformed 'wwpn' value"));
                }
                HostdevSource::ScsiHost { wwpn, model: node.word("model")? }
            }
            HostdevKind::Mdev => {
                let model = match node.attr("model") {
                    None => return Err(xml_error("Missing 'model' attribute in mediated device's <hostdev> element")),
                    Some(word) => MdevModel::from_word(word)
                        .ok_or_else(|| xml_error(format!("unknown hostdev model '{word}'")))?,
                };
                let address = source.child("address").ok_or_else(|| unsupported("Missing <address> element"))?;
                let uuid = address
                    .attr("uuid")
                    .ok_or_else(|| unsupported("Missing 'uuid' attribute for element <address>"))?;
                let uuid = xml::parse_uuid(uuid)
                    .ok_or_else(|| internal("Cannot parse uuid attribute of element <address>"))?;
                HostdevSource::Mdev { uuid, model, display: node.on_off("display")?, ramfb: node.on_off("ramfb")? }
            }
        };
        Ok(Self {
            managed: node.yes_no("managed")?,
            readonly: node.child("readonly").is_some(),
            shareable: node.child("shareable").is_some(),
            teaming: node.child("teaming").map(Teaming::parse).transpose()?,
            info: DeviceInfo::parse(node, ctx, Allow { boot: true, rom: true })?,
            source,
        })
    }

    fn parse_pci(node: Node<'_>, source: Node<'_>) -> Result<HostdevSource> {
        let address =
            source.child("address").ok_or_else(|| xml_error("Missing <address> element in hostdev device"))?;
        let driver = match node.child("driver") {
            None => HostdevPciDriver::default(),
            Some(d) => HostdevPciDriver { name: d.word("name")?, model: d.string("model") },
        };
        let states = node.child("origstates").map_or(OriginStates::default(), |s| OriginStates {
            unbind: s.child("unbind").is_some(),
            removeslot: s.child("removeslot").is_some(),
            reprobe: s.child("reprobe").is_some(),
        });
        Ok(HostdevSource::Pci { address: PciAddress::parse(address)?, driver, states })
    }

    /// Its kind.
    pub fn kind(&self) -> HostdevKind {
        match self.source {
            HostdevSource::Pci { .. } => HostdevKind::Pci,
            HostdevSource::Usb(_) => HostdevKind::Usb,
            HostdevSource::Scsi { .. } => HostdevKind::Scsi,
            HostdevSource::ScsiHost { .. } => HostdevKind::ScsiHost,
            HostdevSource::Mdev { .. } => HostdevKind::Mdev,
        }
    }

    /// Writes `<hostdev>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("hostdev", |w| {
            w.attr("mode", "subsystem");
            w.attr("type", self.kind());
            w.yes_no("managed", Some(self.managed.unwrap_or(false)));
            match &self.source {
                HostdevSource::Scsi { sgio, rawio, source } => {
                    w.attr_opt("sgio", *sgio);
                    w.yes_no("rawio", *rawio);
                    source.format(w);
                }
                HostdevSource::ScsiHost { wwpn, model } => {
                    w.attr_opt("model", *model);
                    w.element("source", |w| {
                        w.attr("protocol", "vhost");
                        w.attr("wwpn", wwpn);
                    });
                }
                HostdevSource::Mdev { uuid, model, display, ramfb } => {
                    w.attr("model", model);
                    w.on_off("display", *display);
                    w.on_off("ramfb", *ramfb);
                    w.element("source", |w| w.element("address", |w| w.attr("uuid", xml::format_uuid(uuid))));
                }
                HostdevSource::Usb(usb) => usb.format(w, flags),
                HostdevSource::Pci { address, driver, states } => {
                    driver.format(w);
                    w.element("source", |w| w.element("address", |w| address.format_attributes(w)));
                    if flags.status && *states != OriginStates::default() {
                        w.element("origstates", |w| {
                            [(states.unbind, "unbind"), (states.removeslot, "removeslot"), (states.reprobe, "reprobe")]
                                .iter()
                                .filter(|(set, _)| *set)
                                .for_each(|(_, name)| w.empty(name));
                        });
                    }
                }
            }
            if let Some(teaming) = &self.teaming {
                teaming.format(w);
            }
            if self.readonly {
                w.empty("readonly");
            }
            if self.shareable {
                w.empty("shareable");
            }
            self.info.format(w, flags);
        });
    }
}
