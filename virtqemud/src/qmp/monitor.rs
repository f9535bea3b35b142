//! The connection to one QEMU.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Map, Value};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::commands::{AddFd, AddFdInfo, GetFd, QmpCapabilities};
use super::message::{self, Event, Greeting, Message, id_text};
use super::{Command, Empty, QmpError};

/// Longest line that we accept from QEMU (CVE-2018-5748: libvirt's limit too).
pub const LINE_MAX: usize = 10 * 1024 * 1024;
/// Deadline of a call that names none.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Calls that may wait for an answer at once, the abandoned ones included.
const PENDING_MAX: usize = 256;
/// Events that may wait for the consumer; later ones are dropped and counted.
const EVENTS_MAX: usize = 1024;
/// Commands waiting to be written.
const WRITE_QUEUE: usize = 32;
const READ_CHUNK: usize = 16 * 1024;

/// Where a connection's events arrive; `None` means that the connection is closed.
pub type EventReceiver = mpsc::Receiver<Event>;

type Waiter = oneshot::Sender<Result<Value, QmpError>>;

struct Outgoing {
    line: Vec<u8>,
    fds: Vec<OwnedFd>,
}

struct Shared {
    next_id: AtomicU64,
    /// `None` once the connection is closed.
    waiters: Mutex<Option<HashMap<u64, (String, Waiter)>>>,
    reason: OnceLock<String>,
    greeting: OnceLock<Greeting>,
    stream: UnixStream,
}

/// Cheap handle to a QMP connection. The connection ends when QEMU closes it or when the last handle is dropped.
#[derive(Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
    writer: mpsc::Sender<Outgoing>,
}

/// Lines that are read in one window; QEMU's busiest events (block jobs, migration) stay far below.
const PACE_LINES_MAX: usize = 1000;
/// The window.
const PACE_WINDOW: Duration = Duration::from_millis(100);

impl Monitor {
    /// Connects to a listening monitor socket and negotiates.
    ///
    /// # Errors
    /// [`QmpError::Connect`] when there is no listener or no greeting before the deadline.
    pub async fn connect(path: &Path, deadline: Duration) -> Result<(Monitor, EventReceiver), QmpError> {
        let connecting = timeout(deadline, UnixStream::connect(path)).await;
        let stream = connecting
            .map_err(|_| QmpError::Connect(format!("no answer within {deadline:?}")))?
            .map_err(|e| QmpError::Connect(e.to_string()))?;
        Monitor::over(stream, deadline).await
    }

