//! Exit statuses, which are also what a daemon in the background tells the parent that waits.

/// libvirt's numbers for why a daemon did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Ready; or ended as asked.
    Ok = 0,
    /// The pid file is held by another process. The command line and configuration errors end with the same number.
    PidFile = 1,
    /// A folder for sockets cannot be made.
    RunDir = 2,
    /// Something else of the start-up.
    Init = 3,
    /// Signal handlers.
    Signal = 4,
    /// Privileges.
    Privileges = 5,
    /// Sockets.
    Network = 6,
    /// Configuration.
    Config = 7,
    /// Re-execution.
    Reexec = 9,
    /// The driver.
    Driver = 11,
}

/// A failed start: the status and what the log says.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) cause: anyhow::Error,
}

/// Gives an error its exit status.
pub(crate) trait OrFail<T> {
    fn or_fail(self, status: Status, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, status: Status, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure { status, cause: error.into().context(what()) })
    }
}
