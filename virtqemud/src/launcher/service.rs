//! The launcher's process: requests in, forks out, the dead reaped.

use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use host::{Pid, descriptor, fork, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::child;
use super::message::{LaunchSpec, SPEC_LEN_MAX};

/// First argument of the process that is the launcher; its standard input is the control socket.
pub const ARGUMENT: &str = "--launcher";

/// Runs until the daemon's end of the control socket closes. Guests live on.
pub fn serve() -> ExitCode {
    match adopt_control().and_then(|control| serve_on(&control)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("launcher: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Moves the control socket away from descriptor 0 and leaves /dev/null there.
fn adopt_control() -> io::Result<UnixStream> {
    let control = descriptor::duplicate(descriptor::standard(0))?;
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    descriptor::place(&null, 0)?;
    descriptor::place(&null, 1)?;
    // A terminal's hang-up or Ctrl-C is the daemon's business; we end when it does.
    nix::unistd::setsid()?;
    nix::sys::prctl::set_name(c"virt-launcher")?;
    Ok(UnixStream::from(control))
}

fn serve_on(control: &UnixStream) -> io::Result<()> {
    let mut children: Vec<Pid> = Vec::new();
    loop {
        if !wait(control, &mut children)? {
            continue;
        }
        let Some((spec, fds)) = receive(control)? else { return Ok(()) };
        let (reply, pidfd) = match start(spec, fds) {
            Ok(child) => {
                let reply = child.number();
                let pidfd = child.as_fd().try_clone_to_owned()?;
                children.push(child);
                (reply, Some(pidfd))
            }
            Err(e) => (-e.raw_os_error().unwrap_or(nix::libc::EIO), None),
        };
        let fds: Vec<_> = pidfd.iter().map(AsFd::as_fd).collect();
        socket::send_with(control, &[IoSlice::new(&reply.to_le_bytes())], &fds)?;
    }
}

/// Waits for a request (true) or reaps whoever ended (false).
fn wait(control: &UnixStream, children: &mut Vec<Pid>) -> io::Result<bool> {
    let mut watched = vec![PollFd::new(control.as_fd(), PollFlags::POLLIN)];
    watched.extend(children.iter().map(|child| PollFd::new(child.as_fd(), PollFlags::POLLIN)));
    match poll(&mut watched, PollTimeout::NONE) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(e) => return Err(e.into()),
    }
    let requested = watched[0].any().unwrap_or(false);
    drop(watched);
    // An error means somebody else reaped it: either way it is gone.
    children.retain(|child| matches!(child.try_reap(), Ok(None)));
    Ok(requested)
}

/// One request: length, then JSON; the descriptors come with the length. None when the daemon is gone.
fn receive(mut control: &UnixStream) -> io::Result<Option<(LaunchSpec, Vec<OwnedFd>)>> {
    let mut length = [0u8; 4];
    let (got, fds) = socket::receive_with(control, &mut length)?;
    if got == 0 {
        return Ok(None);
    }
    control.read_exact(&mut length[got..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > SPEC_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "request is too long"));
    }
    let mut text = vec![0; length];
    control.read_exact(&mut text)?;
    let spec = serde_json::from_slice(&text)?;
    Ok(Some((spec, fds)))
}

fn start(spec: LaunchSpec, fds: Vec<OwnedFd>) -> io::Result<Pid> {
    match fork::fork()? {
        Some(child) => Ok(child),
        None => child::run(spec, fds),
    }
}