    /// Negotiates over a connected stream: greeting, `qmp_capabilities`.
    pub async fn over(stream: UnixStream, deadline: Duration) -> Result<(Monitor, EventReceiver), QmpError> {
        let (greeting_tx, greeting_rx) = oneshot::channel();
        let (writer, outgoing) = mpsc::channel(WRITE_QUEUE);
        let (events_tx, events) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared {
            next_id: AtomicU64::new(1),
            waiters: Mutex::new(Some(HashMap::new())),
            reason: OnceLock::new(),
            greeting: OnceLock::new(),
            stream,
        });
        tokio::spawn(read_loop(shared.clone(), events_tx, greeting_tx));
        tokio::spawn(write_loop(shared.clone(), outgoing));
        let monitor = Monitor { shared, writer };
        match timeout(deadline, greeting_rx).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(QmpError::Connect(monitor.reason())),
            Err(_) => return Err(QmpError::Connect(format!("no greeting within {deadline:?}"))),
        }
        monitor.execute_within(&QmpCapabilities {}, deadline).await?;
        Ok((monitor, events))
    }

    /// What QEMU said first.
    pub fn greeting(&self) -> &Greeting {
        self.shared.greeting.get().expect("a monitor is handed out only after its greeting")
    }

    /// Why the connection is closed; `None` while it lives.
    pub fn closed(&self) -> Option<&str> {
        self.shared.reason.get().map(String::as_str)
    }

    /// Runs a command with the default deadline.
    pub async fn execute<C: Command>(&self, command: &C) -> Result<C::Reply, QmpError> {
        self.execute_within(command, DEADLINE).await
    }

    /// Runs a command with a deadline of its own.
    pub async fn execute_within<C: Command>(&self, command: &C, deadline: Duration) -> Result<C::Reply, QmpError> {
        self.typed(command, Vec::new(), deadline).await
    }

    /// Runs any command by name; `arguments` is an object or `Null`. Returns the `return` value as it came.
    pub async fn execute_raw(&self, name: &str, arguments: Value, deadline: Duration) -> Result<Value, QmpError> {
        let mut line = Map::new();
        line.insert("execute".into(), name.into());
        if !arguments.is_null() {
            line.insert("arguments".into(), arguments);
        }
        self.execute_line(name, line, Vec::new(), deadline).await
    }

    /// Sends a whole request object as a user wrote it (`virsh qemu-monitor-command`), replacing only its id.
    /// Returns what QEMU answered.
    pub async fn execute_object(&self, mut request: Map<String, Value>, deadline: Duration) -> Result<Value, QmpError> {
        request.remove("id");
        let name = request.get("execute").and_then(Value::as_str).unwrap_or("<null>").to_owned();
        self.execute_line(&name, request, Vec::new(), deadline).await
    }

    /// Hands a descriptor to QEMU under a name (`getfd`), for commands that refer to it once.
    pub async fn send_fd(&self, name: &str, fd: OwnedFd) -> Result<(), QmpError> {
        let Empty {} = self.typed(&GetFd { fdname: name.to_owned() }, vec![fd], DEADLINE).await?;
        Ok(())
    }

    /// Adds a descriptor to an fd set (`add-fd`); it is then opened as `/dev/fdset/N`.
    pub async fn add_fd(&self, fdset: u32, opaque: Option<String>, fd: OwnedFd) -> Result<AddFdInfo, QmpError> {
        self.typed(&AddFd { fdset_id: Some(fdset), opaque }, vec![fd], DEADLINE).await
    }

    /// Closes the connection; every waiter gets the reason.
    pub fn close(&self, reason: &str) {
        close(&self.shared, reason.to_owned());
    }

    async fn typed<C: Command>(
        &self,
        command: &C,
        fds: Vec<OwnedFd>,
        deadline: Duration,
    ) -> Result<C::Reply, QmpError> {
        let misfit = |e: serde_json::Error| QmpError::Reply { command: C::NAME.into(), detail: e.to_string() };
        let arguments = serde_json::to_value(command).map_err(misfit)?;
        let mut line = Map::new();
        line.insert("execute".into(), C::NAME.into());
        if arguments.as_object().is_some_and(|o| !o.is_empty()) {
            line.insert("arguments".into(), arguments);
        }
        let value = self.execute_line(C::NAME, line, fds, deadline).await?;
        serde_json::from_value(value).map_err(misfit)
    }

    async fn execute_line(
        &self,
        name: &str,
        mut line: Map<String, Value>,
        fds: Vec<OwnedFd>,
        deadline: Duration,
    ) -> Result<Value, QmpError> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        line.insert("id".into(), id_text(id).into());
        let mut line = serde_json::to_vec(&line).expect("a JSON object always encodes");
        line.extend_from_slice(b"\r\n");
        let (tx, rx) = oneshot::channel();
        self.enlist(id, name, tx)?;
        // An abandoned waiter stays enlisted: its late reply must find its id.
        let exchange = async {
            if self.writer.send(Outgoing { line, fds }).await.is_err() {
                return Err(QmpError::Closed { reason: self.reason() });
            }
            rx.await.unwrap_or_else(|_| Err(QmpError::Closed { reason: self.reason() }))
        };
        match timeout(deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(QmpError::Timeout { command: name.to_owned(), after: deadline }),
        }
    }

    fn enlist(&self, id: u64, name: &str, waiter: Waiter) -> Result<(), QmpError> {
        let mut waiters = self.shared.waiters.lock().expect("no panic while the lock is held");
        let Some(waiters) = waiters.as_mut() else { return Err(QmpError::Closed { reason: self.reason() }) };
        if waiters.len() >= PENDING_MAX {
            return Err(QmpError::Overload);
        }
        waiters.insert(id, (name.to_owned(), waiter));
        Ok(())
    }

    fn reason(&self) -> String {
        self.closed().unwrap_or("connection closed").to_owned()
    }
}

/// First reason wins; wakes every waiter.
fn close(shared: &Shared, reason: String) {
    let _ = shared.reason.set(reason);
    let taken = shared.waiters.lock().expect("no panic while the lock is held").take();
    let reason = shared.reason.get().expect("just set").clone();
    for (_, (_, waiter)) in taken.into_iter().flatten() {
        let _ = waiter.send(Err(QmpError::Closed { reason: reason.clone() }));
    }
    let _ = nix::sys::socket::shutdown(shared.stream.as_raw_fd(), nix::sys::socket::Shutdown::Both);
}

async fn read_loop(shared: Arc<Shared>, events: mpsc::Sender<Event>, greeting: oneshot::Sender<()>) {
    let mut greeting = Some(greeting);
    let mut lost = 0;
    let reason = read_lines(&shared, |line| {
        tracing::trace!(line = %String::from_utf8_lossy(line), "monitor received");
        match message::parse(line)? {
            Message::Greeting(hello) => {
                let waiting = greeting.take().ok_or("second greeting")?;
                let _ = shared.greeting.set(hello);
                let _ = waiting.send(());
            }
            _ if greeting.is_some() => return Err("message before the greeting".into()),
            Message::Event(mut event) => {
                event.lost = lost;
                match events.try_send(event) {
                    Ok(()) => lost = 0,
                    Err(mpsc::error::TrySendError::Full(_)) => lost += 1,
                    // The consumer went away; replies still matter.
                    Err(mpsc::error::TrySendError::Closed(_)) => {}
                }
            }
            Message::Return { id, value } => answer(&shared, id, |_| Ok(value))?,
            Message::Error { id, class, desc } => {
                answer(&shared, id, |command| Err(QmpError::Refused { command, class, desc }))?
            }
        }
        Ok(())
    })
    .await;
    close(&shared, reason);
}

