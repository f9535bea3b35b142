//! A tap interface's place on the host: bridge port, hardware address, MTU, up.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::tap::NAME_MAX;

/// Adds a port to a bridge (linux/sockios.h); the libc crate lacks it.
const SIOCBRADDIF: libc::c_ulong = 0x89a2;

nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);
nix::ioctl_read_bad!(get_flags, libc::SIOCGIFFLAGS, libc::ifreq);
nix::ioctl_read_bad!(get_mtu, libc::SIOCGIFMTU, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_mtu, libc::SIOCSIFMTU, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_address, libc::SIOCSIFHWADDR, libc::ifreq);
nix::ioctl_write_ptr_bad!(add_port, SIOCBRADDIF, libc::ifreq);

/// Makes `interface` a port of `bridge` and gives it the bridge's MTU.
///
/// # Errors
/// `ENODEV` when either does not exist, `EBUSY` when the interface is a port already.
pub fn attach(interface: &str, bridge: &str) -> io::Result<()> {
    let socket = control()?;
    let mut of_bridge = request(bridge)?;
    // SAFETY: the request is a valid ifreq on our stack, which the kernel fills.
    unsafe { get_mtu(socket.as_raw_fd(), &mut of_bridge) }?;
    let mut of_port = request(interface)?;
    // SAFETY: SIOCGIFMTU has just filled this member of the union.
    of_port.ifr_ifru.ifru_mtu = unsafe { of_bridge.ifr_ifru.ifru_mtu };
    // SAFETY: valid ifreq.
    unsafe { set_mtu(socket.as_raw_fd(), &of_port) }?;
    of_bridge.ifr_ifru.ifru_ifindex = index(interface)?;
    // SAFETY: valid ifreq.
    unsafe { add_port(socket.as_raw_fd(), &of_bridge) }?;
    Ok(())
}

/// Sets the interface's own hardware address.
///
/// # Errors
/// What the kernel answers.
pub fn set_hardware_address(interface: &str, address: [u8; 6]) -> io::Result<()> {
    let mut of_port = request(interface)?;
    // SAFETY: all-zero bytes are a valid sockaddr.
    let mut socket_address: libc::sockaddr = unsafe { std::mem::zeroed() };
    socket_address.sa_family = libc::ARPHRD_ETHER;
    for (to, from) in socket_address.sa_data.iter_mut().zip(address) {
        *to = from as libc::c_char;
    }
    of_port.ifr_ifru.ifru_hwaddr = socket_address;
    // SAFETY: valid ifreq.
    unsafe { set_address(control()?.as_raw_fd(), &of_port) }?;
    Ok(())
}

/// Turns the interface on.
///
/// # Errors
/// What the kernel answers.
pub fn set_up(interface: &str) -> io::Result<()> {
    let socket = control()?;
    let mut of_port = request(interface)?;
    // SAFETY: valid ifreq, which the kernel fills.
    unsafe { get_flags(socket.as_raw_fd(), &mut of_port) }?;
    // SAFETY: SIOCGIFFLAGS has just filled this member of the union.
    let flags = unsafe { of_port.ifr_ifru.ifru_flags };
    of_port.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    // SAFETY: valid ifreq.
    unsafe { set_flags(socket.as_raw_fd(), &of_port) }?;
    Ok(())
}

fn control() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn index(interface: &str) -> io::Result<libc::c_int> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    libc::c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn request(interface: &str) -> io::Result<libc::ifreq> {
    if interface.is_empty() || interface.len() > NAME_MAX || interface.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_is_an_error() {
        assert!(attach("oxnone0", "oxnone1").is_err());
        assert!(set_up("oxnone0").is_err());
        assert_eq!(set_up("").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
