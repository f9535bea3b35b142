//! A guest's console as a stream: bytes between the client and the terminal that QEMU made for the device.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use conf::domain::DomainDef;
use conf::domain::device::chardev::Chardev;
use error::{Code, Domain as From, Error};
use host::descriptor;
use nix::libc;
use protocol::constants as c;
use protocol::remote;
use rpc::{Call, Stream, StreamItem};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::{Api, check_flags, invalid, not_running};

/// Bytes read from the terminal at once.
const CHUNK: usize = 4096;

/// Open console sessions: one client at a time for a terminal, as in libvirt.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<HashMap<PathBuf, (u64, watch::Sender<bool>)>>,
    last: AtomicU64,
}

/// The right to a terminal; given back when dropped.
struct Session {
    sessions: Arc<Sessions>,
    path: PathBuf,
    number: u64,
    evicted: watch::Receiver<bool>,
}

pub(super) async fn open(api: &Api, call: &Call, args: remote::DomainOpenConsoleArgs) -> error::Result<()> {
    check_flags("qemuDomainOpenConsole", args.flags, c::VIR_DOMAIN_CONSOLE_SAFE | c::VIR_DOMAIN_CONSOLE_FORCE)?;
    let view = api.find(&args.dom)?.view();
    let Some(def) = view.live.as_ref().filter(|_| view.is_active()) else { return Err(not_running()) };
    let path = terminal(def, args.dev_name.as_deref())?;
    let force = args.flags & c::VIR_DOMAIN_CONSOLE_FORCE != 0;
    let session = api.driver.consoles.clone().enter(&path, force)?;
    let file = open_terminal(&path)
        .map_err(|e| Error::system(From::Qemu, &e, format!("Unable to open stream for '{}'", path.display())))?;
    let stream = call.open_stream();
    tokio::spawn(async move {
        let end = relay(&file, &stream, &session).await;
        drop(session);
        match end {
            // Answers the client's finish, or announces the end of data.
            End::Client | End::Guest => stream.finish().await,
            End::Evicted => {
                stream
                    .fail(Error::new(From::Streams, Code::OperationFailed, "console was taken over by another client"))
                    .await
            }
            End::Failed(e) => stream.fail(Error::system(From::Streams, &e, "console failed")).await,
        }
    });
    Ok(())
}

/// Why a session ended.
enum End {
    /// The client finished, aborted or left.
    Client,
    /// The terminal hung up.
    Guest,
    /// Another client took the terminal by force.
    Evicted,
    Failed(io::Error),
}

async fn relay(terminal: &AsyncFd<OwnedFd>, stream: &Stream, session: &Session) -> End {
    let mut evicted = session.evicted.clone();
    tokio::select! {
        end = from_guest(terminal, stream) => end,
        end = to_guest(terminal, stream) => end,
        _ = evicted.wait_for(|gone| *gone) => End::Evicted,
    }
}

async fn from_guest(terminal: &AsyncFd<OwnedFd>, stream: &Stream) -> End {
    let mut buffer = [0; CHUNK];
    loop {
        let mut ready = match terminal.readable().await {
            Ok(ready) => ready,
            Err(e) => return End::Failed(e),
        };
        let read = ready.try_io(|fd| Ok(nix::unistd::read(fd.get_ref(), &mut buffer)?));
        match read {
            Err(_would_block) => {}
            Ok(Ok(0)) => return End::Guest,
            Ok(Ok(length)) => {
                if stream.send(Bytes::copy_from_slice(&buffer[..length])).await.is_err() {
                    return End::Client;
                }
            }
            // The other side of a pseudo terminal has closed.
            Ok(Err(e)) if e.raw_os_error() == Some(libc::EIO) => return End::Guest,
            Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(e)) => return End::Failed(e),
        }
    }
}

async fn to_guest(terminal: &AsyncFd<OwnedFd>, stream: &Stream) -> End {
    loop {
        let mut bytes = match stream.recv().await {
            Some(StreamItem::Data(bytes)) => bytes,
            Some(StreamItem::Hole(_)) => continue,
            Some(StreamItem::Finish | StreamItem::Abort) | None => return End::Client,
        };
        while !bytes.is_empty() {
            let mut ready = match terminal.writable().await {
                Ok(ready) => ready,
                Err(e) => return End::Failed(e),
            };
            match ready.try_io(|fd| Ok(nix::unistd::write(fd.get_ref(), &bytes)?)) {
                Err(_would_block) => {}
                Ok(Ok(written)) => bytes = bytes.slice(written..),
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(e)) if e.raw_os_error() == Some(libc::EIO) => return End::Guest,
                Ok(Err(e)) => return End::Failed(e),
            }
        }
    }
}

fn open_terminal(path: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    descriptor::watch(file, Interest::READABLE | Interest::WRITABLE)
}

/// The terminal of the device with this alias, or of the first console, serial or parallel device.
fn terminal(def: &DomainDef, alias: Option<&str>) -> error::Result<PathBuf> {
    let devices = &def.devices;
    let all = (devices.consoles.iter().map(|d| (&d.info, &d.source)))
        .chain(devices.serials.iter().map(|d| (&d.info, &d.source)))
        .chain(devices.parallels.iter().map(|d| (&d.info, &d.source)));
    let (found, source) = match alias {
        Some(alias) => {
            let missing =
                || Error::new(From::Qemu, Code::InternalError, format!("cannot find character device {alias}"));
            all.clone().find(|(info, _)| info.alias.as_deref() == Some(alias)).ok_or_else(missing)?
        }
        None => all
            .clone()
            .next()
            .ok_or_else(|| Error::new(From::Qemu, Code::InternalError, "cannot find character device <null>"))?,
    };
    let name = alias.or(found.alias.as_deref()).unwrap_or("<default>").to_owned();
    match &source.backend {
        Chardev::Pty { path: Some(path) } | Chardev::Dev { path } => Ok(path.into()),
        _ => Err(invalid(format!("character device {name} is not using a PTY"))),
    }
}

impl Sessions {
    fn enter(self: Arc<Self>, path: &Path, force: bool) -> error::Result<Session> {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let (evict, evicted) = watch::channel(false);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, other)) = table.get(path) {
            if !force {
                return Err(Error::new(
                    From::Qemu,
                    Code::OperationFailed,
                    "Active console session exists for this domain",
                ));
            }
            other.send_replace(true);
        }
        table.insert(path.to_owned(), (number, evict));
        drop(table);
        Ok(Session { sessions: self, path: path.to_owned(), number, evicted })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut table = self.sessions.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.get(&self.path).is_some_and(|(number, _)| *number == self.number) {
            table.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_a_terminal() {
        let sessions = Arc::new(Sessions::default());
        let path = Path::new("/dev/pts/7");
        let first = sessions.clone().enter(path, false).unwrap();
        assert!(sessions.clone().enter(path, false).is_err());
        let second = sessions.clone().enter(path, true).unwrap();
        assert!(*first.evicted.borrow());
        drop(first);
        assert!(
            sessions.clone().enter(path, false).is_err(),
            "the evicted session does not free its successor's place"
        );
        drop(second);
        sessions.enter(path, false).unwrap();
    }
}
