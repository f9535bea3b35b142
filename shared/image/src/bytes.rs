//! Checked reads of numbers and byte ranges from a header.

/// Byte order of a format's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Big,
    Little,
}

fn array<const N: usize>(header: &[u8], at: usize) -> Option<[u8; N]> {
    header.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u16_at(header: &[u8], at: usize, order: Order) -> Option<u16> {
    let bytes = array(header, at)?;
    Some(if order == Order::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

pub(crate) fn u32_at(header: &[u8], at: usize, order: Order) -> Option<u32> {
    let bytes = array(header, at)?;
    Some(if order == Order::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

pub(crate) fn u64_at(header: &[u8], at: usize, order: Order) -> Option<u64> {
    let bytes = array(header, at)?;
    Some(if order == Order::Big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
}

/// The text of `length` bytes at `at`; `None` when it leaves the header, is empty, holds a NUL or is not UTF-8.
pub(crate) fn text_at(header: &[u8], at: u64, length: u64) -> Option<String> {
    let at = usize::try_from(at).ok()?;
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    let bytes = header.get(at..end)?;
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() || bytes.contains(&0) {
        return None;
    }
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}
