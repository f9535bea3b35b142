//! Why an emulator's abilities are unknown.

use std::path::PathBuf;

use crate::qmp::QmpError;

/// Failure to find or ask an emulator.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CapabilityError {
    /// No binary for this architecture.
    #[error("unable to find any emulator to serve '{arch}' architecture")]
    NoEmulator {
        /// libvirt's architecture name.
        arch: String,
    },
    /// The binary is missing or may not be executed.
    #[error("Cannot check QEMU binary {path}: {cause}")]
    Binary {
        /// The emulator.
        path: PathBuf,
        /// The system's error text.
        cause: String,
    },
    /// The binary did not answer as QEMU does.
    #[error("Failed to probe capabilities for {path}: {cause}")]
    Probe {
        /// The emulator.
        path: PathBuf,
        /// What went wrong, with the end of its stderr.
        cause: String,
    },
}

impl CapabilityError {
    pub(super) fn probe(path: &std::path::Path, cause: impl std::fmt::Display) -> CapabilityError {
        CapabilityError::Probe { path: path.to_owned(), cause: cause.to_string() }
    }

    pub(super) fn monitor(path: &std::path::Path, error: QmpError) -> CapabilityError {
        CapabilityError::probe(path, error)
    }
}
