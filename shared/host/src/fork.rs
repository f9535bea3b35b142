//! Fork of a single-threaded process: going to the background, children between fork and exec, exec over oneself.
//!
//! Forking a process with threads leaves locks held for ever in the child, so every function here first makes sure
//! that there is one thread. Daemons go to the background before their runtime starts; the launcher never has one.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;
use nix::unistd::ForkResult;

use crate::descriptor;
use crate::process::Pid;
use crate::system::single_threaded;

/// The pipe on which a daemon in the background tells its parent how the start went.
#[derive(Debug)]
pub struct StatusPipe(File);

impl StatusPipe {
    /// Ends the waiting parent with this exit status; 0 = ready.
    pub fn report(mut self, status: u8) {
        // The parent may have been killed meanwhile; then nobody wants to know.
        let _ = self.0.write_all(&[status]);
    }
}

/// Goes to the background: the parent waits for the status byte and exits with it, the child (a new session without a
/// terminal, standard streams on /dev/null, working directory /) returns.
///
/// # Errors
/// When a system call fails, or the process already has threads.
pub fn daemonize() -> io::Result<StatusPipe> {
    let (read, write) = descriptor::pipe()?;
    if let Some(child) = fork()? {
        drop(write);
        std::process::exit(await_status(read, &child));
    }
    drop(read);
    nix::unistd::setsid()?;
    // A second fork: a session leader could get a controlling terminal by opening one.
    if fork()?.is_some() {
        std::process::exit(0);
    }
    nix::unistd::chdir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for number in 0..=2 {
        descriptor::place(&null, number)?;
    }
    Ok(StatusPipe(File::from(write)))
}

fn await_status(read: OwnedFd, child: &Pid) -> i32 {
    let _ = child.reap_blocking();
    let mut status = [1u8];
    match File::from(read).read(&mut status) {
        Ok(1) => i32::from(status[0]),
        // It died before it could say anything.
        _ => 1,
    }
}

/// Forks. `Some(child)` in the parent, `None` in the child.
///
/// # Errors
/// `EBUSY` when the process has more than one thread.
pub fn fork() -> io::Result<Option<Pid>> {
    if !single_threaded() {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the process has one thread, so the child's memory is as consistent as the parent's.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Pid::open(child.as_raw()).map(Some),
        ForkResult::Child => Ok(None),
    }
}

/// Replaces this process by `program` with exactly these arguments (the first is its own name) and environment.
/// Returns only when that fails. Descriptors without close-on-exec stay open, locks of the process stay held.
pub fn execute(program: &Path, arguments: &[CString], environment: &[CString]) -> io::Error {
    let program = match CString::new(program.as_os_str().as_bytes()) {
        Ok(program) => program,
        Err(_) => return io::ErrorKind::InvalidInput.into(),
    };
    match nix::unistd::execve(&program, arguments, environment) {
        Ok(never) => match never as Infallible {},
        Err(errno) => errno.into(),
    }
}

/// Puts the signal handling of a program that is about to be executed back to how every program expects it: nothing
/// blocked, nothing ignored (Rust ignores SIGPIPE, and that would be inherited).
pub fn reset_signals() -> io::Result<()> {
    for number in 1..=64 {
        if number == libc::SIGKILL || number == libc::SIGSTOP {
            continue;
        }
        // SAFETY: sets the default action. Numbers that glibc keeps for itself (32, 33) fail without harm.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Ends this process at once: no destructors, no exit handlers. For a forked child whose exec failed.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process; nothing can be observed afterwards.
    unsafe { libc::_exit(status) }
}
