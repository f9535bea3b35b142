//! The life of a daemon process, seen from outside: the test program starts itself as a small daemon.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::env;
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use daemon::{Context, Services, Spec};

const PROBE: &str = "VIRTD_TEST_PROBE";
const DEADLINE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    match env::var(PROBE).as_deref() {
        Ok("driver") => return daemon::run(Spec::driver("virttestd", "test", "a daemon for tests"), probe),
        Ok("broken") => {
            return daemon::run(Spec::driver("virttestd", "test", "a daemon for tests"), |_| async {
                Err(anyhow::anyhow!("nothing works"))
            });
        }
        Ok("helper") => return daemon::run(Spec::helper("virttestd", "a helper for tests"), probe),
        _ => {}
    }
    let cases: [(&str, fn()); 9] = [
        ("serves_on_its_own_sockets_until_told_to_end", serves_on_its_own_sockets_until_told_to_end),
        ("goes_to_the_background", goes_to_the_background),
        ("a_failed_driver_is_told_to_the_parent", a_failed_driver_is_told_to_the_parent),
        ("takes_the_sockets_it_is_given", takes_the_sockets_it_is_given),
        ("refuses_descriptors_it_does_not_know", refuses_descriptors_it_does_not_know),
        ("leaves_when_idle_and_not_before", leaves_when_idle_and_not_before),
        ("tells_the_service_manager", tells_the_service_manager),
        ("is_executed_anew_with_all_it_holds", is_executed_anew_with_all_it_holds),
        ("bad_configuration_is_named", bad_configuration_is_named),
    ];
    let filter = env::args().skip(1).find(|word| !word.starts_with('-'));
    for (name, case) in cases {
        if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            case();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// The driver of the small daemon: writes what it was given to a file.
async fn probe(context: Context) -> anyhow::Result<Services> {
    let mut names: Vec<String> = context.take_stored().into_iter().map(|(name, _)| name).collect();
    names.sort();
    fs::write(context.paths.run_dir.join("stored"), names.join(" "))?;
    let marker = context.paths.run_dir.join("reloaded");
    context.reload.on_reload(move || {
        let marker = marker.clone();
        async move { fs::write(marker, "yes").expect("the folder is there") }
    });
    Ok(Services::new().on_reexec(|| Ok(vec![("p1".to_owned(), host::descriptor::pipe()?.0)])))
}

struct Daemon {
    root: tempfile::TempDir,
    child: Option<Child>,
}

impl Daemon {
    fn command(root: &Path, kind: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(words).env(PROBE, kind).env("VIRTD_ROOT", root).stdin(Stdio::null());
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LIBVIRT_DEBUG", "LIBVIRT_LOG_OUTPUTS"] {
            command.env_remove(name);
        }
        command
    }

    fn start(kind: &str, words: &[&str]) -> Daemon {
        let root = tempfile::tempdir().unwrap();
        let child = Daemon::command(root.path(), kind, words).spawn().unwrap();
        let daemon = Daemon { root, child: Some(child) };
        daemon.connect();
        daemon
    }

    fn run(&self) -> PathBuf {
        self.root.path().join("run/libvirt")
    }

    fn socket(&self) -> PathBuf {
        self.run().join("virttestd-sock")
    }

    fn connect(&self) -> UnixStream {
        await_some("the daemon's socket", || UnixStream::connect(self.socket()).ok())
    }

    fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id() as i32
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    fn exit_status(mut self) -> (Option<i32>, tempfile::TempDir) {
        let mut child = self.child.take().unwrap();
        let status = await_some("the daemon's end", || child.try_wait().unwrap());
        let root = std::mem::replace(&mut self.root, tempfile::tempdir().unwrap());
        (status.code(), root)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn await_some<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "no sign of {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn privileged() -> bool {
    nix::unistd::geteuid().is_root()
}

fn pid_file(root: &Path) -> PathBuf {
    root.join(if privileged() { "run/virttestd.pid" } else { "run/libvirt/virttestd.pid" })
}

fn serves_on_its_own_sockets_until_told_to_end() {
    let daemon = Daemon::start("driver", &[]);
    let pid = await_some("the pid", || fs::read_to_string(pid_file(daemon.root.path())).ok().filter(|s| !s.is_empty()));
    assert_eq!(pid, daemon.pid().to_string());
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, if privileged() { 0o777 } else { 0o700 });
    assert_eq!(daemon.run().join("virttestd-sock-ro").exists(), privileged());
    let token = fs::read_to_string(daemon.run().join("common/system.token")).unwrap();
    assert_eq!(token.len(), 32);
    let second = Daemon::command(daemon.root.path(), "driver", &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "the pid file is held");
    assert!(String::from_utf8_lossy(&second.stderr).contains("Failed to acquire pid file"));
    daemon.connect();
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let (status, root) = daemon.exit_status();
    assert_eq!(status, Some(0));
    assert!(!pid_file(root.path()).exists());
    assert!(!root.path().join("run/libvirt/virttestd-sock").exists());
}

