//! The host side of a network interface.

use error::Result;
use xml::{Node, Writer};

use super::chardev::{Chardev, ChardevKind, ChardevSource};
use super::hostdev::HostdevPciDriver;
use super::info::{PciAddress, UsbAddress};
use super::interface::{HostAddress, InterfaceDef, InterfaceKind, InterfaceSource, MacvtapMode};
use super::source::Reconnect;
use crate::FormatFlags;
use crate::domain::fault::{unsupported, xml_error};

impl InterfaceSource {
    pub(super) fn parse(node: Node<'_>, kind: InterfaceKind) -> Result<Self> {
        let source = node.child("source");
        let attr = |name: &str| source.and_then(|s| s.non_empty(name));
        let wants_source = matches!(
            kind,
            InterfaceKind::Network
                | InterfaceKind::Bridge
                | InterfaceKind::Direct
                | InterfaceKind::Internal
                | InterfaceKind::Vdpa
        );
        if wants_source && source.is_none() {
            return Err(xml_error(format!("interface type='{kind}' requires a 'source' element")));
        }
        let need = |name: &str, what: &str| attr(name).ok_or_else(|| xml_error(what.to_owned()));
        Ok(match kind {
            InterfaceKind::User => Self::User { dev: attr("dev") },
            InterfaceKind::Ethernet => Self::Ethernet,
            InterfaceKind::Null => Self::Null,
            InterfaceKind::Vds => Self::Vds,
            InterfaceKind::VhostUser => Self::parse_vhost_user(node)?,
            InterfaceKind::Vdpa => {
                Self::Vdpa { dev: need("dev", "No <source> 'dev' attribute specified with <interface type='vdpa'/>")? }
            }
            InterfaceKind::Bridge => Self::Bridge {
                name: need("bridge", "No <source> 'bridge' attribute specified with <interface type='bridge'/>")?,
            },
            InterfaceKind::Internal => Self::Internal {
                name: need("name", "No <source> 'name' attribute specified with <interface type='internal'/>")?,
            },
            InterfaceKind::Network => Self::Network {
                name: need("network", "No <source> 'network' attribute specified with <interface type='network'/>")?,
                portgroup: attr("portgroup"),
                portid: source.map(|s| s.uuid("portid")).transpose()?.flatten(),
                bridge: attr("bridge"),
            },
            InterfaceKind::Direct => Self::Direct {
                dev: need("dev", "No <source> 'dev' attribute specified with <interface type='direct'/>")?,
                mode: source.map(|s| s.word("mode")).transpose()?.flatten(),
            },
            InterfaceKind::Server | InterfaceKind::Client | InterfaceKind::Mcast | InterfaceKind::Udp => {
                let missing =
                    |name: &str| xml_error(format!("No <source> '{name}' attribute specified with socket interface"));
                let Some(source) = source else { return Err(missing("port")) };
                let port = source.i32("port")?.ok_or_else(|| xml::missing_attribute(source, "port"))?.cast_unsigned();
                let source = Some(source);
                let address = attr("address");
                if address.is_none() && kind != InterfaceKind::Server {
                    return Err(missing("address"));
                }
                let local = match source.and_then(|s| s.child("local")) {
                    Some(local) if kind == InterfaceKind::Udp => {
                        Some((local.non_empty("address"), local.u32("port")?.ok_or_else(|| missing("local port"))?))
                    }
                    _ if kind == InterfaceKind::Udp => {
                        return Err(xml_error("No <local> element specified with socket interface"));
                    }
                    _ => None,
                };
                Self::Socket { address, port, local }
            }
            InterfaceKind::Hostdev => Self::parse_hostdev(node)?,
        })
    }

