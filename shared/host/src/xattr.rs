//! Extended attributes of an open file.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

/// Longest value that is read.
const VALUE_MAX: usize = 1024;

/// The attribute's value; `None` when the file has none by this name.
///
/// Works on `O_PATH` descriptors too, which fgetxattr(2) itself refuses.
///
/// # Errors
/// `ENOTSUP` where the file system has no attributes, `ERANGE` for a value longer than 1 KiB.
pub fn get(file: impl AsFd, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let path = path_of(file)?;
    let mut value = vec![0u8; VALUE_MAX];
    // SAFETY: path and name are NUL-terminated, the buffer is valid for the length given.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    let Ok(length) = usize::try_from(length) else {
        let e = io::Error::last_os_error();
        return if e.raw_os_error() == Some(libc::ENODATA) { Ok(None) } else { Err(e) };
    };
    value.truncate(length);
    Ok(Some(value))
}

/// Sets the attribute, replacing an older value.
///
/// # Errors
/// What setxattr(2) answers.
pub fn set(file: impl AsFd, name: &CStr, value: &[u8]) -> io::Result<()> {
    let path = path_of(file)?;
    // SAFETY: path and name are NUL-terminated, the value is valid for its length.
    let rc = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Removes the attribute; that there is none is fine.
///
/// # Errors
/// What removexattr(2) answers.
pub fn remove(file: impl AsFd, name: &CStr) -> io::Result<()> {
    let path = path_of(file)?;
    // SAFETY: path and name are NUL-terminated.
    let rc = unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) };
    if rc == 0 {
        return Ok(());
    }
    let e = io::Error::last_os_error();
    if e.raw_os_error() == Some(libc::ENODATA) { Ok(()) } else { Err(e) }
}

fn path_of(file: impl AsFd) -> io::Result<CString> {
    Ok(CString::new(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_and_go() {
        let file = tempfile::tempfile().unwrap();
        let name = c"user.oxvirt.test";
        match set(&file, name, b"one") {
            Err(e) if e.raw_os_error() == Some(libc::ENOTSUP) => {
                return eprintln!("skipped: needs extended attributes");
            }
            done => done.unwrap(),
        }
        assert_eq!(get(&file, name).unwrap().as_deref(), Some(&b"one"[..]));
        remove(&file, name).unwrap();
        remove(&file, name).unwrap();
        assert_eq!(get(&file, name).unwrap(), None);
    }
}
