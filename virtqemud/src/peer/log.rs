//! virtlogd: the pipes behind QEMU's output and behind console log files.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use error::{Code, Domain, Error};
use protocol::log::{self, LogFilePosition, proc};
use rpc::ClientConnection;

/// Most of a log that goes into an error message.
const TAIL_LEN_MAX: u64 = 16 * 1024;

/// The log of one domain, open for writing.
#[derive(Debug)]
pub struct LogPipe {
    /// Write end of virtlogd's pipe.
    pub pipe: OwnedFd,
    /// Where the file ended when it was opened.
    pub position: LogFilePosition,
}

/// Opens a log file.
///
/// # Errors
/// What connecting answers (virtlogd is needed, as in libvirt); SYSTEM_ERROR EBUSY when the file is open already.
pub async fn open(socket: &Path, uuid: [u8; 16], name: &str, path: &Path, truncate: bool) -> error::Result<LogPipe> {
    let connection = ClientConnection::connect(socket).await?;
    let args = log::DomainOpenLogFileArgs {
        driver: "qemu".into(),
        dom: log::Domain { uuid, name: name.to_owned() },
        path: path.display().to_string(),
        flags: u32::from(truncate),
    };
    let (ret, fds): (log::DomainOpenLogFileRet, Vec<OwnedFd>) =
        connection.call_with_fds(log::PROGRAM, proc::DOMAIN_OPEN_LOG_FILE, &args, Vec::new()).await?;
    let missing = || Error::new(Domain::Qemu, Code::InternalError, "virtlogd returned no file descriptor");
    Ok(LogPipe { pipe: fds.into_iter().next().ok_or_else(missing)?, position: ret.pos })
}

/// Adds a line.
///
/// # Errors
/// What virtlogd answers.
pub async fn append(socket: &Path, uuid: [u8; 16], name: &str, path: &Path, message: String) -> error::Result<()> {
    let connection = ClientConnection::connect(socket).await?;
    let args = log::DomainAppendLogFileArgs {
        driver: "qemu".into(),
        dom: log::Domain { uuid, name: name.to_owned() },
        path: path.display().to_string(),
        message,
        flags: 0,
    };
    let _: log::DomainAppendLogFileRet = connection.call(log::PROGRAM, proc::DOMAIN_APPEND_LOG_FILE, &args).await?;
    Ok(())
}

/// What has been written since `position`.
///
/// # Errors
/// What virtlogd answers.
pub async fn read_since(socket: &Path, path: PathBuf, pos: LogFilePosition) -> error::Result<String> {
    let connection = ClientConnection::connect(socket).await?;
    // Asking for the position makes virtlogd empty the pipe into the file first.
    let args = log::DomainGetLogFilePositionArgs { path: path.display().to_string(), flags: 0 };
    let drained: error::Result<log::DomainGetLogFilePositionRet> =
        connection.call(log::PROGRAM, proc::DOMAIN_GET_LOG_FILE_POSITION, &args).await;
    if let Err(e) = drained {
        // With its writer gone the file may be closed already, and complete.
        tracing::debug!(error = %e, "log file is closed");
    }
    let args = log::DomainReadLogFileArgs { path: path.display().to_string(), pos, maxlen: TAIL_LEN_MAX, flags: 0 };
    let ret: log::DomainReadLogFileRet = connection.call(log::PROGRAM, proc::DOMAIN_READ_LOG_FILE, &args).await?;
    Ok(ret.data)
}
