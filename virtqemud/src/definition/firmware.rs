//! Firmware chosen from the host's descriptors.

use conf::domain::DomainDef;
use conf::domain::device::source::{ImageFormat, SourceKind, StorageSource};
use conf::domain::os::{self, FirmwareFeature, Loader, LoaderKind};
use error::{Code, Domain, Error, Result};
use xml::Vocabulary;

use super::Facts;
use crate::capability::firmware::{Firmware, Image, Mapping};

/// Fills in loader and variable store of `<os firmware=>`, and the template of a loader that a descriptor knows.
///
/// # Errors
/// `OPERATION_FAILED` when no descriptor fits.
pub(super) fn fill_in(def: &mut DomainDef, facts: &Facts<'_>) -> Result<()> {
    if let Some(firmware) = def.os.firmware {
        return select(def, facts, firmware);
    }
    if let Some(loader) = &mut def.os.loader {
        settle_manual(loader);
    }
    if let Some(firmware) = known(def, facts) {
        let loader = def.os.loader.clone().unwrap_or_default();
        def.os.firmware = Some(os::Firmware::Efi);
        apply(def, facts, firmware, loader);
    } else {
        complete_manual(def, facts);
    }
    Ok(())
}

fn settle_manual(loader: &mut Loader) {
    if loader.path.is_none() {
        return;
    }
    loader.kind.get_or_insert(LoaderKind::Rom);
    loader.format.get_or_insert(ImageFormat::Raw);
    if loader.kind == Some(LoaderKind::Pflash) {
        loader.readonly.get_or_insert(false);
        if let Some(nvram) = &mut loader.nvram {
            nvram.format.get_or_insert(ImageFormat::Raw);
        }
    }
}

