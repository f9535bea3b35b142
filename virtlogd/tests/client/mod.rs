//! A client of the log protocol, and a guest that prints numbered lines.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use error::{Code, Result};
use protocol::log::{self, LogFilePosition, proc};
use rpc::ClientConnection;

/// Prints numbered lines until its input ends; exits with 1 on any error of a write, 0 otherwise. Its last act is to
/// print how many it wrote to its second output.
pub const GUEST_SCRIPT: &str = r#"
import os, select, sys
count = 0
poll = select.poll()
poll.register(0, select.POLLIN | select.POLLHUP)
try:
    while not poll.poll(0):
        for _ in range(100):
            line = b"line %09d %s\n" % (count, b"x" * (count % 97))
            while line:
                line = line[os.write(1, line):]
            count += 1
except OSError as e:
    os.write(2, b"failed %d" % e.errno)
    os._exit(1)
os.write(2, b"%d" % count)
"#;

/// A process that prints into a pipe.
pub struct Guest {
    pub child: Child,
}

impl Guest {
    /// Prints as fast as it can.
    pub fn start(pipe: OwnedFd) -> Guest {
        let mut command = Command::new("python3");
        command.args(["-c", GUEST_SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::from(pipe)).stderr(Stdio::piped());
        Guest { child: testkit::manager::spawn(&mut command).unwrap() }
    }

    /// Ends it; returns how many lines it wrote.
    pub fn finish(mut self) -> u64 {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        text.parse().unwrap()
    }
}

/// What a run of the guest must have left: every line once, in order.
pub fn check_lines(bytes: &[u8], count: u64) {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut next = 0;
    for line in text.lines() {
        let number: u64 = line[5..14].parse().unwrap();
        assert_eq!(number, next, "{line}");
        assert_eq!(line.len() as u64, 15 + number % 97, "{line}");
        next += 1;
    }
    assert_eq!(next, count);
}

pub struct Client {
    connection: ClientConnection,
}

impl Client {
    pub async fn connect(socket: &Path) -> Client {
        Client { connection: ClientConnection::connect(socket).await.unwrap() }
    }

    pub async fn open(&self, path: &str, flags: u32) -> Result<(LogFilePosition, OwnedFd)> {
        let dom = log::Domain { uuid: [7; 16], name: "guest".into() };
        let args = log::DomainOpenLogFileArgs { driver: "qemu".into(), dom, path: path.into(), flags };
        let answer = self.connection.call_with_fds(log::PROGRAM, proc::DOMAIN_OPEN_LOG_FILE, &args, Vec::new()).await;
        let (ret, mut fds): (log::DomainOpenLogFileRet, _) = answer?;
        assert_eq!(fds.len(), 1);
        Ok((ret.pos, fds.remove(0)))
    }

    pub async fn position(&self, path: &str) -> Result<LogFilePosition> {
        let args = log::DomainGetLogFilePositionArgs { path: path.into(), flags: 0 };
        let ret: log::DomainGetLogFilePositionRet =
            self.connection.call(log::PROGRAM, proc::DOMAIN_GET_LOG_FILE_POSITION, &args).await?;
        Ok(ret.pos)
    }

    pub async fn read(&self, path: &str, pos: LogFilePosition, maxlen: u64) -> Result<String> {
        let args = log::DomainReadLogFileArgs { path: path.into(), pos, maxlen, flags: 0 };
        let ret: log::DomainReadLogFileRet =
            self.connection.call(log::PROGRAM, proc::DOMAIN_READ_LOG_FILE, &args).await?;
        Ok(ret.data)
    }

    pub async fn append(&self, path: &str, message: &str) -> Result<()> {
        let dom = log::Domain { uuid: [7; 16], name: "guest".into() };
        let message = message.to_owned();
        let args = log::DomainAppendLogFileArgs { driver: "qemu".into(), dom, path: path.into(), message, flags: 0 };
        let ret: log::DomainAppendLogFileRet =
            self.connection.call(log::PROGRAM, proc::DOMAIN_APPEND_LOG_FILE, &args).await?;
        assert_eq!(ret.ret, 0);
        Ok(())
    }
}

/// Asserts a refusal.
pub fn refused<T>(result: Result<T>, code: Code, domain: i32, text: &str) {
    let e = result.err().expect("it must be refused");
    assert_eq!((e.code(), e.domain, e.message.as_str()), (Some(code), domain, text));
}
