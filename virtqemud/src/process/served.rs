//! What a definition may hold that this daemon cannot start yet: said before anything is made, not by a QEMU that fails.

use conf::domain::DomainDef;
use conf::domain::device::filesystem::FilesystemDriver;
use conf::domain::device::interface::NetBackend;
use conf::domain::device::source::SourceKind;
use conf::domain::device::tpm::TpmBackend;
use error::{Code, Domain, Error};

/// Refuses what needs a helper process, a host device or another daemon that is not served.
///
/// # Errors
/// CONFIG_UNSUPPORTED that names the first of them.
pub fn check(def: &DomainDef) -> error::Result<()> {
    let devices = &def.devices;
    let missing = [
        (devices.tpms.iter().any(|tpm| matches!(tpm.backend, TpmBackend::Emulator(_))), "emulated TPMs"),
        (
            devices.filesystems.iter().any(|fs| fs.driver == Some(FilesystemDriver::VirtioFs) && fs.socket.is_none()),
            "virtiofs shares without a socket",
        ),
        (!devices.hostdevs.is_empty(), "host devices"),
        (
            devices.interfaces.iter().any(|interface| interface.backend.kind == Some(NetBackend::Passt)),
            "interfaces behind passt",
        ),
        (devices.disks.iter().any(|disk| disk.source.kind == SourceKind::Nvme), "NVMe disks"),
        (devices.disks.iter().any(|disk| disk.source.auth.is_some()), "disks with secrets"),
    ];
    match missing.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::new(
            Domain::Qemu,
            Code::ConfigUnsupported,
            format!("{what} cannot be started by this daemon yet"),
        )),
        None => Ok(()),
    }
}
