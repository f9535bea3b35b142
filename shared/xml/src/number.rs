//! Numbers as C's `strtoul` family reads them, and scaled sizes.

/// Sign, then digits: leading white space is skipped, base 0 and 16 take `0x`, base 0 takes octal. Trailing bytes are an error.
fn split(text: &str, base: u32) -> Option<(bool, u64)> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, base) = match (base, hex) {
        (0 | 16, Some(rest)) => (rest, 16),
        (0, None) if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        (0, None) => (digits, 10),
        (base, _) => (digits, base),
    };
    // from_str_radix would take a second sign
    if !digits.starts_with(|c: char| c.is_digit(base)) {
        return None;
    }
    u64::from_str_radix(digits, base).ok().map(|n| (negative, n))
}

/// A non-negative number in `base` (0, 8, 10 or 16).
pub fn parse_u64(text: &str, base: u32) -> Option<u64> {
    split(text, base).and_then(|(negative, n)| (!negative || n == 0).then_some(n))
}

/// A signed number in `base`.
pub fn parse_i64(text: &str, base: u32) -> Option<i64> {
    let (negative, n) = split(text, base)?;
    if negative { 0i64.checked_sub_unsigned(n) } else { i64::try_from(n).ok() }
}

/// Factor of a size suffix: `b`, `KB`, `KiB`, `M`, ...; `None` when it is not one.
/// A bare letter or `iB` counts in powers of 1024, `B` behind the letter in powers of 1000, as libvirt's `virScaleInteger`.
pub fn scale(unit: &str) -> Option<u64> {
    let lower = unit.to_ascii_lowercase();
    if lower == "b" || lower == "byte" || lower == "bytes" {
        return Some(1);
    }
    let mut letters = lower.chars();
    let power = match letters.next()? {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        'p' => 5,
        'e' => 6,
        _ => return None,
    };
    match letters.as_str() {
        "" | "ib" => 1024u64.checked_pow(power),
        "b" => 1000u64.checked_pow(power),
        _ => None,
    }
}