fn goes_to_the_background() {
    let root = tempfile::tempdir().unwrap();
    let status = Daemon::command(root.path(), "driver", &["-d", "-v"]).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let pid: i32 = fs::read_to_string(pid_file(root.path())).unwrap().parse().unwrap();
    let daemon = host::Pid::open(pid).unwrap();
    UnixStream::connect(root.path().join("run/libvirt/virttestd-sock")).unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    await_some("its end", || (!daemon.is_running()).then_some(()));
    let log =
        root.path().join(if privileged() { "var/log/libvirt/virttestd.log" } else { "cache/libvirt/virttestd.log" });
    assert!(fs::read_to_string(log).unwrap().contains("info : "), "the log of a daemon in the background is a file");
}

fn a_failed_driver_is_told_to_the_parent() {
    let root = tempfile::tempdir().unwrap();
    let status = Daemon::command(root.path(), "broken", &["-d"]).status().unwrap();
    assert_eq!(status.code(), Some(11));
    let foreground = Daemon::command(root.path(), "broken", &[]).output().unwrap();
    assert_eq!(foreground.status.code(), Some(11));
    let said = String::from_utf8_lossy(&foreground.stderr).into_owned();
    assert!(said.contains("Driver state initialization failed: nothing works"), "{said}");
    assert!(!pid_file(root.path()).exists());
}

/// Starts the probe as a service manager would: descriptors from 3 on, and the pid that is not known before.
fn activate(root: &Path, kind: &str, fds: Vec<(&str, OwnedFd)>) -> Child {
    let names: Vec<&str> = fds.iter().map(|(name, _)| *name).collect();
    for (_, fd) in &fds {
        host::descriptor::set_close_on_exec(fd, false).unwrap();
    }
    let script = "import os,sys\n\
                  fds=[os.dup(int(n)) for n in sys.argv[2].split()]\n\
                  fds=[__import__('fcntl').fcntl(n,0,100) for n in fds]\n\
                  for i,n in enumerate(fds): os.dup2(n,3+i)\n\
                  os.environ['LISTEN_PID']=str(os.getpid())\n\
                  os.execv(sys.argv[1],[sys.argv[1]])";
    let numbers: Vec<String> = fds.iter().map(|(_, fd)| fd.as_raw_fd().to_string()).collect();
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(env::current_exe().unwrap()).arg(numbers.join(" "));
    command.env(PROBE, kind).env("VIRTD_ROOT", root).env("LISTEN_FDS", fds.len().to_string());
    command.env("LISTEN_FDNAMES", names.join(":")).env_remove("NOTIFY_SOCKET").stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn listener(root: &Path, name: &str) -> OwnedFd {
    fs::create_dir_all(root.join("run/libvirt")).unwrap();
    UnixListener::bind(root.join("run/libvirt").join(name)).unwrap().into()
}

fn takes_the_sockets_it_is_given() {
    let root = tempfile::tempdir().unwrap();
    let fds = vec![
        ("virttestd.socket", listener(root.path(), "virttestd-sock")),
        ("p7", host::descriptor::pipe().unwrap().0),
        ("virttestd-admin.socket", listener(root.path(), "virttestd-admin-sock")),
    ];
    let child = activate(root.path(), "helper", fds);
    let daemon = Daemon { root, child: Some(child) };
    let stored = daemon.run().join("stored");
    let names = await_some("the driver", || fs::read_to_string(&stored).ok().filter(|text| !text.is_empty()));
    assert_eq!(names, "p7");
    let mut client = daemon.connect();
    daemon.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0, "clients are closed at the end");
    let (status, root) = daemon.exit_status();
    assert_eq!(status, Some(0));
    assert!(root.path().join("run/libvirt/virttestd-sock").exists(), "the manager's sockets stay");
    assert!(!root.path().join("run/libvirt/virttestd-sock-ro").exists());
}

