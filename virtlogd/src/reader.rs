//! Reading a log across its rotated files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

use crate::chain;
use crate::log_file::Position;

/// Up to `maximum` bytes from `position` on, going on in newer files of the chain. A position in a file that has been
/// rotated away starts at the oldest one that is left.
///
/// # Errors
/// `ENOENT` when no file of the chain exists.
pub fn read(path: &Path, position: Position, maximum: usize) -> io::Result<Vec<u8>> {
    let mut files = Vec::new();
    for name in chain::files(path) {
        let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        match OpenOptions::new().read(true).custom_flags(flags).open(&name) {
            Ok(file) => files.push(file),
            // Rotated away between the listing and now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    if files.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let start = files.iter().position(|file| file.metadata().is_ok_and(|found| found.ino() == position.inode));
    let mut offset = if start.is_some() { position.offset } else { 0 };
    let mut bytes = Vec::new();
    for file in &files[start.unwrap_or(0)..] {
        read_file(file, offset, maximum, &mut bytes)?;
        offset = 0;
    }
    Ok(bytes)
}

fn read_file(file: &File, mut offset: u64, maximum: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    while bytes.len() < maximum {
        let wanted = buffer.len().min(maximum - bytes.len());
        match file.read_at(&mut buffer[..wanted], offset)? {
            0 => break,
            count => {
                bytes.extend_from_slice(&buffer[..count]);
                offset += count as u64;
            }
        }
    }
    Ok(())
}

/// Log bytes as a protocol string: guests print anything, the protocol carries text without NUL.
pub fn text(bytes: Vec<u8>, maximum: usize) -> String {
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    };
    if text.contains('\0') {
        text = text.replace('\0', " ");
    }
    if text.len() > maximum {
        text.truncate((0..=maximum).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn reading_goes_on_in_newer_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let here = |name: &Path, offset| Position { inode: fs::metadata(name).unwrap().ino(), offset };
        assert_eq!(read(&path, Position { inode: 1, offset: 0 }, 10).unwrap_err().kind(), io::ErrorKind::NotFound);
        for (name, text) in
            [(chain::backup(&path, 2), "one"), (chain::backup(&path, 0), "two"), (path.clone(), "three")]
        {
            fs::write(name, text).unwrap();
        }
        let from = here(&chain::backup(&path, 2), 1);
        assert_eq!(read(&path, from, 100).unwrap(), b"netwothree");
        assert_eq!(read(&path, from, 4).unwrap(), b"netw");
        assert_eq!(read(&path, here(&path, 2), 100).unwrap(), b"ree");
        assert_eq!(read(&path, here(&path, 600), 100).unwrap(), b"");
        assert_eq!(read(&path, Position { inode: 1, offset: 2 }, 100).unwrap(), b"onetwothree");
    }

    #[test]
    fn any_bytes_become_text() {
        assert_eq!(text(b"plain".to_vec(), 10), "plain");
        assert_eq!(text(b"a\0b".to_vec(), 10), "a b");
        assert_eq!(text(b"a\xffb".to_vec(), 10), "a\u{fffd}b");
        assert_eq!(text(b"ab\xff".to_vec(), 3), "ab", "grown text still fits");
        assert_eq!(text("h\u{e9}".as_bytes().to_vec(), 2), "h");
    }
}
