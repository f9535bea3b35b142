//! TPMs.

use conf::domain::device::tpm::{TpmBackend, TpmModel};
use error::Result;

use super::{address, alias, chardev};
use crate::command::escape::comma;
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All TPMs.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for tpm in &def.devices.tpms {
        let id = alias(&tpm.info);
        let model = tpm.model.unwrap_or(TpmModel::Tis);
        if model == TpmModel::SpaprProxy {
            if let TpmBackend::Passthrough { path } = &tpm.backend {
                b.device(Props::driver("spapr-tpm-proxy").with("id", id).with("host-path", path.clone()));
            }
            continue;
        }
        match &tpm.backend {
            TpmBackend::Passthrough { path } => {
                let device = b
                    .inputs
                    .fds
                    .get(&format!("{id}-tpm"))
                    .map_or_else(|| comma(path).into_owned(), |fd| format!("/dev/fdset/{fd}"));
                b.option("-tpmdev", format!("passthrough,id=tpm-{id},path={device},cancel-path=/dev/null"));
            }
            TpmBackend::Emulator(_) => {
                // swtpm's control socket; a guest that is only shown has none.
                let end = match b.inputs.fds.get("chrtpm") {
                    Some(fd) => format!("socket,id=chrtpm,fd={fd}"),
                    None if b.inputs.shown_only => "null,id=chrtpm".into(),
                    None => {
                        format!("socket,id=chrtpm,path={}/swtpm/{}-swtpm.sock", b.inputs.run_dir, b.inputs.short_name)
                    }
                };
                b.option("-chardev", end);
                b.option("-tpmdev", format!("emulator,id=tpm-{id},chardev=chrtpm"));
            }
            TpmBackend::External(source) => {
                chardev::build_as(b, source, &id, "chrtpm")?;
                b.option("-tpmdev", format!("emulator,id=tpm-{id},chardev=chrtpm"));
            }
        }
        let props = Props::driver(model.to_string()).with("tpmdev", format!("tpm-{id}")).with("id", id);
        b.device(address::place(props, def, &tpm.info));
    }
    Ok(())
}
