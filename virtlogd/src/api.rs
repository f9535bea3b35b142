//! The log protocol's procedures.

use std::sync::Arc;

use error::{Code, Domain, Error, Result, check_flags};
use protocol::log::limit::STRING_MAX;
use protocol::{Procedure, ReplyFuture, log};
use rpc::{Call, Program};

use crate::log_file::Position;
use crate::logs::{Logs, LogsError, Writer};
use crate::reader;

/// Remove the log and its backups first.
const OPEN_TRUNCATE: u32 = 1;

/// The procedures.
pub struct Api {
    logs: Logs,
}

impl Api {
    /// Serves these logs.
    pub fn new(logs: Logs) -> Api {
        Api { logs }
    }
}

impl log::Service<Call> for Api {
    async fn domain_open_log_file(
        &self,
        call: &Call,
        args: log::DomainOpenLogFileArgs,
    ) -> Result<log::DomainOpenLogFileRet> {
        flags("OpenLogFile", args.flags, OPEN_TRUNCATE)?;
        let writer = writer(args.driver, args.dom);
        let truncate = args.flags & OPEN_TRUNCATE != 0;
        let (position, pipe) = self.logs.open(&args.path, writer, truncate).await.map_err(failure)?;
        call.push_fd(pipe);
        Ok(log::DomainOpenLogFileRet { pos: wire(position) })
    }

    async fn domain_get_log_file_position(
        &self,
        _: &Call,
        args: log::DomainGetLogFilePositionArgs,
    ) -> Result<log::DomainGetLogFilePositionRet> {
        flags("GetLogFilePosition", args.flags, 0)?;
        let position = self.logs.position(&args.path).await.map_err(failure)?;
        Ok(log::DomainGetLogFilePositionRet { pos: wire(position) })
    }

    async fn domain_read_log_file(
        &self,
        _: &Call,
        args: log::DomainReadLogFileArgs,
    ) -> Result<log::DomainReadLogFileRet> {
        if args.maxlen > STRING_MAX as u64 {
            let text = format!("Requested data len {} is larger than maximum {STRING_MAX}", args.maxlen);
            return Err(Error::new(Domain::Rpc, Code::InternalError, text));
        }
        flags("ReadLogFile", args.flags, 0)?;
        let maximum = args.maxlen as usize;
        let position = Position { inode: args.pos.inode, offset: args.pos.offset };
        let bytes = self.logs.read(&args.path, position, maximum).await.map_err(failure)?;
        Ok(log::DomainReadLogFileRet { data: reader::text(bytes, maximum) })
    }

    async fn domain_append_log_file(
        &self,
        _: &Call,
        args: log::DomainAppendLogFileArgs,
    ) -> Result<log::DomainAppendLogFileRet> {
        flags("AppendLogFile", args.flags, 0)?;
        self.logs.append(&args.path, args.message.into_bytes()).await.map_err(failure)?;
        Ok(log::DomainAppendLogFileRet { ret: 0 })
    }
}

fn writer(driver: String, domain: log::Domain) -> Writer {
    let uuid = uuid::Uuid::from_bytes(domain.uuid).hyphenated().to_string();
    Writer { driver, domain: domain.name, uuid }
}

fn wire(position: Position) -> log::LogFilePosition {
    log::LogFilePosition { inode: position.inode, offset: position.offset }
}

fn flags(procedure: &str, given: u32, accepted: u32) -> Result<()> {
    check_flags(Domain::Logging, &format!("virLogHandlerDomain{procedure}"), given, accepted)
}

/// The one place where refusals become libvirt's errors.
fn failure(e: LogsError) -> Error {
    match e {
        LogsError::BadPath(path) => Error::new(
            Domain::Logging,
            Code::InvalidArg,
            format!("log file path '{path}' must be absolute and without detours"),
        ),
        LogsError::Open(path) => {
            let busy = std::io::Error::from_raw_os_error(nix::libc::EBUSY);
            Error::system(Domain::Logging, &busy, format!("Cannot open log file: '{path}'"))
        }
        LogsError::NotOpen(path) => {
            Error::new(Domain::Logging, Code::InternalError, format!("No open log file {path}"))
        }
        LogsError::Record(source) => {
            Error::system(Domain::Logging, &source, "Unable to make the log survive a restart")
        }
        LogsError::System { what, source } => Error::system(Domain::None, &source, what),
    }
}

/// The log program of a server.
pub struct LogProgram {
    api: Arc<Api>,
}

impl LogProgram {
    /// Serves these procedures.
    pub fn new(api: Api) -> LogProgram {
        LogProgram { api: Arc::new(api) }
    }
}

impl Program for LogProgram {
    fn number(&self) -> u32 {
        log::PROGRAM
    }

    fn procedure(&self, number: i32) -> Option<&'static Procedure> {
        log::procedure(number)
    }

    fn call(&self, call: Call, payload: bytes::Bytes) -> ReplyFuture {
        let number = call.procedure().number;
        log::dispatch_service(self.api.clone(), call, number, payload)
    }
}
