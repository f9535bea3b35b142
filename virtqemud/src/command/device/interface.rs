//! Network interfaces: the host's side, then the card.

use conf::domain::DomainDef;
use conf::domain::device::info::VirtioModel;
use conf::domain::device::interface::{
    GUEST_OFFLOADS, HOST_OFFLOADS, InterfaceDef, InterfaceKind, InterfaceSource, TxMode,
};
use error::Result;

use super::{address, alias, chardev, unsupported, virtio};
use crate::command::inputs::InterfaceFds;
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All interfaces but host devices.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let nothing = InterfaceFds::default();
    for (number, interface) in def.devices.interfaces.iter().enumerate() {
        if interface.actual_kind() == InterfaceKind::Hostdev {
            super::hostdev::interface(b, interface, number)?;
            continue;
        }
        let inputs = b.inputs;
        let fds = inputs.interfaces.get(number).unwrap_or(&nothing);
        if let InterfaceSource::VhostUser { chardev: source, .. } = &interface.source {
            chardev::build(b, source, &alias(&interface.info))?;
        }
        b.json("-netdev", &netdev(interface, fds)?);
        if interface.model.as_deref().is_some_and(is_onboard) {
            // Cards that are soldered to the board can only be found by the old option.
            let model = interface.model.clone().unwrap_or_default();
            b.option(
                "-net",
                format!(
                    "nic,macaddr={},netdev=host{},model={model},id={}",
                    interface.mac,
                    alias(&interface.info),
                    alias(&interface.info)
                ),
            );
            continue;
        }
        let bootindex = b.boot.interface(number);
        b.device(props(def, interface, fds, bootindex)?);
    }
    Ok(())
}

fn is_onboard(model: &str) -> bool {
    matches!(model, "lan9118" | "smc91c111" | "imx.enet" | "xgmac" | "sungem")
}

/// The host's side: `-netdev`, `netdev_add`.
pub fn netdev(interface: &InterfaceDef, fds: &InterfaceFds) -> Result<Props> {
    let id = format!("host{}", alias(&interface.info));
    let begin = |kind: &str| Props::default().with("type", kind);
    let props = match interface.actual_kind() {
        InterfaceKind::Network | InterfaceKind::Bridge | InterfaceKind::Direct | InterfaceKind::Ethernet => {
            tap(begin("tap"), interface, fds)
        }
        InterfaceKind::User | InterfaceKind::Internal => user(begin("user"), interface),
        InterfaceKind::VhostUser => begin("vhost-user")
            .with("chardev", format!("char{}", alias(&interface.info)))
            .maybe("queues", interface.driver.queues.filter(|q| *q > 1)),
        InterfaceKind::Client | InterfaceKind::Server | InterfaceKind::Mcast | InterfaceKind::Udp => {
            socket(begin("socket"), interface)
        }
        InterfaceKind::Vdpa => begin("vhost-vdpa")
            .with("vhostdev", format!("/dev/fdset/{}", fds.vdpa.unwrap_or(0)))
            .maybe("queues", interface.driver.queues.filter(|q| *q > 1)),
        InterfaceKind::Null => begin("hubport").with("hubid", 0),
        InterfaceKind::Hostdev | InterfaceKind::Vds => {
            return Err(unsupported("this interface type has no network back end"));
        }
    };
    Ok(props.with("id", id))
}

fn tap(props: Props, interface: &InterfaceDef, fds: &InterfaceFds) -> Props {
    let join = |fds: &[i32]| fds.iter().map(i32::to_string).collect::<Vec<_>>().join(":");
    let props = match fds.taps.len() {
        0 => props.with("fd", "-1"),
        1 => props.with("fd", join(&fds.taps)),
        _ => props.with("fds", join(&fds.taps)),
    };
    let props = match fds.vhosts.len() {
        0 => props,
        1 => props.with("vhost", true).with("vhostfd", join(&fds.vhosts)),
        _ => props.with("vhost", true).with("vhostfds", join(&fds.vhosts)),
    };
    props.nonzero("sndbuf", interface.sndbuf.unwrap_or(0))
}