fn answer(shared: &Shared, id: u64, result: impl FnOnce(String) -> Result<Value, QmpError>) -> Result<(), String> {
    let mut waiters = shared.waiters.lock().expect("no panic while the lock is held");
    let found = waiters.as_mut().and_then(|w| w.remove(&id));
    drop(waiters);
    let (command, waiter) = found.ok_or("reply with an id that nobody waits for")?;
    let _ = waiter.send(result(command));
    Ok(())
}

/// How fast a monitor may talk: a QEMU that floods is read slowly, so that it costs neither a core nor the others' turns.
struct Pace {
    window: tokio::time::Instant,
    lines: usize,
}

impl Pace {
    fn new() -> Pace {
        Pace { window: tokio::time::Instant::now(), lines: 0 }
    }

    /// After each read: gives others a turn, and waits for the next window when this one is used up.
    async fn after(&mut self, lines: usize) {
        let now = tokio::time::Instant::now();
        if now >= self.window + PACE_WINDOW {
            *self = Pace { window: now, lines: 0 };
        }
        self.lines += lines;
        if self.lines > PACE_LINES_MAX {
            tokio::time::sleep_until(self.window + PACE_WINDOW).await;
        } else {
            // A socket that always has data would keep this task, and those that it wakes, from ever changing.
            tokio::task::yield_now().await;
        }
    }
}

/// Feeds complete lines to `handle` until the stream or the peer's manners end; returns why.
async fn read_lines(shared: &Shared, mut handle: impl FnMut(&[u8]) -> Result<(), String>) -> String {
    let mut buffer: Vec<u8> = Vec::new();
    let mut scanned = 0;
    let mut pace = Pace::new();
    loop {
        if let Err(e) = shared.stream.readable().await {
            return format!("unable to read from monitor: {e}");
        }
        // A peer that always has more to say must not keep this thread from whoever waits for what it said.
        tokio::task::coop::consume_budget().await;
        let filled = buffer.len();
        buffer.resize(filled + READ_CHUNK, 0);
        let result = shared.stream.try_read(&mut buffer[filled..]);
        buffer.truncate(filled + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => return "End of file from qemu monitor".into(),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
            Err(e) => return format!("unable to read from monitor: {e}"),
        }
        let mut start = 0;
        let mut lines = 0;
        while let Some(end) = buffer[scanned..].iter().position(|b| *b == b'\n').map(|p| scanned + p) {
            let line = buffer[start..end].trim_ascii();
            if !line.is_empty()
                && let Err(reason) = handle(line)
            {
                return reason;
            }
            start = end + 1;
            scanned = start;
            lines += 1;
        }
        buffer.drain(..start);
        scanned = buffer.len();
        pace.after(lines).await;
        if buffer.len() > LINE_MAX {
            return format!("monitor line is longer than {LINE_MAX} bytes");
        }
        if buffer.is_empty() && buffer.capacity() > 4 * READ_CHUNK {
            buffer = Vec::new();
        }
    }
}

async fn write_loop(shared: Arc<Shared>, mut outgoing: mpsc::Receiver<Outgoing>) {
    while let Some(Outgoing { line, fds }) = outgoing.recv().await {
        if let Err(e) = write_line(&shared.stream, &line, &fds).await {
            // A dead peer's last words may still be unread: let the reader say what happened.
            tracing::debug!(error = %e, "monitor write failed");
            if e.kind() != io::ErrorKind::BrokenPipe && e.kind() != io::ErrorKind::ConnectionReset {
                close(&shared, format!("unable to write to monitor: {e}"));
            }
            return;
        }
    }
    // Every handle is gone.
    close(&shared, "monitor was closed".into());
}

async fn write_line(stream: &UnixStream, line: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let mut sent = 0;
    while sent < line.len() {
        stream.writable().await?;
        // The descriptors travel with the first byte.
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if sent == 0 && !raw.is_empty() { &rights[..] } else { &[] };
        let result = stream.try_io(Interest::WRITABLE, || {
            let rest = [IoSlice::new(&line[sent..])];
            sendmsg::<()>(stream.as_raw_fd(), &rest, control, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT, None)
                .map_err(io::Error::from)
        });
        match result {
            Ok(n) => sent += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
