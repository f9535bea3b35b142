//! Host devices.

use conf::domain::DomainDef;
use conf::domain::device::hostdev::{HostdevDef, HostdevSource, MdevModel, ScsiHostModel, ScsiSource, UsbSource};
use conf::domain::device::info::{Address, PciAddress, VirtioModel, VirtioOptions};
use conf::domain::device::interface::{HostAddress, InterfaceDef, InterfaceSource};
use error::{Domain, Error, Result};

use super::{address, alias, unsupported, virtio};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All host devices.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for hostdev in &def.devices.hostdevs {
        if hostdev.info.address == Some(Address::Unassigned) {
            continue;
        }
        match &hostdev.source {
            HostdevSource::Scsi { source, .. } => scsi(b, hostdev, source)?,
            _ => {
                let props = props(b, def, hostdev)?;
                b.device(props);
            }
        }
    }
    Ok(())
}

/// An interface that is a host device.
pub fn interface(b: &mut Builder, interface: &InterfaceDef, number: usize) -> Result<()> {
    let bootindex = b.boot.interface(number);
    passthrough(b)?;
    let place = match (&interface.source, interface.actual.as_ref().and_then(|a| a.hostdev)) {
        (_, Some(at)) => at,
        (InterfaceSource::Hostdev { address: HostAddress::Pci(at), .. }, None) => *at,
        _ => return Err(unsupported("only PCI network devices can be passed through")),
    };
    let props = vfio(&place, &alias(&interface.info), bootindex)
        .maybe("failover_pair_id", interface.teaming.as_ref().and_then(|t| t.persistent.clone()));
    let props = address::rom(address::place(props, b.def, &interface.info), &interface.info);
    b.device(props);
    Ok(())
}

fn passthrough(b: &Builder) -> Result<()> {
    if b.inputs.host.vfio { Ok(()) } else { Err(unsupported("host doesn't support passthrough of host PCI devices")) }
}

fn vfio(host: &PciAddress, id: &str, bootindex: Option<u32>) -> Props {
    Props::driver("vfio-pci").with("host", host.text()).with("id", id).maybe("bootindex", bootindex)
}

fn props(b: &Builder, def: &DomainDef, hostdev: &HostdevDef) -> Result<Props> {
    let id = alias(&hostdev.info);
    let bootindex = hostdev.info.boot_index;
    let props = match &hostdev.source {
        HostdevSource::Pci { address: host, .. } => {
            passthrough(b)?;
            vfio(host, &id, bootindex)
                .maybe("failover_pair_id", hostdev.teaming.as_ref().and_then(|t| t.persistent.clone()))
        }
        HostdevSource::Usb(usb) => usb_host(usb, &id, bootindex)?,
        HostdevSource::Mdev { uuid, model, display, ramfb } => {
            let device = if *model == MdevModel::VfioPci && *ramfb == Some(true) {
                "vfio-pci-nohotplug".to_owned()
            } else {
                model.to_string()
            };
            let uuid = uuid::Uuid::from_bytes(*uuid).hyphenated();
            Props::driver(device)
                .with("id", id)
                .with("sysfsdev", format!("/sys/bus/mdev/devices/{uuid}"))
                .maybe("display", display.map(crate::command::escape::on_off))
                .maybe("ramfb", ramfb.filter(|r| *r))
                .maybe("bootindex", bootindex)
        }
        HostdevSource::ScsiHost { wwpn, model } => {
            let flavour = match model {
                Some(ScsiHostModel::Transitional) => Some(VirtioModel::Transitional),
                Some(ScsiHostModel::NonTransitional) => Some(VirtioModel::NonTransitional),
                _ => None,
            };
            let fd = b.inputs.fds.get(&id).copied().unwrap_or(-1);
            virtio::begin("vhost-scsi", &hostdev.info, flavour, &VirtioOptions::default())
                .with("wwpn", wwpn.clone())
                .with("vhostfd", fd.to_string())
                .with("id", id)
        }
        HostdevSource::Scsi { .. } => return Err(unsupported("a SCSI device has a block node")),
    };
    Ok(address::rom(address::place(props, def, &hostdev.info), &hostdev.info))
}

fn usb_host(usb: &UsbSource, id: &str, bootindex: Option<u32>) -> Result<Props> {
    let guest_reset = match usb.guest_reset.as_deref() {
        Some("off") => (Some(false), Some(false)),
        Some("uninitialized") => (Some(true), Some(false)),
        Some("on") => (Some(true), Some(true)),
        _ => (None, None),
    };
    let Some((bus, device)) = usb.address else {
        return Err(unsupported("USB host device is missing bus/device information"));
    };
    Ok(Props::driver("usb-host")
        .with("hostdevice", format!("/dev/bus/usb/{bus:03}/{device:03}"))
        .with("id", id)
        .maybe("guest-reset", guest_reset.0)
        .maybe("guest-resets-all", guest_reset.1)
        .maybe("bootindex", bootindex))
}

fn scsi(b: &mut Builder, hostdev: &HostdevDef, source: &ScsiSource) -> Result<()> {
    let id = alias(&hostdev.info);
    let node = format!("libvirt-{id}-backend");
    let begin = match source {
        ScsiSource::Host { adapter, bus, target, unit } => {
            // The driver finds the generic device's name; it needs the host's sysfs.
            let device = b.inputs.fds.get(&format!("{id}-sg")).map(|n| format!("/dev/sg{n}"));
            let device = device.ok_or_else(|| {
                let host = adapter.trim_start_matches("scsi_host");
                let folder = format!("/sys/bus/scsi/devices/{host}:{bus}:{target}:{unit}/scsi_generic");
                let gone = std::io::Error::from_raw_os_error(nix::errno::Errno::ENOENT as i32);
                Error::system(Domain::None, &gone, format!("cannot open directory '{folder}'"))
            })?;
            Props::driver("host_device").with("filename", device)
        }
        ScsiSource::Iscsi { path, hosts, auth, initiator_iqn } => {
            let (target, lun) = path.split_once('/').unwrap_or((path, "0"));
            let host = hosts.first().ok_or_else(|| unsupported("missing iSCSI host"))?;
            let portal = format!("{}:{}", host.name.as_deref().unwrap_or(""), host.port.unwrap_or(3260));
            Props::driver("iscsi")
                .with("portal", portal)
                .with("target", target)
                .with("lun", lun.parse::<u64>().unwrap_or(0))
                .with("transport", "tcp")
                .maybe("user", auth.as_ref().map(|a| a.username.clone()))
                .maybe("initiator-name", initiator_iqn.clone())
        }
    };
    b.json("-blockdev", &begin.with("node-name", node.clone()).with("read-only", hostdev.readonly));
    let Some(Address::Drive(at)) = &hostdev.info.address else {
        return Err(unsupported("SCSI host devices need a drive address"));
    };
    let controller =
        address::controller_alias(b.def, conf::domain::device::controller::ControllerKind::Scsi, at.controller);
    let props = Props::driver("scsi-generic")
        .with("bus", format!("{controller}.0"))
        .with("channel", at.bus)
        .with("scsi-id", at.target)
        .with("lun", at.unit)
        .maybe("share-rw", hostdev.shareable.then_some(true))
        .with("drive", node)
        .with("id", id)
        .maybe("bootindex", hostdev.info.boot_index);
    b.device(props);
    Ok(())
}
