//! From text to definition, with the facts of this driver and host.

use std::sync::Arc;

use conf::domain::DomainDef;

use crate::capability::{Capability, firmware};
use crate::definition::{self, Facts, Flags};
use crate::driver::Driver;

/// libvirt's name of this machine's architecture.
pub fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "i686",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

impl Driver {
    /// Reads a document as a user's new definition.
    ///
    /// # Errors
    /// libvirt's codes and texts for the first fault.
    pub async fn parse(&self, xml: &str) -> error::Result<DomainDef> {
        self.read(xml, Flags { update: true, trusted: false, live: false }).await
    }

    /// Reads a document that we stored ourselves.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), less the checks that it has passed already.
    pub async fn load_stored(&self, xml: &str) -> error::Result<DomainDef> {
        self.read(xml, Flags { update: false, trusted: true, live: false }).await
    }

    /// Reads the live definition in a status document.
    ///
    /// # Errors
    /// As [`load_stored`](Self::load_stored).
    pub async fn load_live(&self, xml: &str) -> error::Result<DomainDef> {
        self.read(xml, Flags { update: false, trusted: true, live: true }).await
    }

    async fn read(&self, xml: &str, flags: Flags) -> error::Result<DomainDef> {
        let def = definition::read(xml, host_arch(), flags)?;
        let wanted = definition::wanted(&def);
        let capability = self.emulator(wanted.emulator.as_deref(), &wanted.arch).await?;
        let emulator = wanted.emulator.unwrap_or_else(|| capability.emulator.display().to_string());
        // Only a guest that wants firmware needs the descriptors read.
        let asks = def.os.firmware.is_some() || def.os.loader.is_some();
        let session =
            (!self.paths.privileged).then(|| self.paths.config_dir.parent().map(std::path::Path::to_owned)).flatten();
        let firmwares = match asks {
            true => host::run_blocking(move || firmware::read(&firmware::folders(session.as_deref()))).await,
            false => Vec::new(),
        };
        let nvram_dir = self.folders.lib.join("nvram");
        let facts = Facts {
            capability,
            emulator,
            firmwares: &firmwares,
            nvram_dir: &nvram_dir,
            security_model: "none",
            spice_tls: self.settings.spice_tls,
        };
        definition::complete(def, &facts, flags)
    }

    /// Abilities of the emulator at `path`, or of the one for `arch`.
    ///
    /// # Errors
    /// There is none, or it does not answer as QEMU does.
    pub async fn emulator(&self, path: Option<&str>, arch: &str) -> error::Result<Arc<Capability>> {
        let found = match path {
            Some(path) => self.emulators.get(path.as_ref()).await,
            None => self.emulators.for_arch(arch).await,
        };
        Ok(found?)
    }
}
