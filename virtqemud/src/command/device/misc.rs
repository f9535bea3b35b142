//! Small devices and options that stand alone.

use error::Result;

use super::{address, alias};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// NVRAM of pseries.
pub fn nvram(b: &mut Builder) -> Result<()> {
    if let Some(nvram) = &b.def.devices.nvram
        && let Some(conf::domain::device::info::Address::SpaprVio(Some(register))) = &nvram.info.address
    {
        b.option("-global", format!("spapr-nvram.reg={register:#x}"));
    }
    Ok(())
}

/// The guest's kernel tells where its dump data are.
pub fn vmcoreinfo(b: &mut Builder) {
    if b.def.features.vmcoreinfo == Some(true) {
        b.device(Props::driver("vmcoreinfo"));
    }
}

/// VM generation id.
pub fn generation_id(b: &mut Builder) {
    if let Some((id, _)) = b.def.genid {
        let guid = uuid::Uuid::from_bytes(id).hyphenated().to_string();
        b.device(Props::driver("vmgenid").with("guid", guid).with("id", "vmgenid0"));
    }
}

/// ACPI ERST.
pub fn pstore(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let Some(pstore) = &def.devices.pstore else { return Ok(()) };
    let id = alias(&pstore.info);
    let object = format!("mem{id}");
    let backend = Props::object("memory-backend-file", object.clone())
        .maybe("mem-path", pstore.path.clone())
        .with("share", true)
        .with("size", pstore.size_kib * 1024);
    b.object(&backend);
    let props = Props::driver("acpi-erst").with("id", id).with("memdev", object);
    b.device(address::place(props, def, &pstore.info));
    Ok(())
}

/// Whether a protected guest's memory is torn down behind QEMU's end.
pub fn async_teardown(b: &mut Builder) {
    if let Some(enabled) = b.def.features.async_teardown.flatten() {
        b.option("-run-with", format!("async-teardown={}", crate::command::escape::on_off(enabled)));
    }
}

/// What QEMU does about deprecated things.
pub fn deprecation(b: &mut Builder) {
    let Some(behaviour) = b.def.qemu.as_ref().and_then(|q| q.deprecation.clone()) else { return };
    let (output, input) = match behaviour.as_str() {
        "omit" => ("hide", "accept"),
        "reject" => ("hide", "reject"),
        "crash" => ("hide", "crash"),
        _ => return,
    };
    b.json("-compat", &Props::default().with("deprecated-output", output).with("deprecated-input", input));
}
