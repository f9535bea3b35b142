//! A daemon of its own for each test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long the daemon may take until it answers.
const START: Duration = Duration::from_secs(20);

/// Whether `program` is there; says so when it is not, and fails when everything is required.
pub fn has(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|o| o.status.success());
    if !found {
        assert!(std::env::var("REQUIRE").as_deref() != Ok("all"), "needs {program}");
        println!("skipped: needs {program}");
    }
    found
}

/// A running daemon, its root and a folder for pools.
pub struct Daemon {
    dir: TempDir,
    child: Child,
}

impl Daemon {
    /// Starts one; `None` when virsh or qemu-img lacks.
    pub fn start() -> Option<Daemon> {
        Self::start_under("exec")
    }

    /// Starts one by the shell words `wrapper` before its path; `$LOG.trace` is a file for them.
    pub fn start_under(wrapper: &str) -> Option<Daemon> {
        if !has("virsh") || !has("qemu-img") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pools")).unwrap();
        let child = spawn(dir.path(), wrapper);
        let daemon = Daemon { dir, child };
        daemon.wait();
        Some(daemon)
    }

    /// What the wrapper wrote.
    pub fn trace(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log.trace")).unwrap()
    }

    fn wait(&self) {
        let start = Instant::now();
        while !self.run(&["uri"]).status.success() {
            assert!(start.elapsed() < START, "the daemon does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the daemon wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Kills the daemon without warning and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(self.dir.path(), "exec");
        self.wait();
    }

    /// A file below the root.
    pub fn root(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    /// Where definitions are.
    pub fn config_folder(&self) -> PathBuf {
        self.root(if nix::unistd::geteuid().is_root() { "etc/libvirt/storage" } else { "config/libvirt/storage" })
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        host::Pid::open(self.child.id() as i32).unwrap().signal(signal).unwrap();
    }

    /// A path for pools and files of the test.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join("pools").join(name).to_str().unwrap().to_owned()
    }

    /// The URI of the daemon.
    pub fn uri(&self) -> String {
        let kind = if nix::unistd::geteuid().is_root() { "system" } else { "session" };
        let socket = self.root("run/libvirt/virtstoraged-sock");
        format!("storage:///{kind}?socket={}&mode=direct", socket.display())
    }

    /// A virsh command that has not been started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("virsh");
        command.args(["-q", "-c", &self.uri()]).args(arguments).env("LC_ALL", "C");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs virsh; its output.
    pub fn virsh(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "virsh {arguments:?}: {error}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs virsh, which must fail; its last error line without "error: ".
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "virsh {arguments:?} succeeded: {}", String::from_utf8_lossy(&output.stdout));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = error.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    }

    /// Makes a started directory pool `name`; its path.
    pub fn pool(&self, name: &str) -> String {
        let path = self.path(name);
        self.virsh(&["pool-define-as", name, "dir", "--target", &path]);
        self.virsh(&["pool-build", name]);
        self.virsh(&["pool-start", name]);
        path
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path, wrapper: &str) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    // a careless umask must not show in any file
    Command::new("sh")
        .args(["-c", &format!("umask 000; {wrapper} \"$0\""), env!("CARGO_BIN_EXE_virtstoraged")])
        .env("LOG", dir.join("log"))
        .env("VIRTD_ROOT", dir.join("root"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The words of a table's rows, sorted.
pub fn first_words(table: &str) -> Vec<String> {
    let mut words: Vec<String> =
        table.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    words.sort();
    words
}
