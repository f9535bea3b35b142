//! Controllers and other devices that every guest of a machine type has, and the models of controllers.

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerDef, ControllerKind, ControllerModel, PciModelName};
use conf::domain::device::memballoon::{MemballoonDef, MemballoonModel};
use conf::domain::device::panic::{PanicDef, PanicModel};
use conf::domain::device::watchdog::{WatchdogAction, WatchdogDef, WatchdogModel};
use error::Result;

use super::{Facts, unsupported, xml_error};
use crate::address::machine;

/// What a machine type brings.
#[derive(Default)]
struct Defaults {
    usb: bool,
    sata: bool,
    root: Option<ControllerModel>,
    balloon: bool,
    watchdog: bool,
    panic: Option<PanicModel>,
}

impl Defaults {
    fn of(def: &DomainDef) -> Self {
        let (pci, pcie) = (Some(ControllerModel::PciRoot), Some(ControllerModel::PcieRoot));
        let plain = Self { usb: true, balloon: true, ..Self::default() };
        match def.os.arch.as_str() {
            "x86_64" | "i686" if machine::is_isapc(def) => Self { usb: false, ..plain },
            "x86_64" | "i686" if machine::is_microvm(def) => Self { usb: false, ..plain },
            "x86_64" | "i686" if machine::is_q35(def) => Self { root: pcie, sata: true, watchdog: true, ..plain },
            "x86_64" | "i686" if machine::is_i440fx(def) => Self { root: pci, ..plain },
            "x86_64" | "i686" => plain,
            "armv6l" | "armv7l" | "aarch64" => {
                let root = match def.os.machine.as_deref() {
                    Some("versatilepb") => pci,
                    _ if machine::is_arm_virt(def) => pcie,
                    _ => None,
                };
                Self { usb: def.os.machine.as_deref() == Some("versatilepb"), balloon: false, root, ..plain }
            }
            "ppc64" | "ppc64le" => {
                Self { root: pci, panic: machine::is_pseries(def).then_some(PanicModel::Pseries), ..plain }
            }
            "ppc" | "alpha" | "ppcemb" | "sh4" | "sh4eb" | "mips" | "mipsel" | "mips64" | "mips64el" => {
                Self { root: pci, ..plain }
            }
            "riscv32" | "riscv64" | "loongarch64" => {
                let virt = machine::is_riscv_virt(def) || machine::is_loongarch_virt(def);
                let balloon = machine::is_riscv(def);
                Self { usb: false, balloon, root: pcie.filter(|_| virt), ..plain }
            }
            "s390" | "s390x" => Self { usb: false, root: pci, panic: Some(PanicModel::S390), ..plain },
            "sparc64" => Self { root: pci, ..plain },
            _ => plain,
        }
    }
}

/// Adds the devices of the machine type that the document does not mention.
pub(super) fn add_defaults(def: &mut DomainDef, facts: &Facts<'_>) -> Result<()> {
    let defaults = Defaults::of(def);
    let has = |def: &DomainDef, kind| def.devices.controllers.iter().any(|c| c.kind == kind);
    if defaults.usb
        && !has(def, ControllerKind::Usb)
        && let Some(model) = added_usb(def, facts)
    {
        def.devices.insert_controller(ControllerDef::new(ControllerKind::Usb, Some(0), model));
    }
    if defaults.sata && !def.devices.controllers.iter().any(|c| c.kind == ControllerKind::Sata && c.number() == 0) {
        def.devices.insert_controller(ControllerDef::new(ControllerKind::Sata, Some(0), None));
    }
    if let Some(root) = defaults.root {
        let given = def.devices.controllers.iter().find(|c| c.kind == ControllerKind::Pci && c.index == Some(0));
        match given.map(|c| c.model) {
            None => def.devices.insert_controller(ControllerDef::new(ControllerKind::Pci, Some(0), Some(root))),
            Some(model) if model != Some(root) => {
                let model = model.map_or("", xml::Vocabulary::word);
                return Err(xml_error(format!(
                    "The PCI controller with index='0' must be model='{root}' for this machine type, but model='{model}' was found instead"
                )));
            }
            Some(_) => {}
        }
    }
    if defaults.balloon && def.devices.memballoon.is_none() {
        def.devices.memballoon = Some(MemballoonDef::new(MemballoonModel::Virtio));
    }
    if defaults.watchdog && !def.devices.watchdogs.iter().any(|w| w.model == WatchdogModel::Itco) {
        // QEMU has one action for all watchdogs
        let action = def.devices.watchdogs.first().and_then(|w| w.action).unwrap_or(WatchdogAction::Reset);
        def.devices.watchdogs.push(WatchdogDef {
            model: WatchdogModel::Itco,
            action: Some(action),
            info: Default::default(),
        });
    }
    if let Some(model) = defaults.panic {
        let known = def.devices.panics.iter().any(|p| p.model.is_none() || p.model == Some(model));
        if !known {
            def.devices.panics.push(PanicDef { model: Some(model), info: Default::default() });
        }
    }
    Ok(())
}