fn user(props: Props, interface: &InterfaceDef) -> Props {
    let mut props = props;
    for ip in &interface.ips {
        match ip.address {
            std::net::IpAddr::V4(address) => {
                props = props.with("net", format!("{address}/{}", ip.prefix.unwrap_or(24)))
            }
            std::net::IpAddr::V6(address) => {
                props = props.with("ipv6-prefix", address.to_string()).maybe("ipv6-prefixlen", ip.prefix);
            }
        }
    }
    props
}

fn socket(props: Props, interface: &InterfaceDef) -> Props {
    let InterfaceSource::Socket { address, port, local } = &interface.source else { return props };
    let host = address.clone().unwrap_or_default();
    match interface.kind {
        InterfaceKind::Client => props.with("connect", format!("{host}:{port}")),
        InterfaceKind::Server => props.with("listen", format!("{host}:{port}")),
        InterfaceKind::Mcast => props.with("mcast", format!("{host}:{port}")),
        _ => {
            let (local_host, local_port) =
                local.clone().map_or((String::new(), 0), |(a, p)| (a.unwrap_or_default(), p));
            props.with("udp", format!("{host}:{port}")).with("localaddr", format!("{local_host}:{local_port}"))
        }
    }
}

/// The card: `-device`, `device_add`.
pub fn props(def: &DomainDef, interface: &InterfaceDef, fds: &InterfaceFds, bootindex: Option<u32>) -> Result<Props> {
    let model = interface.model.as_deref().unwrap_or("rtl8139");
    let begin = if interface.is_virtio() { virtio_net(interface, fds) } else { Props::driver(qemu_name(model)) };
    let props = begin
        .nonzero("host_mtu", interface.mtu.filter(|_| interface.is_virtio()).unwrap_or(0))
        .maybe(
            "failover",
            interface
                .teaming
                .as_ref()
                .and_then(|t| (t.kind == conf::domain::device::interface::TeamingKind::Persistent).then_some(true)),
        )
        .with("netdev", format!("host{}", alias(&interface.info)))
        .with("id", alias(&interface.info))
        .with("mac", interface.mac.to_string())
        .maybe("bootindex", bootindex);
    let props = address::place(props, def, &interface.info);
    Ok(address::rom(props, &interface.info))
}

fn qemu_name(model: &str) -> &str {
    match model {
        "netfront" => "xen-net",
        other => other,
    }
}

fn virtio_net(interface: &InterfaceDef, fds: &InterfaceFds) -> Props {
    let flavour = match interface.model.as_deref() {
        Some("virtio-transitional") => Some(VirtioModel::Transitional),
        Some("virtio-non-transitional") => Some(VirtioModel::NonTransitional),
        _ => None,
    };
    let d = &interface.driver;
    let tx = d.txmode.map(|m| if m == TxMode::Iothread { "bh" } else { "timer" });
    let mut props = virtio::begin("virtio-net", &interface.info, flavour, &d.virtio)
        .maybe("tx", tx)
        .maybe("ioeventfd", d.ioeventfd)
        .maybe("event_idx", d.event_idx);
    for (name, value) in HOST_OFFLOADS.iter().zip(d.host) {
        let name = match *name {
            plain @ ("csum" | "gso" | "mrg_rxbuf") => plain.to_owned(),
            other => format!("host_{other}"),
        };
        props = props.maybe(&name, value);
    }
    for (name, value) in GUEST_OFFLOADS.iter().zip(d.guest) {
        props = props.maybe(&format!("guest_{name}"), value);
    }
    let queues = fds.vhosts.len().max(fds.taps.len()) as u32;
    let queues = if matches!(interface.actual_kind(), InterfaceKind::VhostUser | InterfaceKind::Vdpa) {
        d.queues.unwrap_or(1)
    } else {
        queues
    };
    if queues > 1 {
        // One for each direction of each queue, one for control, one for configuration.
        props = props.with("mq", true);
        if !matches!(interface.info.address, Some(conf::domain::device::info::Address::Ccw(_))) {
            props = props.with("vectors", queues * 2 + 2);
        }
    }
    props
        .nonzero("rx_queue_size", d.rx_queue_size.unwrap_or(0))
        .nonzero("tx_queue_size", d.tx_queue_size.unwrap_or(0))
        .maybe("rss", d.rss)
        .maybe("hash", d.rss_hash_report)
}
