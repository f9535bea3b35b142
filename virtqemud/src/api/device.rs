//! Devices of stored definitions: attach, detach, update.
//!
//! Attaching puts the device's element into the stored document and reads the whole again, so that a device gets its
//! defaults, address and checks exactly as if it had been there from the start.

use conf::domain::device::disk::DiskDef;
use conf::domain::device::interface::InterfaceDef;
use conf::domain::{DomainDef, ParseContext};
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::tune::Target;
use super::{Api, bad_argument, check_flags, invalid};
use crate::domain::actor::STORED;
use crate::domain::handle::Domain;

const AFFECT: u32 = c::VIR_DOMAIN_AFFECT_LIVE | c::VIR_DOMAIN_AFFECT_CONFIG;

pub(super) async fn attach(api: &Api, call: &Call, args: remote::DomainAttachDeviceArgs) -> error::Result<()> {
    attach_flags(
        api,
        call,
        remote::DomainAttachDeviceFlagsArgs { dom: args.dom, xml: args.xml, flags: c::VIR_DOMAIN_AFFECT_LIVE },
    )
    .await
}

pub(super) async fn attach_flags(api: &Api, _: &Call, args: remote::DomainAttachDeviceFlagsArgs) -> error::Result<()> {
    check_flags("qemuDomainAttachDeviceFlags", args.flags, AFFECT)?;
    let domain = stored(api, &args.dom, args.flags)?;
    let stored = domain
        .view()
        .persistent
        .clone()
        .ok_or_else(|| invalid("transient domains do not have any persistent config"))?;
    let document = with_device(&stored, &args.xml)?;
    if let Some(target) = disk_target(&args.xml)?
        && stored.devices.disks.iter().any(|disk| disk.dst == target)
    {
        return Err(invalid(format!("target {target} already exists")));
    }
    let def = api.driver.parse(&document).await?;
    // Somebody may have changed it meanwhile: then his change would be lost.
    domain.ask(move |actor| Box::pin(actor.replace(stored, def))).await
}

pub(super) async fn detach_flags(api: &Api, _: &Call, args: remote::DomainDetachDeviceFlagsArgs) -> error::Result<()> {
    check_flags("qemuDomainDetachDeviceFlags", args.flags, AFFECT)?;
    let domain = stored(api, &args.dom, args.flags)?;
    let kind = element_name(&args.xml)?;
    let wanted = alone(api, &args.xml)?;
    domain.ask(move |actor| Box::pin(actor.edit(move |def| remove(def, &kind, &wanted)))).await
}

pub(super) async fn update_flags(api: &Api, _: &Call, args: remote::DomainUpdateDeviceFlagsArgs) -> error::Result<()> {
    check_flags("qemuDomainUpdateDeviceFlags", args.flags, AFFECT | c::VIR_DOMAIN_DEVICE_MODIFY_FORCE)?;
    let domain = stored(api, &args.dom, args.flags & AFFECT)?;
    let kind = element_name(&args.xml)?;
    let wanted = alone(api, &args.xml)?;
    domain.ask(move |actor| Box::pin(actor.edit(move |def| update(def, &kind, wanted)))).await
}

/// The domain, when the change is for its stored definition.
fn stored(api: &Api, dom: &remote::NonnullDomain, flags: u32) -> error::Result<Domain> {
    let domain = api.find(dom)?;
    let target = Target::of(&domain.view(), flags)?;
    if target.live {
        return Err(Error::new(
            From::Qemu,
            Code::OperationUnsupported,
            "changing devices of a running guest is not served yet",
        ));
    }
    Ok(domain)
}

fn element_name(xml: &str) -> error::Result<String> {
    Ok(xml::parse(xml)?.root().name().to_owned())
}

fn disk_target(xml: &str) -> error::Result<Option<String>> {
    let document = xml::parse(xml)?;
    let root = document.root();
    Ok(root.is("disk").then(|| root.child("target").and_then(|target| target.string("dev"))).flatten())
}

