//! One copy of a record in a memory file: length, checksum, bytes. A write that is cut short leaves a copy that does
//! not count.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const HEAD: usize = 16;

/// Replaces the content.
pub fn write(file: &File, bytes: &[u8]) -> io::Result<()> {
    // The old head must not vouch for a mixture of old and new bytes.
    file.write_all_at(&[0; HEAD], 0)?;
    file.write_all_at(bytes, HEAD as u64)?;
    file.set_len((HEAD + bytes.len()) as u64)?;
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&(bytes.len() as u64).to_ne_bytes());
    head[8..].copy_from_slice(&checksum(bytes).to_ne_bytes());
    file.write_all_at(&head, 0)
}

/// The content, if it is whole.
pub fn read(file: &File) -> Option<Vec<u8>> {
    let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (head, body) = bytes.split_at_checked(HEAD)?;
    let length = u64::from_ne_bytes(head[..8].try_into().ok()?);
    let sum = u64::from_ne_bytes(head[8..].try_into().ok()?);
    (length == body.len() as u64 && length > 0 && sum == checksum(body)).then(|| body.to_vec())
}

/// FNV-1a, 64 bits: finds torn content, which is all that can happen here.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_nothing() {
        let file = host::descriptor::memory_file("test").unwrap();
        assert_eq!(read(&file), None);
        write(&file, b"a long first record").unwrap();
        assert_eq!(read(&file).unwrap(), b"a long first record");
        write(&file, b"short").unwrap();
        assert_eq!(read(&file).unwrap(), b"short");
        for cut in 0..HEAD + 5 {
            let torn = host::descriptor::memory_file("torn").unwrap();
            write(&torn, b"short").unwrap();
            torn.set_len(cut as u64).unwrap();
            assert_eq!(read(&torn), None, "{cut}");
        }
        file.write_all_at(b"x", 18).unwrap();
        assert_eq!(read(&file), None);
    }
}
