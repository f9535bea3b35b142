//! Tap interfaces: the host's end of a guest's network card.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

/// The longest name of an interface.
pub const NAME_MAX: usize = libc::IFNAMSIZ - 1;

/// How the interface behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Frames carry a virtio header (offloads); QEMU's virtio cards want it.
    pub vnet_header: bool,
    /// Several queues: one descriptor for each.
    pub multi_queue: bool,
    /// It outlives its descriptors.
    pub persistent: bool,
}

nix::ioctl_write_int!(tun_set_iff, b'T', 202);
nix::ioctl_write_int!(tun_set_persist, b'T', 203);

/// Makes the interface `name` (a `%d` in it is replaced by the kernel's next free number), or opens one more queue of it.
/// Returns the descriptor and the name it got.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a name that is empty, too long or has a zero byte; `EBUSY` when it is taken.
pub fn open(name: &str, options: Options) -> io::Result<(OwnedFd, String)> {
    if name.is_empty() || name.len() > NAME_MAX || name.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let tun: File = OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open("/dev/net/tun")?;
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
    if options.vnet_header {
        flags |= libc::IFF_VNET_HDR;
    }
    if options.multi_queue {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq behind the pointer, which lives on our stack.
    unsafe { tun_set_iff(tun.as_raw_fd(), (&raw mut request) as libc::c_ulong) }?;
    if options.persistent {
        // SAFETY: the argument is a plain number.
        unsafe { tun_set_persist(tun.as_raw_fd(), 1) }?;
    }
    let got: Vec<u8> = request.ifr_name.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    let got = String::from_utf8(got).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((tun.into(), got))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_are_refused_before_the_kernel_sees_them() {
        for name in ["", "sixteen-chars-xx", "a\0b"] {
            let error = open(name, Options::default()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