/// The stored document with one more device at the end of its devices.
fn with_device(def: &DomainDef, device: &str) -> error::Result<String> {
    let device = xml::parse(device)?.root().source().to_owned();
    let mut document = def.format(STORED);
    let end = document
        .rfind("</devices>")
        .ok_or_else(|| Error::new(From::Qemu, Code::InternalError, "definition has no devices"))?;
    document.insert_str(end, &device);
    Ok(document)
}

/// The devices of a document that holds this one alone.
fn alone(_api: &Api, device: &str) -> error::Result<DomainDef> {
    let device = xml::parse(device)?.root().source().to_owned();
    let document = format!(
        "<domain type='qemu'><name>device</name><memory>1</memory><os><type arch='x86_64'>hvm</type></os><devices>{device}</devices></domain>"
    );
    DomainDef::parse(&document, ParseContext { live: false })
}

fn remove(def: &mut DomainDef, kind: &str, wanted: &DomainDef) -> error::Result<()> {
    match kind {
        "disk" => {
            let target = &one(&wanted.devices.disks)?.dst;
            let before = def.devices.disks.len();
            def.devices.disks.retain(|disk| disk.dst != *target);
            if def.devices.disks.len() == before {
                return Err(Error::new(From::Qemu, Code::DeviceMissing, format!("no target device {target}")));
            }
        }
        "interface" => {
            let mac = one(&wanted.devices.interfaces)?.mac;
            let before = def.devices.interfaces.len();
            def.devices.interfaces.retain(|interface| interface.mac != mac);
            if def.devices.interfaces.len() == before {
                return Err(Error::new(
                    From::Qemu,
                    Code::DeviceMissing,
                    format!("no device found on MAC address {mac} matching"),
                ));
            }
        }
        other => {
            return Err(Error::new(
                From::Qemu,
                Code::OperationUnsupported,
                format!("persistent detach of device '{other}' is not supported"),
            ));
        }
    }
    Ok(())
}

fn update(def: &mut DomainDef, kind: &str, mut wanted: DomainDef) -> error::Result<()> {
    match kind {
        "disk" => {
            one(&wanted.devices.disks)?;
            let new = wanted.devices.disks.remove(0);
            let missing = || bad_argument(format!("target {} doesn't exist.", new.dst));
            let old = def.devices.disks.iter_mut().find(|disk| disk.dst == new.dst).ok_or_else(missing)?;
            update_disk(old, new);
        }
        "interface" => {
            one(&wanted.devices.interfaces)?;
            let new = wanted.devices.interfaces.remove(0);
            let missing = || {
                Error::new(From::Qemu, Code::DeviceMissing, format!("no device matching MAC address {} found", new.mac))
            };
            let old =
                def.devices.interfaces.iter_mut().find(|interface| interface.mac == new.mac).ok_or_else(missing)?;
            update_interface(old, new);
        }
        other => {
            return Err(Error::new(
                From::Qemu,
                Code::OperationUnsupported,
                format!("persistent update of device '{other}' is not supported"),
            ));
        }
    }
    Ok(())
}

/// The new device in the old one's place in the guest.
fn update_disk(old: &mut DiskDef, mut new: DiskDef) {
    if new.info.address.is_none() {
        new.info.address.clone_from(&old.info.address);
    }
    if new.source.format.is_none() {
        new.source.format = old.source.format;
    }
    new.bus = new.bus.or(old.bus);
    if new.driver.name.is_none() {
        new.driver.name.clone_from(&old.driver.name);
    }
    *old = new;
}

fn update_interface(old: &mut InterfaceDef, mut new: InterfaceDef) {
    if new.info.address.is_none() {
        new.info.address.clone_from(&old.info.address);
    }
    if new.model.is_none() {
        new.model.clone_from(&old.model);
    }
    *old = new;
}

fn one<T>(devices: &[T]) -> error::Result<&T> {
    devices.first().ok_or_else(|| Error::new(From::Domain, Code::XmlError, "the document describes no such device"))
}