    fn parse_vhost_user(node: Node<'_>) -> Result<Self> {
        let source = node.child("source");
        let passt = node.child("backend").and_then(|b| b.attr("type")) == Some("passt");
        if passt {
            let chardev =
                ChardevSource::new(Chardev::Unix { path: None, listen: false, reconnect: Reconnect::default() });
            return Ok(Self::VhostUser { chardev, dev: source.and_then(|s| s.non_empty("dev")) });
        }
        let need = |name: &str| {
            let value = source.and_then(|s| s.non_empty(name));
            value.ok_or_else(|| xml_error(format!("Missing required attribute '{name}' in element 'source'")))
        };
        if need("type")? != "unix" {
            return Err(unsupported(format!("Type='{}' unsupported for <interface type='vhostuser'>", need("type")?)));
        }
        let (path, mode) =
            (need("path")?, source.and_then(|s| s.non_empty("mode")).unwrap_or_else(|| "client".to_owned()));
        let listen = match mode.as_str() {
            "server" => true,
            "client" => false,
            _ => return Err(xml_error("Wrong <source> 'mode' attribute specified with <interface type='vhostuser'/>")),
        };
        let reconnect = source.and_then(|s| s.child("reconnect"));
        if listen && reconnect.is_some() {
            return Err(unsupported(
                "'reconnect' attribute  unsupported 'server' mode for <interface type='vhostuser'>",
            ));
        }
        let backend = Chardev::Unix { path: Some(path), listen, reconnect: Reconnect::parse(reconnect)? };
        debug_assert_eq!(backend.kind(), ChardevKind::Unix);
        Ok(Self::VhostUser { chardev: ChardevSource::new(backend), dev: None })
    }

    fn parse_hostdev(node: Node<'_>) -> Result<Self> {
        let missing = || unsupported("unknown host device source address type '(null)'");
        let address = node.path(&["source", "address"]).ok_or_else(missing)?;
        let host = match address.attr("type") {
            Some("usb") => HostAddress::Usb(UsbAddress::parse(address)?),
            Some("pci") => HostAddress::Pci(PciAddress::parse(address)?),
            _ => return Err(xml_error("No <source> address type for hostdev interface")),
        };
        let driver = match node.child("driver") {
            None => HostdevPciDriver::default(),
            Some(d) => HostdevPciDriver { name: d.word("name")?, model: d.string("model") },
        };
        Ok(Self::Hostdev { managed: node.yes_no("managed")?, address: host, driver })
    }

    pub(super) fn format(&self, w: &mut Writer, def: &InterfaceDef, flags: FormatFlags) {
        let ips = |w: &mut Writer| {
            def.host_ips.iter().for_each(|ip| ip.format(w));
            def.host_routes.iter().for_each(|r| r.format(w));
        };
        w.element_if_any("source", |w| match self {
            Self::User { dev } => {
                w.attr_opt("dev", dev.as_deref());
                ips(w);
            }
            Self::Ethernet => ips(w),
            Self::Null | Self::Vds => {}
            Self::VhostUser { chardev, dev } => {
                if let Chardev::Unix { path: Some(path), listen, reconnect } = &chardev.backend {
                    w.attr("type", "unix");
                    w.attr("path", path);
                    w.attr("mode", if *listen { "server" } else { "client" });
                    reconnect.format(w);
                }
                w.attr_opt("dev", dev.as_deref());
            }
            Self::Socket { address, port, local } => {
                w.attr_opt("address", address.as_deref());
                w.attr("port", port);
                if let Some((address, port)) = local {
                    w.element("local", |w| {
                        w.attr_opt("address", address.as_deref());
                        w.attr("port", port);
                    });
                }
            }
            Self::Network { name, portgroup, portid, bridge } => {
                w.attr("network", name);
                w.attr_opt("portgroup", portgroup.as_deref());
                if !flags.inactive {
                    w.attr_opt("portid", portid.map(|u| xml::format_uuid(&u)));
                    let live = def.actual.as_ref().and_then(|a| a.bridge.as_deref());
                    w.attr_opt("bridge", live.or(bridge.as_deref()).filter(|_| !flags.status));
                }
                ips(w);
            }
            Self::Bridge { name } => {
                w.attr("bridge", name);
                ips(w);
            }
            Self::Internal { name } => w.attr("name", name),
            Self::Direct { dev, mode } => {
                w.attr("dev", dev);
                w.attr("mode", mode.unwrap_or(MacvtapMode::Vepa));
            }
            Self::Vdpa { dev } => w.attr("dev", dev),
            Self::Hostdev { address, .. } => w.element("address", |w| match address {
                HostAddress::Pci(pci) => {
                    w.attr("type", "pci");
                    pci.format_attributes(w);
                }
                HostAddress::Usb(usb) => {
                    w.attr("type", "usb");
                    w.attr("bus", usb.bus);
                    w.attr("port", usb.port_text());
                }
            }),
        });
    }
}
