//! Files that share their blocks.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

nix::ioctl_write_int!(ficlone, 0x94, 9);

/// Makes `target` share all blocks of `source`, copy on write.
///
/// # Errors
/// `EOPNOTSUPP`, `EXDEV` or `EINVAL` where the file system cannot do that.
pub fn clone_file(source: impl AsFd, target: impl AsFd) -> io::Result<()> {
    let source = u64::try_from(source.as_fd().as_raw_fd()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: FICLONE takes a descriptor number, no pointer; both descriptors are borrowed for the call.
    unsafe { ficlone(target.as_fd().as_raw_fd(), source) }?;
    Ok(())
}