fn refuses_descriptors_it_does_not_know() {
    for (name, kind) in [("virtother.socket", "driver"), ("p1", "driver"), ("virttestd-tls.socket", "driver")] {
        let root = tempfile::tempdir().unwrap();
        let output = activate(root.path(), kind, vec![(name, listener(root.path(), "x"))]).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{name}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(&format!("unexpected activation descriptor '{name}'"))
        );
    }
}

fn leaves_when_idle_and_not_before() {
    let daemon = Daemon::start("driver", &["--timeout", "1"]);
    let client = daemon.connect();
    std::thread::sleep(Duration::from_millis(1500));
    drop(daemon.connect());
    let left = Instant::now();
    drop(client);
    let (status, _root) = daemon.exit_status();
    assert_eq!(status, Some(0));
    assert!(left.elapsed() >= Duration::from_millis(900), "{:?}", left.elapsed());
}

fn tells_the_service_manager() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let child = Daemon::command(root.path(), "driver", &[]).env("NOTIFY_SOCKET", &path).spawn().unwrap();
    let daemon = Daemon { root, child: Some(child) };
    assert_eq!(hear(), "READY=1");
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear(), "READY=1");
    assert!(daemon.run().join("reloaded").exists(), "ready again only after the driver's reload");
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(daemon.exit_status().0, Some(0));
}

fn is_executed_anew_with_all_it_holds() {
    let daemon = Daemon::start("helper", &[]);
    let stored = daemon.run().join("stored");
    await_some("the driver", || fs::read_to_string(&stored).ok());
    for round in 0..3 {
        fs::remove_file(&stored).unwrap();
        daemon.signal(nix::sys::signal::Signal::SIGUSR1);
        let names = await_some("the new image", || fs::read_to_string(&stored).ok().filter(|text| !text.is_empty()));
        assert_eq!(names, "p1", "round {round}");
        daemon.connect();
    }
    let second = Daemon::command(daemon.root.path(), "helper", &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "the pid file is still held");
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let (status, root) = daemon.exit_status();
    assert_eq!(status, Some(0));
    assert!(!root.path().join("run/libvirt/virttestd-sock").exists(), "its own socket is removed in the end");
    assert!(!pid_file(root.path()).exists());
}

fn bad_configuration_is_named() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("bad.conf");
    fs::write(&config, "max_clients = \"many\"\n").unwrap();
    let refused = |words: &[&str]| {
        let output = Daemon::command(root.path(), "driver", words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(&["-f", config.to_str().unwrap()]);
    assert!(said.contains("expected an unsigned integer for 'max_clients' parameter"), "{said}");
    let said = refused(&["-f", "/nonexistent.conf"]);
    assert!(said.contains("Failed to open file '/nonexistent.conf': No such file or directory"), "{said}");
    let said = refused(&["--bogus"]);
    assert!(said.contains("unrecognized option '--bogus'"), "{said}");
}
