//! Facts of block devices that only an ioctl tells.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

nix::ioctl_read!(blkgetsize64, 0x12, 114, u64);
nix::ioctl_read_bad!(blksszget, 0x1268, nix::libc::c_int);

/// Size of a block device in bytes.
pub fn size(device: impl AsFd) -> io::Result<u64> {
    let mut bytes = 0u64;
    // SAFETY: BLKGETSIZE64 writes one u64 behind the pointer.
    unsafe { blkgetsize64(device.as_fd().as_raw_fd(), &mut bytes) }?;
    Ok(bytes)
}

/// Logical sector size of a block device in bytes.
pub fn sector_size(device: impl AsFd) -> io::Result<u32> {
    let mut bytes: nix::libc::c_int = 0;
    // SAFETY: BLKSSZGET writes one int behind the pointer.
    unsafe { blksszget(device.as_fd().as_raw_fd(), &mut bytes) }?;
    u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}
