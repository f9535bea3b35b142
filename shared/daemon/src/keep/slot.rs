//! Names of descriptors in the service manager's store.
//!
//! At most seven characters, because the names of all of them come back in one variable, `LISTEN_FDNAMES`, which must
//! fit in 128 KiB. A name is never used twice in the life of a store: it ties a descriptor to its record.

use serde::{Deserialize, Serialize};

/// Digits of a name.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// One more than the largest number that fits in six digits.
const NUMBER_MAX: u64 = 36u64.pow(6);

/// Name of one stored descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot(String);

impl Slot {
    /// The name for a number, after the letter that says what is kept.
    pub fn new(letter: char, number: u64) -> Slot {
        let mut rest = number % NUMBER_MAX;
        let mut digits = Vec::new();
        loop {
            digits.push(DIGITS[(rest % 36) as usize]);
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        digits.reverse();
        Slot(format!("{letter}{}", String::from_utf8(digits).expect("digits are ASCII")))
    }

    /// A name that begins with this letter, read back.
    pub fn parse(letter: char, name: &str) -> Option<Slot> {
        let number = u64::from_str_radix(name.strip_prefix(letter)?, 36).ok()?;
        Some(Slot::new(letter, number)).filter(|slot| slot.as_str() == name)
    }

    /// The number that the name was made for.
    pub fn number(&self) -> u64 {
        u64::from_str_radix(self.0.get(1..).unwrap_or_default(), 36).unwrap_or_default()
    }

    /// The name as the service manager knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_differ() {
        assert_eq!(Slot::new('l', 0).as_str(), "l0");
        assert_eq!(Slot::new('l', 35).as_str(), "lz");
        assert_eq!(Slot::new('l', 36).as_str(), "l10");
        assert_eq!(Slot::new('p', NUMBER_MAX - 1).as_str(), "pzzzzzz");
        assert_eq!(Slot::new('p', NUMBER_MAX).as_str(), "p0");
        assert_eq!(Slot::parse('l', "l10").unwrap().number(), 36);
        for name in ["", "l", "p1", "l-1", "lZ", "l01", "lzzzzzzz", "state-a"] {
            assert_eq!(Slot::parse('l', name), None, "{name}");
        }
    }
}
