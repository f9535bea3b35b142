//! A service manager for one daemon: its listening socket, its readiness, and the store for its descriptors, as systemd
//! gives them. The daemon can be killed at any instant and started again with what it stored.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;

/// Descriptors on their way to a daemon are open without close-on-exec for a moment: one start at a time.
static STARTING: Mutex<()> = Mutex::new(());
/// Where those descriptors are meanwhile.
const ABOVE: i32 = 500;
/// Longest wait for readiness.
const READY: Duration = Duration::from_secs(20);
/// Puts the descriptors at 3 and up and becomes the daemon. Arguments: their numbers, "--", the program.
const SCRIPT: &str = r#"
to=3
while [ "$1" != -- ]; do eval "exec $to<&$1 $1<&-"; to=$((to + 1)); shift; done
shift
LISTEN_PID=$$ exec "$@"
"#;

type Store = Arc<Mutex<Vec<(String, OwnedFd)>>>;

/// The manager of one daemon.
pub struct Manager {
    program: PathBuf,
    name: String,
    root: PathBuf,
    arguments: Vec<String>,
    listener: Option<UnixListener>,
    notify: Option<PathBuf>,
    ready: Receiver<()>,
    synced: Receiver<()>,
    store: Store,
    child: Option<Child>,
}

impl Manager {
    /// Listens at the daemon's socket below `root`, and keeps descriptors for it.
    pub fn new(program: &str, name: &str, root: &Path) -> io::Result<Manager> {
        let mut manager = Manager::bare(program, name, root)?;
        std::fs::create_dir_all(root.join("run/libvirt"))?;
        manager.listener = Some(UnixListener::bind(manager.socket())?);
        let path = root.join(format!("{name}.notify"));
        let socket = UnixDatagram::bind(&path)?;
        let (ready, synced) = (channel(), channel());
        let store = manager.store.clone();
        std::thread::spawn(move || listen(&socket, &store, &ready.0, &synced.0));
        manager.notify = Some(path);
        (manager.ready, manager.synced) = (ready.1, synced.1);
        Ok(manager)
    }

    /// Only starts the daemon, which makes its own socket; nothing is kept.
    pub fn bare(program: &str, name: &str, root: &Path) -> io::Result<Manager> {
        let ((_, ready), (_, synced)) = (channel(), channel());
        Ok(Manager {
            program: program.into(),
            name: name.to_owned(),
            root: root.to_owned(),
            arguments: Vec::new(),
            listener: None,
            notify: None,
            ready,
            synced,
            store: Store::default(),
            child: None,
        })
    }

    /// Adds an argument for the daemon.
    pub fn argument(mut self, word: &str) -> Manager {
        self.arguments.push(word.to_owned());
        self
    }

    /// The daemon's main socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join(format!("run/libvirt/{}-sock", self.name))
    }

    /// Starts the daemon with everything it stored, and waits until it serves.
    pub fn start(&mut self) -> io::Result<()> {
        assert!(self.child.is_none(), "it runs");
        self.sync();
        let mut command = Command::new("bash");
        command.args(["-c", SCRIPT, "manager"]);
        command.env("VIRTD_ROOT", &self.root).env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        let starting = starting();
        let mut moved = Vec::new();
        if let (Some(listener), Some(notify)) = (&self.listener, &self.notify) {
            let store = lock(&self.store);
            let mut names = vec![format!("{}.socket", self.name)];
            moved.push(inheritable(listener)?);
            for (name, fd) in store.iter() {
                names.push(name.clone());
                moved.push(inheritable(fd)?);
            }
            command.args(moved.iter().map(|fd| fd.as_raw_fd().to_string()));
            command.env("LISTEN_FDS", moved.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
            command.env("NOTIFY_SOCKET", notify);
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        let child = command.spawn();
        drop(moved);
        drop(starting);
        self.child = Some(child?);
        self.wait_ready()
    }

    /// Returns when everything that the daemon has sent up to now is in the store.
    fn sync(&self) {
        if let Some(path) = &self.notify {
            let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"SYNC=1", path));
            sent.expect("our own socket");
            self.synced.recv_timeout(READY).expect("our own thread");
        }
    }

    fn wait_ready(&mut self) -> io::Result<()> {
        if self.notify.is_some() {
            return self.ready.recv_timeout(READY).map_err(io::Error::other);
        }
        let end = Instant::now() + READY;
        while UnixStream::connect(self.socket()).is_err() {
            if Instant::now() > end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The running daemon's pid.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// SIGKILL, now.
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait().map(drop)
    }

    /// SIGTERM; returns its exit status.
    pub fn terminate(&mut self) -> io::Result<std::process::ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait()
    }

    fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        let status = self.child.as_mut().expect("it runs").wait();
        self.child = None;
        status
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        host::Pid::open(self.pid() as i32)?.signal(signal)
    }

    /// SIGUSR1, and waits until the new image serves.
    pub fn reexec(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGUSR1)?;
        if self.notify.is_some() { self.wait_ready() } else { Ok(()) }
    }

    /// The names of what is in the store.
    pub fn stored(&self) -> Vec<String> {
        self.sync();
        let mut names: Vec<String> = lock(&self.store).iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// Drops what is in the store, as a crash without it would.
    pub fn empty_store(&self) {
        lock(&self.store).clear();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts any other program of a test that uses a [`Manager`]: never while descriptors are on their way to a daemon.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _starting = starting();
    command.spawn()
}

fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy far up that a child inherits.
fn inheritable(fd: &impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD(ABOVE))?;
    let copy = host::descriptor::claim(number)?;
    host::descriptor::set_close_on_exec(&copy, false)?;
    Ok(copy)
}

/// Takes the daemon's messages until the end of the test.
fn listen(socket: &UnixDatagram, store: &Store, ready: &Sender<()>, synced: &Sender<()>) {
    let mut buffer = [0; 4096];
    while let Ok((length, fds)) = host::socket::receive_with(socket, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let name = field("FDNAME").unwrap_or("stored").to_owned();
        if field("FDSTORE") == Some("1") {
            lock(store).extend(fds.into_iter().map(|fd| (name.clone(), fd)));
        } else if field("FDSTOREREMOVE") == Some("1") {
            lock(store).retain(|(stored, _)| *stored != name);
        } else {
            let told = if field("READY") == Some("1") {
                ready.send(())
            } else if field("SYNC") == Some("1") {
                synced.send(())
            } else {
                Ok(())
            };
            if told.is_err() {
                return;
            }
        }
    }
}

fn lock(store: &Store) -> MutexGuard<'_, Vec<(String, OwnedFd)>> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
