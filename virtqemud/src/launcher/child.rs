//! From fork to exec: register and lock, wait for "go", become the guest's account, execute.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use error::{Code, Domain};
use host::{descriptor, fork};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource as Rlimit, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

use super::message::{FromChild, GO, LaunchSpec, Lease, Limit, User};

/// Exit status when a step before exec failed; the daemon has the reason from the gate.
const STATUS_REFUSED: i32 = 125;

/// The child's whole life before exec. The first descriptor is the gate, the others are the guest's.
pub(super) fn run(spec: LaunchSpec, fds: Vec<OwnedFd>) -> ! {
    let Some((gate, fds)) = split_gate(&spec, fds) else { fork::exit_now(STATUS_REFUSED) };
    let failure = match prepare(spec, fds, &gate) {
        Ok(never) => match never {},
        Err(Failure::Abandoned) => fork::exit_now(STATUS_REFUSED),
        Err(Failure::Refused(e)) => e,
    };
    say(&gate, &FromChild::Refused(failure.into()));
    fork::exit_now(STATUS_REFUSED)
}

enum Failure {
    /// The daemon closed the gate: nobody wants this guest any more.
    Abandoned,
    Refused(error::Error),
}

impl From<error::Error> for Failure {
    fn from(e: error::Error) -> Failure {
        Failure::Refused(e)
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> error::Error {
    move |e| error::Error::system(Domain::Qemu, &e, what)
}

/// Everything of ours goes above the numbers that the program will get.
fn split_gate(spec: &LaunchSpec, fds: Vec<OwnedFd>) -> Option<(UnixStream, Vec<(OwnedFd, RawFd)>)> {
    let floor = floor(spec);
    let mut moved = fds.into_iter().map(|fd| above(fd, floor));
    let gate = moved.next()?.ok()?;
    let rest = moved.collect::<io::Result<Vec<_>>>().ok()?;
    if rest.len() != spec.fds.len() {
        return None;
    }
    Some((UnixStream::from(gate), rest.into_iter().zip(spec.fds.iter().copied()).collect()))
}

fn floor(spec: &LaunchSpec) -> RawFd {
    spec.fds.iter().max().copied().unwrap_or(2).max(2) + 1
}

fn above(fd: OwnedFd, floor: RawFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= floor {
        return Ok(fd);
    }
    descriptor::claim(fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(floor))?)
}

fn prepare(
    spec: LaunchSpec,
    fds: Vec<(OwnedFd, RawFd)>,
    gate: &UnixStream,
) -> Result<std::convert::Infallible, Failure> {
    nix::unistd::setsid().map_err(io::Error::from).map_err(system("cannot start a new session"))?;
    fork::reset_signals().map_err(system("cannot reset signals"))?;
    let lease = match &spec.lease {
        Some(lease) => Some(above(acquire(lease)?, floor(&spec)).map_err(system("cannot move a descriptor"))?),
        None => None,
    };
    say(gate, &FromChild::Ready);
    if !allowed(gate) {
        return Err(Failure::Abandoned);
    }
    for limit in &spec.limits {
        set_limit(*limit)?;
    }
    nix::unistd::chdir(&spec.directory).map_err(io::Error::from).map_err(system("cannot change directory"))?;
    // Group write stays: what QEMU creates (sockets, dumps) may be shared with its group, as in libvirt.
    umask(Mode::from_bits_truncate(0o002));
    if let Some(user) = &spec.user {
        become_user(user)?;
    }
    let argv = strings(spec.argv)?;
    let env = strings(spec.env.into_iter().map(|(key, value)| format!("{key}={value}")).collect())?;
    place(fds, lease.as_ref()).map_err(system("cannot place descriptors"))?;
    let e = fork::execute(&spec.program, &argv, &env);
    let text = format!("Cannot execute {}", spec.program.display());
    Err(error::Error::system(Domain::Qemu, &e, &text).into())
}

/// Registers this process with the lock daemon and takes its locks; the connection is the lease.
fn acquire(lease: &Lease) -> error::Result<OwnedFd> {
    super::lease::acquire(lease, nix::unistd::getpid().as_raw())
}

fn allowed(mut gate: &UnixStream) -> bool {
    let mut word = [0];
    matches!(gate.read(&mut word), Ok(1)) && word[0] == GO
}

fn say(mut gate: &UnixStream, message: &FromChild) {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    // A daemon that is gone reads nothing; the missing "go" ends us.
    let _ = gate.write_all(&line);
}

fn set_limit(limit: Limit) -> error::Result<()> {
    let (resource, value, what) = match limit {
        Limit::LockedMemory(v) => (Rlimit::RLIMIT_MEMLOCK, v, "cannot limit locked memory"),
        Limit::OpenFiles(v) => (Rlimit::RLIMIT_NOFILE, v, "cannot limit number of open files"),
        Limit::Processes(v) => (Rlimit::RLIMIT_NPROC, v, "cannot limit number of subprocesses"),
        Limit::Core(v) => (Rlimit::RLIMIT_CORE, v, "cannot limit core file size"),
    };
    match setrlimit(resource, value, value) {
        Ok(()) => Ok(()),
        // Without privileges a value up to the present hard limit is all that can be had.
        Err(nix::Error::EPERM) if getrlimit(resource).is_ok_and(|(_, hard)| hard >= value) => Ok(()),
        Err(e) => Err(system(what)(e.into())),
    }
}

fn become_user(user: &User) -> error::Result<()> {
    let account = host::account::Account { uid: user.uid, gid: user.gid, groups: user.groups.clone() };
    host::privilege::become_account(&account).map_err(system("cannot change to the guest's account"))
}

fn strings(texts: Vec<String>) -> error::Result<Vec<CString>> {
    let made = texts.into_iter().map(CString::new).collect::<Result<_, _>>();
    made.map_err(|_| error::Error::new(Domain::Qemu, Code::InternalError, "NUL in the guest's arguments"))
}

/// Descriptors at their numbers; all else closes on exec but the lease.
fn place(fds: Vec<(OwnedFd, RawFd)>, lease: Option<&OwnedFd>) -> io::Result<()> {
    descriptor::close_on_exec_from(3)?;
    for (fd, number) in &fds {
        descriptor::place(fd, *number)?;
    }
    if let Some(lease) = lease {
        descriptor::set_close_on_exec(lease, false)?;
    }
    Ok(())
}
