//! Messages on UNIX sockets that carry descriptors, and who is at the other end.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg, sockopt};

/// Most descriptors that one message carries here (the kernel's own limit is 253).
pub const DESCRIPTORS_MAX: usize = 253;

/// Who connected, as the kernel recorded it at connect time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The credentials of the process at the other end of a UNIX socket.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<PeerCredentials> {
    let peer = getsockopt(&socket, sockopt::PeerCredentials)?;
    Ok(PeerCredentials { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() })
}

/// The SELinux or AppArmor label of the peer; `None` where the kernel has no such labels.
pub fn peer_security(socket: impl AsFd) -> Option<String> {
    let mut label = vec![0u8; 512];
    let mut length = label.len() as libc::socklen_t;
    // SAFETY: the buffer is valid for `length` bytes and the kernel writes at most that many.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERSEC,
            label.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if rc != 0 {
        return None;
    }
    label.truncate(length as usize);
    while label.last() == Some(&0) {
        label.pop();
    }
    String::from_utf8(label).ok().filter(|text| !text.is_empty())
}

/// Sends bytes with descriptors in one message; returns how many bytes went out. The descriptors travel with the first
/// byte, so there must be at least one. Never raises `SIGPIPE`.
pub fn send_with(socket: impl AsFd, bytes: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    Ok(sendmsg::<()>(socket.as_fd().as_raw_fd(), bytes, control, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Receives bytes and the descriptors that came with them, close-on-exec. 0 bytes: the peer has closed.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the kernel had to drop descriptors (limit of open files reached).
pub fn receive_with(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = cmsg_space!([RawFd; DESCRIPTORS_MAX]);
    let mut parts = [IoSliceMut::new(buffer)];
    let raw_socket = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(raw_socket, &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            // SAFETY: the kernel made these descriptors for us with this very message; nobody else owns them.
            fds.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors were lost on the way"));
    }
    Ok((message.bytes, fds))
}

/// Room for one control message with [`DESCRIPTORS_MAX`] descriptors; the kernel aligns its records to words.
#[repr(align(16))]
struct Control([u8; 1040]);

/// As [`receive_with`], but never blocks and allocates nothing unless descriptors arrive: for hot paths. Descriptors that
/// the kernel had to drop (limit of open files) are missing without an error; the protocol above counts them.
pub fn receive_into(socket: impl AsFd, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut control = Control([0; 1040]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let bytes = recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut parts, Some(&mut control.0), flags)?.bytes;
    for number in rights(&control.0) {
        // SAFETY: the kernel made this descriptor for us with this very message; nobody else owns it.
        fds.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    Ok(bytes)
}

/// The descriptor numbers in a control buffer that was all zero before the call. Walked by hand, because nix gives up on
/// a record that was cut short and would leak the descriptors that did arrive.
fn rights(control: &[u8]) -> impl Iterator<Item = RawFd> + '_ {
    const HEADER: usize = mem::size_of::<libc::cmsghdr>();
    let word = |at: usize| i32::from_ne_bytes([control[at], control[at + 1], control[at + 2], control[at + 3]]);
    let length = usize::from_ne_bytes(*control.first_chunk().expect("the buffer holds a header"));
    let ours = word(HEADER - 8) == libc::SOL_SOCKET && word(HEADER - 4) == libc::SCM_RIGHTS;
    let end = if ours { length.min(control.len()) } else { 0 };
    (HEADER..end.saturating_sub(3).max(HEADER)).step_by(4).map(word)
}

/// What kind of descriptor the service manager gave us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// A UNIX stream socket that listens.
    Unix,
    /// A TCP socket that listens.
    Tcp,
}

/// Whether the descriptor is a listening stream socket, and of which family.
pub fn listening(fd: impl AsFd) -> Option<Listening> {
    let fd = fd.as_fd();
    if !getsockopt(&fd, sockopt::AcceptConn).unwrap_or(false) {
        return None;
    }
    match option(fd, libc::SO_DOMAIN)? {
        libc::AF_UNIX => Some(Listening::Unix),
        libc::AF_INET | libc::AF_INET6 => Some(Listening::Tcp),
        _ => None,
    }
}

fn option(fd: BorrowedFd<'_>, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: pointer and length describe one int on our stack.
    let rc = unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut length) };
    (rc == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn descriptors_travel_with_bytes() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut read, write) = std::io::pipe().unwrap();
        let sent = send_with(&a, &[IoSlice::new(b"he"), IoSlice::new(b"y")], &[write.as_fd(), a.as_fd()]).unwrap();
        drop(write);
        assert_eq!(sent, 3);
        let mut buffer = [0; 16];
        let (got, fds) = receive_with(&b, &mut buffer).unwrap();
        assert_eq!((&buffer[..got], fds.len()), (&b"hey"[..], 2));
        drop(fds);
        let mut rest = Vec::new();
        assert_eq!(read.read_to_end(&mut rest).unwrap(), 0, "every copy of the write end is closed");
        drop(a);
        assert_eq!(receive_with(&b, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn descriptors_arrive_without_allocation() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut fds = Vec::new();
        let mut buffer = [0; 16];
        assert_eq!(receive_into(&b, &mut buffer, &mut fds).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        send_with(&a, &[IoSlice::new(b"plain")], &[]).unwrap();
        assert_eq!((receive_into(&b, &mut buffer, &mut fds).unwrap(), fds.len()), (5, 0));
        let many: Vec<_> = std::iter::repeat_n(a.as_fd(), DESCRIPTORS_MAX).collect();
        send_with(&a, &[IoSlice::new(b"x")], &many).unwrap();
        assert_eq!((receive_into(&b, &mut buffer, &mut fds).unwrap(), fds.len()), (1, DESCRIPTORS_MAX));
        for fd in &fds {
            assert!(closes_on_exec(fd));
        }
    }

    fn closes_on_exec(fd: impl AsFd) -> bool {
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        nix::fcntl::FdFlag::from_bits_retain(flags).contains(nix::fcntl::FdFlag::FD_CLOEXEC)
    }

    #[test]
    fn the_peer_is_known() {
        let (a, _b) = UnixStream::pair().unwrap();
        let peer = peer_credentials(&a).unwrap();
        assert_eq!(peer.pid, std::process::id() as i32);
        assert_eq!(peer.uid, nix::unistd::getuid().as_raw());
    }

    #[test]
    fn listeners_are_told_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(dir.path().join("s")).unwrap();
        assert_eq!(listening(&unix), Some(Listening::Unix));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listening(&tcp), Some(Listening::Tcp));
        let (a, _b) = UnixStream::pair().unwrap();
        assert_eq!(listening(&a), None);
        assert_eq!(listening(std::fs::File::open("/dev/null").unwrap()), None);
    }
}
