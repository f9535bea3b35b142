//! From a document to the definition of a QEMU guest: libvirt's QEMU post-parse and checks around `conf`'s own.
//!
//! ```text
//! document ─▶ read (conf) ─▶ complete: machine ─▶ memory ─▶ firmware ─▶ default devices ─▶ cpu ─▶ each device
//!                                      ─▶ conf's defaults ─▶ addresses (crate::address) ─▶ checks ─▶ DomainDef
//! ```
//!
//! Pure: what the emulator and the host are like comes in as [`Facts`]. A driver that has to wait for the emulator's
//! abilities calls [`read`], asks for [`wanted`]'s emulator, then calls [`complete`].
//!
//! Reading order: `machine`, `controllers` (default devices), `cpu`, `disk`, `device`, `firmware`, `check`.

mod check;
mod check_controller;
mod check_device;
mod check_disk;
mod check_display;
mod check_drive;
mod check_interface;
mod check_policy;
mod check_small;
mod controllers;
mod cpu;
mod device;
mod disk;
mod firmware;
mod machine;

use std::path::Path;
use std::sync::Arc;

use conf::domain::device::port::VirtualPortKind;
use conf::domain::{DomainDef, ParseContext};
use error::{Code, Domain, Error, Result};

use crate::address;
use crate::capability::firmware::Firmware;
use crate::capability::{Capability, VirtType};

/// What a definition depends on beside the document.
pub struct Facts<'a> {
    /// Abilities of the emulator that runs the guest.
    pub capability: Arc<Capability>,
    /// Path of that emulator as it stands in the definition.
    pub emulator: String,
    /// Firmware descriptors in order of preference.
    pub firmwares: &'a [Firmware],
    /// Folder of the guests' variable stores.
    pub nvram_dir: &'a Path,
    /// Name of the first security driver, or `none`.
    pub security_model: &'a str,
    /// `spice_tls` of qemu.conf.
    pub spice_tls: bool,
}

/// How a document came to us.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flags {
    /// A new definition: defaults of today may be chosen (`VIR_DOMAIN_DEF_PARSE_ABI_UPDATE`).
    pub update: bool,
    /// A definition that we wrote ourselves: it is not checked again.
    pub trusted: bool,
    /// A status document of a running guest.
    pub live: bool,
}

/// The emulator that a definition asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Path, when the document names one.
    pub emulator: Option<String>,
    /// libvirt's name of the architecture.
    pub arch: String,
}

/// Reads a document and names the architecture (`host_arch` unless it says).
///
/// # Errors
/// As `conf`'s parser.
pub fn read(xml: &str, host_arch: &str, flags: Flags) -> Result<DomainDef> {
    let mut def = DomainDef::parse(xml, ParseContext { live: flags.live })?;
    if def.os.arch.is_empty() {
        def.os.arch = host_arch.to_owned();
    }
    Ok(def)
}

/// The emulator that `def` needs.
pub fn wanted(def: &DomainDef) -> Wanted {
    Wanted { emulator: def.devices.emulator.clone(), arch: def.os.arch.clone() }
}

/// Fills in what the document leaves open and refuses what cannot run.
///
/// # Errors
/// libvirt's codes and texts.
pub fn complete(mut def: DomainDef, facts: &Facts<'_>, flags: Flags) -> Result<DomainDef> {
    machine::settle(&mut def, facts)?;
    identify(&mut def, facts);
    def.settle_memory(flags.update)?;
    def.settle_placement();
    def.number_controllers();
    def.validate_controllers()?;
    firmware::fill_in(&mut def, facts)?;
    check::acpi(&def)?;
    def.add_hostdev_controllers();
    controllers::add_defaults(&mut def, facts)?;
    def.settle_numa(flags.update);
    cpu::settle(&mut def, facts)?;
    machine::add_features(&mut def);
    device::pair_consoles(&mut def);
    disk::settle(&mut def)?;
    device::settle(&mut def, facts)?;
    controllers::settle(&mut def, facts)?;
    device::add_implicit(&mut def);
    machine::settle_late(&mut def);
    def.complete()?;
    controllers::settle(&mut def, facts)?;
    check::before_addresses(&def)?;
    if !flags.live {
        address::assign(&mut def, &facts.capability)?;
    }
    if !flags.trusted && !flags.live {
        def.validate()?;
        check::all(&def, facts)?;
    }
    Ok(def)
}

/// Reads and completes; `facts` answers for the emulator that the document wants.
///
/// # Errors
/// As [`read`] and [`complete`], or those of `facts`.
pub fn parse<'a>(
    xml: &str,
    host_arch: &str,
    facts: impl FnOnce(&Wanted) -> Result<Facts<'a>>,
    flags: Flags,
) -> Result<DomainDef> {
    let def = read(xml, host_arch, flags)?;
    let facts = facts(&wanted(&def))?;
    complete(def, &facts, flags)
}

/// The way of running that `def` asks for.
pub(crate) fn virt_type(def: &DomainDef) -> VirtType {
    if def.virt_type == conf::domain::VirtType::Kvm { VirtType::Kvm } else { VirtType::Tcg }
}

/// Chooses what the document leaves to chance: UUID, generation id, MAC addresses; and names the security model.
fn identify(def: &mut DomainDef, facts: &Facts<'_>) {
    if def.uuid == [0; 16] {
        def.uuid = *uuid::Uuid::new_v4().as_bytes();
    }
    if let Some((id, generate @ true)) = &mut def.genid {
        *id = *uuid::Uuid::new_v4().as_bytes();
        *generate = false;
    }
    for interface in def.devices.interfaces.iter_mut().filter(|i| i.mac == conf::Mac::default()) {
        let random = uuid::Uuid::new_v4();
        let [a, b, c, ..] = *random.as_bytes();
        interface.mac = conf::Mac([0x52, 0x54, 0, a, b, c]);
    }
    for port in def.devices.interfaces.iter_mut().filter_map(|i| i.virtual_port.as_mut()) {
        match port.kind {
            Some(VirtualPortKind::OpenVSwitch | VirtualPortKind::Midonet) => {
                port.interface_id.get_or_insert_with(|| *uuid::Uuid::new_v4().as_bytes());
            }
            Some(VirtualPortKind::Qbg) => {
                port.instance_id.get_or_insert_with(|| *uuid::Uuid::new_v4().as_bytes());
            }
            _ => {}
        }
    }
    for label in def.labels.iter_mut().filter(|l| l.model.is_none()) {
        label.model = Some(facts.security_model.to_owned());
    }
}

pub(crate) fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(Domain::Qemu, Code::ConfigUnsupported, detail)
}

pub(crate) fn xml_error(detail: impl Into<String>) -> Error {
    Error::new(Domain::Qemu, Code::XmlError, detail)
}

pub(crate) fn internal(detail: impl Into<String>) -> Error {
    Error::new(Domain::Qemu, Code::InternalError, detail)
}