/// Model of a USB controller that nobody asked for: `Some(None)` leaves it to the machine, `None` adds nothing.
fn added_usb(def: &DomainDef, facts: &Facts<'_>) -> Option<Option<ControllerModel>> {
    if !machine::is_q35(def) {
        return Some(None);
    }
    let choices = [("qemu-xhci", ControllerModel::QemuXhci), ("nec-usb-xhci", ControllerModel::NecXhci)];
    choices.iter().find(|(name, _)| facts.capability.has_type(name)).map(|(_, model)| Some(*model))
}

/// The models that controllers without one get. Called again after implicit controllers were added.
pub(super) fn settle(def: &mut DomainDef, facts: &Facts<'_>) -> Result<()> {
    for at in 0..def.devices.controllers.len() {
        let controller = &def.devices.controllers[at];
        let model = match controller.kind {
            ControllerKind::Scsi if matches!(controller.model, None | Some(ControllerModel::Auto)) => {
                Some(default_scsi(def, facts)?)
            }
            // a mainframe's USB controller is off unless it was put somewhere
            ControllerKind::Usb if controller.model.is_none() && machine::is_s390(def) => {
                Some(ControllerModel::None).filter(|_| controller.info.address.is_none())
            }
            ControllerKind::Usb if controller.model.is_none() => Some(default_usb(def, facts)?),
            _ => controller.model,
        };
        let pseries = machine::is_pseries(def);
        let controller = &mut def.devices.controllers[at];
        controller.model = model;
        if controller.kind == ControllerKind::Pci && model == Some(ControllerModel::PciRoot) && pseries {
            controller.pci.model_name.get_or_insert(PciModelName::SpaprPciHostBridge);
        }
        if controller.kind == ControllerKind::Usb {
            settle_usb(controller)?;
        }
    }
    Ok(())
}

fn settle_usb(controller: &mut ControllerDef) -> Result<()> {
    let model = controller.model.map_or("", xml::Vocabulary::word);
    match controller.model {
        Some(ControllerModel::Qusb1 | ControllerModel::Qusb2) => {
            return Err(unsupported(format!("USB controller model type '{model}' is unsupported in QEMU")));
        }
        Some(ControllerModel::NecXhci | ControllerModel::QemuXhci) if controller.ports.is_some_and(|p| p > 15) => {
            return Err(unsupported(format!("'{model}' controller only supports up to '15' ports")));
        }
        _ => {}
    }
    Ok(())
}

fn default_scsi(def: &DomainDef, facts: &Facts<'_>) -> Result<ControllerModel> {
    let has = |name| facts.capability.has_type(name);
    if machine::is_pseries(def) {
        return Ok(ControllerModel::IbmVscsi);
    }
    if machine::is_s390_ccw(def) || machine::is_loongarch_virt(def) {
        return Ok(ControllerModel::VirtioScsi);
    }
    match () {
        () if has("lsi53c895a") => Ok(ControllerModel::LsiLogic),
        () if has("virtio-scsi-pci") => Ok(ControllerModel::VirtioScsi),
        () => Err(unsupported("Unable to determine model for SCSI controller")),
    }
}

fn default_usb(def: &DomainDef, facts: &Facts<'_>) -> Result<ControllerModel> {
    let has = |name: &str| facts.capability.has_type(name);
    let first =
        |choices: &[(&str, ControllerModel)]| choices.iter().find(|(name, _)| has(name)).map(|(_, model)| *model);
    let xhci = [("qemu-xhci", ControllerModel::QemuXhci), ("nec-usb-xhci", ControllerModel::NecXhci)];
    let uhci = [("piix3-usb-uhci", ControllerModel::Piix3Uhci)];
    let found = if matches!(def.os.machine.as_deref(), Some("versatilepb" | "realview-eb")) {
        first(&[("pci-ohci", ControllerModel::PciOhci)])
    } else if machine::is_ppc64(def) {
        first(&xhci).or_else(|| first(&[("pci-ohci", ControllerModel::PciOhci)]))
    } else if machine::is_arm(def) || machine::is_loongarch(def) {
        first(&xhci).or_else(|| first(&uhci))
    } else {
        first(&uhci)
    };
    found.ok_or_else(|| unsupported("Unable to determine model for USB controller"))
}
