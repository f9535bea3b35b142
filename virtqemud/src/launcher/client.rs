//! The daemon's end of the launcher.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use error::{Code, Domain, Error};
use host::{Pid, descriptor, socket};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::message::{FD_COUNT_MAX, FromChild, GO, LaunchSpec};
use super::service::ARGUMENT;

/// A fork takes well under a millisecond; a launcher that is silent this long is stuck.
const FORK_DEADLINE: Duration = Duration::from_secs(10);
/// The lock daemon may have to be activated, and network file systems answer slowly.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// From "go" to exec there is nothing to wait for.
const EXEC_DEADLINE: Duration = Duration::from_secs(10);
/// Longest line a child may send.
const LINE_MAX: u64 = 64 * 1024;

/// Handle to the launcher process; starts it, again when it has died.
#[derive(Debug)]
pub struct Launcher {
    program: PathBuf,
    control: Mutex<Option<UnixStream>>,
}

impl Default for Launcher {
    /// Our own program again: `/proc/self/exe` is the same version even while an upgrade replaces the file.
    fn default() -> Launcher {
        Launcher::of_program("/proc/self/exe")
    }
}

/// A child that holds its locks and waits for [`Launched::go`].
///
/// Dropped before that, the child exits by itself.
#[derive(Debug)]
pub struct Launched {
    pid: Pid,
    gate: BufReader<UnixStream>,
}

impl Launcher {
    /// A launcher that is this program, run with [`ARGUMENT`].
    pub fn of_program(program: impl Into<PathBuf>) -> Launcher {
        Launcher { program: program.into(), control: Mutex::default() }
    }

    /// Starts the launcher process ahead of its first use.
    pub async fn prepare(&self) -> error::Result<()> {
        let mut control = self.control.lock().await;
        if control.is_none() {
            *control = Some(spawn(&self.program).map_err(broken)?);
        }
        Ok(())
    }

    /// Forks a child for `spec`, which gets `fds` at the numbers of `spec.fds`. Returns when it is ready to execute.
    ///
    /// # Errors
    /// What the child was refused (the lock daemon's RESOURCE_BUSY among others); SYSTEM_ERROR when no child could be
    /// made.
    pub async fn launch(&self, spec: &LaunchSpec, fds: &[OwnedFd]) -> error::Result<Launched> {
        if fds.len() != spec.fds.len() || fds.len() >= FD_COUNT_MAX {
            let text = format!("cannot pass {} descriptors to the guest", fds.len());
            return Err(Error::new(Domain::Qemu, Code::InternalError, &text));
        }
        let (gate, theirs) = UnixStream::pair().map_err(broken)?;
        let theirs = theirs.into_std().map_err(broken)?;
        // The child reads its end by blocking.
        theirs.set_nonblocking(false).map_err(broken)?;
        let theirs = OwnedFd::from(theirs);
        let pidfd = self.fork(spec, &theirs, fds).await?;
        drop(theirs);
        let mut gate = BufReader::new(gate);
        // A refused child may be reaped by now, so it becomes a `Pid` only once it is known to wait for us.
        match hear(&mut gate, READY_DEADLINE).await? {
            Some(FromChild::Ready) => Ok(Launched { pid: Pid::from_pidfd(pidfd).map_err(broken)?, gate }),
            Some(FromChild::Refused(refusal)) => Err(refusal.into()),
            None => Err(Error::new(Domain::Qemu, Code::InternalError, "child exited before it was ready")),
        }
    }

    async fn fork(&self, spec: &LaunchSpec, gate: &OwnedFd, fds: &[OwnedFd]) -> error::Result<OwnedFd> {
        let mut all = vec![gate.as_fd()];
        all.extend(fds.iter().map(AsFd::as_fd));
        let text = serde_json::to_vec(spec).map_err(|e| broken(e.into()))?;
        let mut control = self.control.lock().await;
        if control.is_none() {
            *control = Some(spawn(&self.program).map_err(broken)?);
        }
        let socket = control.as_mut().expect("made above");
        let exchange = async {
            send(socket, &text, &all).await?;
            receive(socket).await
        };
        let answer = match timeout(FORK_DEADLINE, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        // After a failed exchange the stream is at an unknown place; the next start makes a new launcher.
        let (number, pidfd) = answer.inspect_err(|_| *control = None).map_err(broken)?;
        drop(control);
        if number < 0 {
            return Err(Error::system(
                Domain::Qemu,
                &io::Error::from_raw_os_error(-number),
                "cannot fork child process",
            ));
        }
        pidfd.ok_or_else(|| broken(io::ErrorKind::InvalidData.into()))
    }
}

impl Launched {
    /// The child, later the guest.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// Lets the child execute and returns once it has.
    ///
    /// # Errors
    /// What kept the program from being executed.
    pub async fn go(mut self) -> error::Result<Pid> {
        self.gate.get_mut().write_all(&[GO]).await.map_err(broken)?;
        match hear(&mut self.gate, EXEC_DEADLINE).await? {
            // End of file: exec closed the gate.
            None => Ok(self.pid),
            Some(FromChild::Refused(refusal)) => Err(refusal.into()),
            Some(FromChild::Ready) => Err(broken(io::ErrorKind::InvalidData.into())),
        }
    }
}

async fn hear(gate: &mut BufReader<UnixStream>, deadline: Duration) -> error::Result<Option<FromChild>> {
    let mut line = Vec::new();
    let mut limited = gate.take(LINE_MAX);
    match timeout(deadline, limited.read_until(b'\n', &mut line)).await {
        Err(_) => Err(broken(io::ErrorKind::TimedOut.into())),
        Ok(Err(e)) => Err(broken(e)),
        Ok(Ok(0)) => Ok(None),
        Ok(Ok(_)) => serde_json::from_slice(&line).map(Some).map_err(|e| broken(e.into())),
    }
}

fn broken(e: io::Error) -> Error {
    Error::system(Domain::Qemu, &e, "guest launcher failed")
}

fn spawn(program: &Path) -> io::Result<UnixStream> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let stdin = Stdio::from(OwnedFd::from(theirs));
    let child = Command::new(program)
        .arg0("virt-launcher")
        .arg(ARGUMENT)
        .env_clear()
        .stdin(stdin)
        .stdout(Stdio::null())
        .spawn()?;
    let pid = Pid::open(child.id().cast_signed())?;
    tokio::spawn(async move { pid.reap().await });
    ours.set_nonblocking(true)?;
    UnixStream::from_std(ours)
}

async fn send(socket: &mut UnixStream, text: &[u8], fds: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?.to_le_bytes();
    loop {
        socket.writable().await?;
        let sent = socket.try_io(Interest::WRITABLE, || socket::send_with(&*socket, &[IoSlice::new(&length)], fds));
        match sent {
            Ok(4) => break,
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    socket.write_all(text).await
}

async fn receive(socket: &mut UnixStream) -> io::Result<(i32, Option<OwnedFd>)> {
    let mut reply = [0; 4];
    loop {
        socket.readable().await?;
        let got = socket.try_io(Interest::READABLE, || socket::receive_with(&*socket, &mut reply));
        match got {
            Ok((4, mut fds)) => {
                let pidfd = fds.pop();
                if let Some(fd) = &pidfd {
                    descriptor::set_close_on_exec(fd, true)?;
                }
                return Ok((i32::from_le_bytes(reply), pidfd));
            }
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}