/// Loaders of distributions without descriptors, with their templates, as libvirt's configuration lists them.
const LEGACY: [(&str, &str); 7] = [
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    ("/usr/share/AAVMF/AAVMF32_CODE.fd", "/usr/share/AAVMF/AAVMF32_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.ms.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"),
    ("/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
];

/// The descriptor of a loader that was given by path.
fn known<'a>(def: &DomainDef, facts: &'a Facts<'_>) -> Option<&'a Firmware> {
    let loader = def.os.loader.as_ref()?;
    let path = loader.path.as_deref()?;
    if loader.kind != Some(LoaderKind::Pflash) || loader.readonly != Some(true) || loader.nvram_new_style {
        return None;
    }
    facts
        .firmwares
        .iter()
        .find(|f| f.code().and_then(|c| c.to_str()) == Some(path) && fits(f, def, loader, os::Firmware::Efi))
}

/// Chooses template and store of a loader that no descriptor knows.
fn complete_manual(def: &mut DomainDef, facts: &Facts<'_>) {
    let nvram_path = store_path(def, facts, "fd");
    let Some(loader) = &mut def.os.loader else { return };
    let (Some(path), Some(LoaderKind::Pflash)) = (&loader.path, loader.kind) else { return };
    if loader.readonly != Some(true) || loader.stateless == Some(true) || loader.nvram.is_some() {
        return;
    }
    match LEGACY.iter().find(|(code, _)| code == path) {
        Some((_, template)) => {
            loader.nvram_template.get_or_insert_with(|| (*template).to_owned());
            loader.nvram_template_format.get_or_insert(ImageFormat::Raw);
        }
        None if loader.nvram_template.is_none() => return,
        None => {}
    }
    let mut store = StorageSource::new(SourceKind::File);
    store.path = Some(nvram_path);
    store.format = Some(ImageFormat::Raw);
    loader.nvram = Some(store);
}

fn store_path(def: &DomainDef, facts: &Facts<'_>, ending: &str) -> String {
    facts.nvram_dir.join(format!("{}_VARS.{ending}", def.name)).to_string_lossy().into_owned()
}

fn format_of(image: &Image) -> ImageFormat {
    ImageFormat::from_word(&image.format).unwrap_or(ImageFormat::Raw)
}

fn select(def: &mut DomainDef, facts: &Facts<'_>, wanted: os::Firmware) -> Result<()> {
    let loader = def.os.loader.clone().unwrap_or_default();
    let nvram_path = loader.nvram.as_ref().and_then(|n| n.path.clone());
    // a definition that was completed before stays as it is
    if loader.path.is_some() && (nvram_path.is_some() || loader.stateless == Some(true)) && loader.kind.is_some() {
        let known = facts.firmwares.iter().any(|f| f.code().and_then(|c| c.to_str()) == loader.path.as_deref());
        if known {
            return Ok(());
        }
    }
    let found = facts.firmwares.iter().find(|f| fits(f, def, &loader, wanted));
    let Some(firmware) = found else {
        let word = wanted.word();
        return Err(Error::new(
            Domain::Qemu,
            Code::OperationFailed,
            format!("Unable to find '{word}' firmware that is compatible with the current configuration"),
        ));
    };
    apply(def, facts, firmware, loader);
    Ok(())
}

fn fits(firmware: &Firmware, def: &DomainDef, loader: &Loader, wanted: os::Firmware) -> bool {
    let kind = match wanted {
        os::Firmware::Efi => "uefi",
        os::Firmware::Bios => "bios",
    };
    let machine = def.os.machine.as_deref().unwrap_or("");
    if !firmware.interface_types.iter().any(|t| t == kind)
        || !firmware.fits(crate::capability::emulator::target_from_arch(&def.os.arch), machine)
    {
        return false;
    }
    let (secure, enrolled) = (firmware.has_feature("secure-boot"), firmware.has_feature("enrolled-keys"));
    let asked = |feature| def.os.firmware_features.iter().find(|(f, _)| *f == feature).map(|(_, on)| *on);
    let wants_secure = asked(FirmwareFeature::SecureBoot).or(loader.secure.filter(|s| *s));
    if wants_secure.is_some_and(|w| w != secure) || asked(FirmwareFeature::EnrolledKeys).is_some_and(|w| w != enrolled)
    {
        return false;
    }
    // system management mode must not be switched off where it is needed, and it needs a q35 machine
    if firmware.has_feature("requires-smm") && (def.features.smm.is_some_and(|s| !s.state) || !machine.contains("q35"))
    {
        return false;
    }
    fits_mapping(firmware, loader)
}

fn fits_mapping(firmware: &Firmware, loader: &Loader) -> bool {
    match &firmware.mapping {
        Mapping::Flash { mode, executable, nvram_template } => {
            if loader.kind.is_some_and(|k| k != LoaderKind::Pflash) {
                return false;
            }
            let stateless = mode.as_deref() == Some("stateless");
            if loader.stateless == Some(true) && !stateless
                || stateless && loader.nvram.is_some()
                || mode.as_deref() == Some("combined")
            {
                return false;
            }
            if loader.readonly == Some(false) {
                return false;
            }
            let code = executable.filename.to_str();
            if loader.path.is_some() && loader.path.as_deref() != code {
                return false;
            }
            if loader.format.is_some_and(|f| f != format_of(executable))
                || (loader.format.is_none() && format_of(executable) != ImageFormat::Raw && loader.path.is_none())
            {
                return false;
            }
            let Some(template) = nvram_template else { return stateless };
            let template_path = template.filename.to_str();
            if loader.nvram_template.is_some() && loader.nvram_template.as_deref() != template_path {
                return false;
            }
            let store_format = loader.nvram.as_ref().and_then(|n| n.format);
            store_format.is_none_or(|f| f == format_of(template))
        }
        Mapping::Memory { .. } => {
            loader.kind.is_none_or(|k| k == LoaderKind::Rom)
                && loader.nvram.is_none()
                && loader.nvram_template.is_none()
        }
        Mapping::Kernel { .. } | Mapping::Unknown => false,
    }
}

fn apply(def: &mut DomainDef, facts: &Facts<'_>, firmware: &Firmware, mut loader: Loader) {
    match &firmware.mapping {
        Mapping::Flash { mode, executable, nvram_template } => {
            loader.kind = Some(LoaderKind::Pflash);
            loader.readonly = Some(true);
            loader.path = executable.filename.to_str().map(str::to_owned);
            loader.format = Some(format_of(executable));
            if mode.as_deref() == Some("stateless") {
                loader.stateless = Some(true);
            } else if let Some(template) = nvram_template {
                let remote = loader.nvram.as_ref().is_some_and(|n| n.kind == SourceKind::Network);
                if !remote {
                    loader.nvram_template = template.filename.to_str().map(str::to_owned);
                    loader.nvram_template_format = Some(format_of(template));
                }
                let path =
                    store_path(def, facts, if format_of(template) == ImageFormat::Qcow2 { "qcow2" } else { "fd" });
                let store = loader.nvram.get_or_insert_with(|| StorageSource::new(SourceKind::File));
                store.format.get_or_insert(format_of(template));
                if store.kind == SourceKind::File {
                    store.path.get_or_insert(path);
                }
            }
        }
        Mapping::Memory { filename } => {
            loader.kind = Some(LoaderKind::Rom);
            loader.path = filename.to_str().map(str::to_owned);
        }
        Mapping::Kernel { .. } | Mapping::Unknown => {}
    }
    if firmware.has_feature("requires-smm") {
        def.features.smm.get_or_insert(conf::domain::features::Smm { state: true, tseg: None });
        loader.secure = Some(true);
    }
    let (secure, enrolled) = (firmware.has_feature("secure-boot"), firmware.has_feature("enrolled-keys"));
    def.os.firmware_features = Vec::new();
    // keys are in the template: a store without one may hold anything
    if loader.nvram_template.is_some() {
        def.os.firmware_features.push((FirmwareFeature::EnrolledKeys, enrolled));
    }
    def.os.firmware_features.push((FirmwareFeature::SecureBoot, secure));
    def.os.loader = Some(loader);
}
