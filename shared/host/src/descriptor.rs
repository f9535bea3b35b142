//! File descriptors: close-on-exec, copies, memory files, pipes and moving bytes between them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, SpliceFFlags, fcntl};
use nix::libc;
use nix::sys::memfd::MFdFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sets or clears close-on-exec.
pub fn set_close_on_exec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Sets or clears non-blocking mode (a property of the open file description, shared by all copies).
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<()> {
    let fd = fd.as_fd();
    let mut flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, on);
    fcntl(fd, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// A copy with close-on-exec set.
pub fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// A copy with close-on-exec set, whose number is at least `number`.
pub fn duplicate_above(fd: impl AsFd, number: RawFd) -> io::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(number))?;
    // SAFETY: the call made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Takes ownership of a descriptor that this process was started with, or one put in place by number.
///
/// # Errors
/// `EBADF` when the number is not open.
///
/// The caller must be the only one to claim the number: standard streams and descriptors that another object owns
/// must not be passed. Numbers up to 2 are refused.
pub fn claim(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: F_GETFD reads a flag of a number; a number that is not open is an error, not undefined.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and by the contract above nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    set_close_on_exec(&fd, true)?;
    Ok(fd)
}

/// Makes descriptor `number` a copy of `fd`, closing what was there. For children between fork and exec, and for
/// standard streams. The copy has no close-on-exec flag.
pub fn place(fd: impl AsFd, number: RawFd) -> io::Result<()> {
    let raw = fd.as_fd().as_raw_fd();
    if raw == number {
        return set_close_on_exec(fd, false);
    }
    // SAFETY: plain system call on numbers; replacing `number` is what the caller asks for.
    if unsafe { libc::dup2(raw, number) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Borrows standard input, output or error by number.
pub fn standard(number: RawFd) -> BorrowedFd<'static> {
    assert!((0..=2).contains(&number), "standard streams are 0, 1 and 2");
    // SAFETY: the standard library keeps these three open for the life of the process.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Marks every descriptor from `first` on close-on-exec. Cheap, and safe between fork and exec.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: plain system call without pointers.
    let rc =
        unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A file in memory, close-on-exec; `name` shows in `/proc`.
pub fn memory_file(name: &str) -> io::Result<File> {
    Ok(nix::sys::memfd::memfd_create(name, MFdFlags::MFD_CLOEXEC)?.into())
}

/// A pipe, both ends close-on-exec: (read, write).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// How many bytes the pipe holds at most; asks for `bytes` first when given (the kernel rounds up).
pub fn pipe_capacity(pipe: impl AsFd, bytes: Option<i32>) -> io::Result<usize> {
    let pipe = pipe.as_fd();
    if let Some(bytes) = bytes {
        fcntl(pipe, FcntlArg::F_SETPIPE_SZ(bytes))?;
    }
    Ok(fcntl(pipe, FcntlArg::F_GETPIPE_SZ)? as usize)
}

/// Registers a descriptor with the running tokio runtime. It should be in non-blocking mode, unless it is only watched.
pub fn watch(fd: impl Into<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, always answers with the same number, and is closed only when it is dropped.
    unsafe { AsyncFd::register_with_interest(fd.into(), interest) }.map_err(|error| error.into_parts().1)
}

/// How many bytes wait in the pipe.
pub fn pipe_available(pipe: impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int through the pointer, which is valid for the call.
    let rc = unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(bytes as usize) }
}

/// Moves up to `length` bytes from a pipe into a file at `offset`, without a copy in our memory.
/// Returns how many went over; 0 means all writers are gone. Does not block on the pipe: `WouldBlock` when it is empty.
/// The file must not be open for appending (the kernel refuses it).
pub fn splice_to_file(pipe: impl AsFd, file: impl AsFd, offset: u64, length: usize) -> io::Result<usize> {
    let mut at = i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    Ok(nix::fcntl::splice(pipe, None, file, Some(&mut at), length, flags)?)
}

/// Moves up to `length` bytes between two descriptors of which at least one is a pipe, at their own positions.
pub fn splice(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    Ok(nix::fcntl::splice(from, None, to, None, length, SpliceFFlags::SPLICE_F_NONBLOCK)?)
}

/// Copies up to `length` bytes from one pipe to another; they stay in the first.
pub fn tee(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    Ok(nix::fcntl::tee(from, to, length, SpliceFFlags::SPLICE_F_NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::fs::FileExt;

    fn closes_on_exec(fd: impl AsFd) -> bool {
        FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap()).contains(FdFlag::FD_CLOEXEC)
    }

    #[test]
    fn flags_copies_and_claims() {
        let (read, _write) = pipe().unwrap();
        assert!(closes_on_exec(&read));
        set_close_on_exec(&read, false).unwrap();
        assert!(!closes_on_exec(&read));
        let copy = duplicate(&read).unwrap();
        assert!(closes_on_exec(&copy));
        let number = std::os::fd::IntoRawFd::into_raw_fd(copy);
        let claimed = claim(number).unwrap();
        assert_eq!(claimed.as_raw_fd(), number);
        assert!(claim(1).is_err());
        assert!(claim(1_000_000).is_err());
    }

    #[test]
    fn bytes_move_from_pipe_to_file_at_an_offset() {
        let (read, write) = pipe().unwrap();
        let mut write = File::from(write);
        let file = tempfile::tempfile().unwrap();
        let empty = splice_to_file(&read, &file, 0, 10).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        write.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(pipe_available(&read).unwrap(), 8);
        let (scratch_read, scratch_write) = pipe().unwrap();
        assert_eq!(tee(&read, &scratch_write, 100).unwrap(), 8);
        assert_eq!(splice_to_file(&read, &file, 5, 4).unwrap(), 4);
        assert_eq!(splice_to_file(&read, &file, 9, 100).unwrap(), 4);
        let mut bytes = [0; 13];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0\0one\ntwo\n");
        drop(write);
        assert_eq!(splice_to_file(&read, &file, 13, 100).unwrap(), 0);
        drop(scratch_write);
        let mut copied = String::new();
        File::from(scratch_read).read_to_string(&mut copied).unwrap();
        assert_eq!(copied, "one\ntwo\n");
    }
}
