//! A process named so that it cannot be mistaken for another: pid, start time and pidfd.
//!
//! Numbers of processes are reused; a pidfd is not. Whoever remembers a process over a restart keeps pid and start
//! time, and opens it again with [`Pid::open_verified`], which refuses a stranger that got the same number.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus};
use tokio::io::Interest;

use crate::descriptor;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Status(i32),
    /// A signal with this number ended it.
    Signal(i32),
}

/// One process of the host. Cheap to clone; all clones share the pidfd.
#[derive(Clone, Debug)]
pub struct Pid {
    number: i32,
    start_time: u64,
    pidfd: Arc<OwnedFd>,
}

impl Pid {
    /// Opens the process that has this number now.
    ///
    /// # Errors
    /// `ESRCH` when there is none (a zombie still counts as one).
    pub fn open(number: i32) -> io::Result<Pid> {
        let pidfd = pidfd_open(number)?;
        // Read after the pidfd is held: if the number changed hands in between, the first owner is dead, which the
        // check below sees, so the time belongs to the process of the pidfd.
        let start_time = start_time(number)?;
        let pid = Pid { number, start_time, pidfd: Arc::new(pidfd) };
        pid.probe()?;
        Ok(pid)
    }

    /// Opens the process with this number only if it was started at `start_time` (clock ticks since boot).
    ///
    /// # Errors
    /// `ESRCH` when the process is gone or the number belongs to another one now.
    pub fn open_verified(number: i32, start_time: u64) -> io::Result<Pid> {
        let pid = Pid::open(number)?;
        if pid.start_time == start_time { Ok(pid) } else { Err(gone()) }
    }

    /// The calling process.
    pub fn current() -> io::Result<Pid> {
        Pid::open(nix::unistd::getpid().as_raw())
    }

    /// A process by a pidfd that was received or kept by the service manager.
    ///
    /// # Errors
    /// `ESRCH` when the process has been reaped; `EINVAL` when the descriptor is no pidfd.
    pub fn from_pidfd(pidfd: OwnedFd) -> io::Result<Pid> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
        let number: i32 = info
            .lines()
            .find_map(|line| line.strip_prefix("Pid:"))
            .and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        if number <= 0 {
            return Err(gone());
        }
        let start_time = start_time(number)?;
        let pid = Pid { number, start_time, pidfd: Arc::new(pidfd) };
        pid.probe()?;
        Ok(pid)
    }

    /// The process's number.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// When it was started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// Whether it still runs. A zombie does not.
    pub fn is_running(&self) -> bool {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        // A pidfd becomes readable when its process ends; an error says nothing, so the process counts as running.
        !matches!(nix::poll::poll(&mut fds, PollTimeout::ZERO), Ok(ready) if ready > 0)
    }

    /// Sends a signal to this process and to no other.
    ///
    /// # Errors
    /// `ESRCH` when it has been reaped, `EPERM` when it is not ours to signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.send(signal as i32)
    }

    /// Waits until the process has ended. Needs a tokio runtime; any number of tasks may wait at once.
    pub async fn exited(&self) -> io::Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        // A copy, because one descriptor can be registered with a runtime only once.
        let copy = descriptor::watch(self.pidfd.try_clone()?, Interest::READABLE)?;
        loop {
            let mut ready = copy.readable().await?;
            if !self.is_running() {
                return Ok(());
            }
            ready.clear_ready();
        }
    }

    /// Reaps this process, which must be a child of ours, if it has ended; `None` while it runs.
    ///
    /// # Errors
    /// `ECHILD` when it is not our child or was reaped before.
    pub fn try_reap(&self) -> io::Result<Option<Exit>> {
        self.wait(WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)
    }

    /// Waits for this child to end and reaps it. Needs a tokio runtime.
    pub async fn reap(&self) -> io::Result<Exit> {
        self.exited().await?;
        Ok(self.wait(WaitPidFlag::WEXITED)?.expect("a wait without WNOHANG returns a status"))
    }

    /// As [`Pid::reap`], by blocking the thread.
    pub fn reap_blocking(&self) -> io::Result<Exit> {
        Ok(self.wait(WaitPidFlag::WEXITED)?.expect("a wait without WNOHANG returns a status"))
    }

    fn wait(&self, flags: WaitPidFlag) -> io::Result<Option<Exit>> {
        loop {
            return match nix::sys::wait::waitid(Id::PIDFd(self.pidfd.as_fd()), flags) {
                Ok(WaitStatus::Exited(_, status)) => Ok(Some(Exit::Status(status))),
                Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Exit::Signal(signal as i32))),
                Ok(_) => Ok(None),
                Err(nix::Error::EINTR) => continue,
                Err(errno) => Err(errno.into()),
            };
        }
    }

    /// Fails when the process has been reaped since the pidfd was opened.
    fn probe(&self) -> io::Result<()> {
        match self.send(0) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Err(e),
            // EPERM: it exists, under another account.
            _ => Ok(()),
        }
    }

    fn send(&self, signal: i32) -> io::Result<()> {
        // SAFETY: plain system call; the descriptor is open, the info pointer may be null.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Pid {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl PartialEq for Pid {
    fn eq(&self, other: &Pid) -> bool {
        self.number == other.number && self.start_time == other.start_time
    }
}

