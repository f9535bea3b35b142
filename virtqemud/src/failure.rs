//! The one place where this daemon's errors become libvirt's.

use error::{Code, Domain, Error};

use crate::capability::CapabilityError;
use crate::qmp::QmpError;

impl From<CapabilityError> for Error {
    fn from(e: CapabilityError) -> Error {
        match &e {
            CapabilityError::NoEmulator { .. } => Error::new(Domain::Qemu, Code::ConfigUnsupported, e.to_string()),
            CapabilityError::Binary { path, cause } => {
                let text = format!("Cannot check QEMU binary {}: {cause}", path.display());
                Error::new(Domain::Qemu, Code::SystemError, text.clone()).with_message(text)
            }
            CapabilityError::Probe { .. } => Error::new(Domain::Qemu, Code::InternalError, e.to_string()),
        }
    }
}

impl From<QmpError> for Error {
    fn from(e: QmpError) -> Error {
        let code = match &e {
            QmpError::Connect(_) | QmpError::Closed { .. } => Code::OperationFailed,
            QmpError::Timeout { .. } | QmpError::Overload => Code::OperationTimeout,
            QmpError::Refused { .. } | QmpError::Reply { .. } => Code::InternalError,
        };
        Error::new(Domain::Qemu, code, e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn codes() {
        let closed = QmpError::Closed { reason: "x".into() };
        let late = QmpError::Timeout { command: "cont".into(), after: Duration::from_secs(1) };
        let refused = QmpError::Refused { command: "cont".into(), class: "GenericError".into(), desc: "no".into() };
        for (e, code) in
            [(closed, Code::OperationFailed), (late, Code::OperationTimeout), (refused, Code::InternalError)]
        {
            assert_eq!(Error::from(e).code(), Some(code));
        }
        let missing = CapabilityError::NoEmulator { arch: "sparc".into() };
        assert_eq!(Error::from(missing).code(), Some(Code::ConfigUnsupported));
    }
}
