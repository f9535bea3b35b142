//! Firmware images: flash drives, `-bios`, secure flash.

use std::fmt::Write;

use conf::domain::device::source::{ImageFormat, SourceKind, StorageSource};
use conf::domain::os::LoaderKind;
use error::Result;

use super::block;
use super::escape::comma;
use super::plan::Builder;

fn is_pflash(b: &Builder) -> bool {
    b.def.os.loader.as_ref().is_some_and(|l| l.kind == Some(LoaderKind::Pflash) && l.path.is_some())
}

/// Block nodes of code and variables.
pub fn pflash(b: &mut Builder) -> Result<()> {
    if !is_pflash(b) {
        return Ok(());
    }
    let Some(loader) = b.def.os.loader.clone() else { return Ok(()) };
    let mut code = StorageSource::new(SourceKind::File);
    code.path = loader.path.clone();
    code.format = loader.format.or(Some(ImageFormat::Raw));
    let readonly = loader.readonly != Some(false);
    block::pflash(b, &code, "libvirt-pflash0", readonly, true)?;
    if let Some(nvram) = &loader.nvram {
        super::device::disk::credentials(b, nvram)?;
        let mut variables = nvram.clone();
        variables.format = variables.format.or(Some(ImageFormat::Raw));
        block::pflash(b, &variables, "libvirt-pflash1", false, false)?;
    }
    Ok(())
}

/// `pflash0=`, `pflash1=` of `-machine`.
pub fn machine_options(text: &mut String, b: &Builder) {
    if !is_pflash(b) {
        return;
    }
    text.push_str(",pflash0=libvirt-pflash0-format");
    if let Some(nvram) = b.def.os.loader.as_ref().and_then(|l| l.nvram.as_ref()) {
        let layer = if matches!(nvram.format, None | Some(ImageFormat::Raw)) { "storage" } else { "format" };
        let _ = write!(text, ",pflash1=libvirt-pflash1-{layer}");
    }
}

/// `-bios`, and flash that only firmware in SMM may write.
pub fn loader(b: &mut Builder) {
    let Some(loader) = b.def.os.loader.clone() else { return };
    match loader.kind {
        Some(LoaderKind::Rom) | None => {
            if let Some(path) = &loader.path {
                b.option("-bios", comma(path).into_owned());
            }
        }
        Some(LoaderKind::Pflash) if loader.secure == Some(true) => {
            b.option("-global", "driver=cfi.pflash01,property=secure,value=on")
        }
        Some(LoaderKind::Pflash | LoaderKind::None) => {}
    }
}

/// Memory that only system management mode sees.
pub fn tseg(b: &mut Builder) {
    if let Some(smm) = b.def.features.smm
        && let Some(tseg) = smm.tseg
        && smm.state
    {
        b.option("-global", format!("mch.extended-tseg-mbytes={}", tseg >> 20));
    }
}