impl Eq for Pid {}

/// When the process with this number was started, in clock ticks since boot.
///
/// # Errors
/// `ESRCH` when there is no such process.
pub fn start_time(number: i32) -> io::Result<u64> {
    let stat = match fs::read(format!("/proc/{number}/stat")) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(gone()),
        Err(e) => return Err(e),
    };
    parse_start_time(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Field 22 of `/proc/PID/stat`. The name in field 2 may hold blanks and brackets, so count from the last bracket.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|&b| b == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn pidfd_open(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call without pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        // Linux says EINVAL for numbers that cannot name a process.
        return if number <= 0 { Err(gone()) } else { Err(error) };
    }
    // SAFETY: the call made this descriptor for us alone; the kernel sets close-on-exec on it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn start_time_is_found_behind_any_name() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        for name in ["cat", "a b", "evil) S 9 9", ")("] {
            assert_eq!(parse_start_time(format!("17 ({name}) {tail}").as_bytes()), Some(4242), "{name}");
        }
        assert_eq!(parse_start_time(b"17 (cat) S 1 2"), None);
        assert_eq!(parse_start_time(b""), None);
    }

    #[tokio::test]
    #[allow(clippy::zombie_processes, reason = "reaping by pidfd is what is tested")]
    async fn a_child_is_watched_signalled_and_reaped() {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::open(child.id() as i32).unwrap();
        assert!(pid.is_running());
        assert_eq!(pid.try_reap().unwrap(), None);
        assert!(Pid::open_verified(pid.number(), pid.start_time()).unwrap() == pid);
        let wrong = Pid::open_verified(pid.number(), pid.start_time() + 1).unwrap_err();
        assert_eq!(wrong.raw_os_error(), Some(libc::ESRCH));
        let (waiter, other) = (pid.clone(), pid.clone());
        let waiting = tokio::spawn(async move { waiter.exited().await });
        let too = tokio::spawn(async move { other.exited().await });
        pid.signal(Signal::SIGKILL).unwrap();
        waiting.await.unwrap().unwrap();
        too.await.unwrap().unwrap();
        assert!(!pid.is_running());
        assert_eq!(pid.reap().await.unwrap(), Exit::Signal(9));
        assert_eq!(pid.signal(Signal::SIGTERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        assert_eq!(Pid::open(pid.number()).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_pidfd_leads_back_to_its_process() {
        let me = Pid::current().unwrap();
        let copy = me.as_fd().try_clone_to_owned().unwrap();
        assert!(Pid::from_pidfd(copy).unwrap() == me);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Pid::from_pidfd(file.into()).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(Pid::open(0).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        assert_eq!(Pid::open(-1).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
