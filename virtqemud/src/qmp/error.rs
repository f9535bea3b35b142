//! What can go wrong between us and a monitor.

use std::time::Duration;

/// Failure of a monitor call, by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QmpError {
    /// The socket could not be opened or the greeting never came.
    #[error("failed to connect to monitor socket: {0}")]
    Connect(String),
    /// The connection is gone; nothing more will ever be answered.
    #[error("monitor is closed: {reason}")]
    Closed {
        /// Why the reader or the writer gave up.
        reason: String,
    },
    /// No answer before the deadline. The connection itself may still be fine.
    #[error("no answer to '{command}' within {after:?}")]
    Timeout {
        /// QMP command name.
        command: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// QEMU answered with an error.
    #[error("unable to execute QEMU command '{command}': {desc}")]
    Refused {
        /// QMP command name.
        command: String,
        /// QEMU's error class (`GenericError`, `DeviceNotFound`, ...).
        class: String,
        /// QEMU's sentence.
        desc: String,
    },
    /// QEMU answered with something that is not this command's reply.
    #[error("unexpected reply to '{command}': {detail}")]
    Reply {
        /// QMP command name.
        command: String,
        /// What did not fit.
        detail: String,
    },
    /// Too many calls without answer.
    #[error("too many unanswered monitor commands")]
    Overload,
}

impl QmpError {
    /// Whether QEMU's answer was an error of this class.
    pub fn is_class(&self, wanted: &str) -> bool {
        matches!(self, QmpError::Refused { class, .. } if class == wanted)
    }

    /// Whether the connection is lost for good.
    pub fn is_closed(&self) -> bool {
        matches!(self, QmpError::Closed { .. } | QmpError::Connect(_))
    }
}
