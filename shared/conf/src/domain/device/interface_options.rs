//! How a network interface is driven: offloads, back end, failover, filter, and what the network driver made of it.

use error::Result;
use xml::{Node, Writer};

use super::bandwidth::Bandwidth;
use super::info::{PciAddress, VirtioOptions};
use super::interface::{
    ActualInterface, BackendOptions, FilterRef, GUEST_OFFLOADS, HOST_OFFLOADS, MacvtapMode, NetBackend,
    NetDriverOptions, Teaming, TeamingKind,
};
use super::port::{VirtualPort, Vlan};
use crate::domain::fault::unsupported;

impl Teaming {
    /// Reads `<teaming>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let kind = node.required_word("type")?;
        let persistent = node.string("persistent");
        if kind == TeamingKind::Transient && persistent.is_none() {
            return Err(unsupported("teaming persistent attribute must be set if teaming type is 'transient'"));
        }
        if kind == TeamingKind::Persistent && persistent.is_some() {
            return Err(unsupported("teaming persistent attribute not allowed if teaming type is 'persistent'"));
        }
        Ok(Self { kind, persistent })
    }

    /// Writes `<teaming>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("teaming", |w| {
            w.attr("type", self.kind);
            w.attr_opt("persistent", self.persistent.as_deref());
        });
    }
}

impl FilterRef {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        let parameters = node.children("parameter").filter_map(|p| p.string("name").zip(p.string("value"))).collect();
        Ok(Self { filter: node.attr("filter").unwrap_or("").to_owned(), parameters })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element("filterref", |w| {
            w.attr("filter", &self.filter);
            for (name, value) in &self.parameters {
                w.element("parameter", |w| {
                    w.attr("name", name);
                    w.attr("value", value);
                });
            }
        });
    }
}

impl NetDriverOptions {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        let offloads = |child: &str, names: &[&str]| -> Result<Vec<Option<bool>>> {
            let child = node.child(child);
            names.iter().map(|name| child.map(|c| c.on_off(name)).transpose().map(Option::flatten)).collect()
        };
        let mut options = Self {
            name: node.word("name")?,
            txmode: node.word("txmode")?,
            ioeventfd: node.on_off("ioeventfd")?,
            event_idx: node.on_off("event_idx")?,
            queues: node.u32("queues")?.filter(|q| *q > 1),
            rx_queue_size: node.u32("rx_queue_size")?,
            tx_queue_size: node.u32("tx_queue_size")?,
            rss: node.on_off("rss")?,
            rss_hash_report: node.on_off("rss_hash_report")?,
            virtio: VirtioOptions::parse(Some(node))?,
            ..Self::default()
        };
        options.host.copy_from_slice(&offloads("host", &HOST_OFFLOADS)?);
        options.guest.copy_from_slice(&offloads("guest", &GUEST_OFFLOADS)?);
        Ok(options)
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("driver", |w| {
            w.attr_opt("name", self.name);
            w.attr_opt("txmode", self.txmode);
            w.on_off("ioeventfd", self.ioeventfd);
            w.on_off("event_idx", self.event_idx);
            w.attr_opt("queues", self.queues.filter(|n| *n > 0));
            w.attr_opt("rx_queue_size", self.rx_queue_size.filter(|n| *n > 0));
            w.attr_opt("tx_queue_size", self.tx_queue_size.filter(|n| *n > 0));
            w.on_off("rss", self.rss);
            w.on_off("rss_hash_report", self.rss_hash_report);
            self.virtio.format(w);
            w.element_if_any("host", |w| HOST_OFFLOADS.iter().zip(self.host).for_each(|(name, v)| w.on_off(name, v)));
            w.element_if_any("guest", |w| {
                GUEST_OFFLOADS.iter().zip(self.guest).for_each(|(name, v)| w.on_off(name, v))
            });
        });
    }
}

impl BackendOptions {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        Ok(Self {
            kind: node.word("type")?,
            hostname: node.string("hostname"),
            fqdn: node.string("fqdn"),
            tap: node.non_empty("tap"),
            vhost: node.non_empty("vhost"),
            log_file: node.non_empty("logFile"),
        })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("backend", |w| {
            w.attr_opt("type", self.kind.filter(|k| *k != NetBackend::Default));
            w.attr_opt("tap", self.tap.as_deref());
            w.attr_opt("vhost", self.vhost.as_deref());
            w.attr_opt("logFile", self.log_file.as_deref());
            w.attr_opt("hostname", self.hostname.as_deref());
            w.attr_opt("fqdn", self.fqdn.as_deref());
        });
    }
}

impl ActualInterface {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        let source = node.child("source");
        let attr = |name: &str| source.and_then(|s| s.string(name));
        let mode = source.map(|s| s.word("mode")).transpose()?.flatten().unwrap_or(MacvtapMode::Vepa);
        Ok(Self {
            kind: node.required_word("type")?,
            bridge: attr("bridge"),
            direct: attr("dev").map(|dev| (dev, mode)),
            hostdev: node.path(&["hostdev", "source", "address"]).map(PciAddress::parse).transpose()?,
            mac_table_manager: attr("macTableManager"),
            virtual_port: node.child("virtualport").map(VirtualPort::parse).transpose()?,
            vlan: node.child("vlan").map(Vlan::parse).transpose()?.flatten(),
            bandwidth: node.child("bandwidth").map(Bandwidth::parse).transpose()?.flatten(),
            trust_guest_rx_filters: node.yes_no("trustGuestRxFilters")?,
            class_id: node.child("class").map(|c| c.u32("id")).transpose()?.flatten(),
            port_isolated: node.child("port").map(|p| p.yes_no("isolated")).transpose()?.flatten(),
        })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element("actual", |w| {
            w.attr("type", self.kind);
            w.yes_no("trustGuestRxFilters", self.trust_guest_rx_filters);
            if let Some(address) = &self.hostdev {
                w.element("hostdev", |w| {
                    w.attr("mode", "subsystem");
                    w.attr("type", "pci");
                    w.attr("managed", "yes");
                    w.element("source", |w| w.element("address", |w| address.format_attributes(w)));
                });
            }
            w.element_if_any("class", |w| w.attr_opt("id", self.class_id));
            w.element_if_any("source", |w| {
                w.attr_opt("bridge", self.bridge.as_deref());
                w.attr_opt("macTableManager", self.mac_table_manager.as_deref());
                if let Some((dev, mode)) = &self.direct {
                    w.attr("dev", dev);
                    w.attr("mode", mode);
                }
            });
            if let Some(vlan) = &self.vlan {
                vlan.format(w);
            }
            if let Some(port) = &self.virtual_port {
                port.format(w);
            }
            if let Some(bandwidth) = &self.bandwidth {
                bandwidth.format(w);
            }
            w.element_if_any("port", |w| w.yes_no("isolated", self.port_isolated));
        });
    }
}
