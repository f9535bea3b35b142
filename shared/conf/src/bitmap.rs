//! Sets of small numbers: CPU sets and NUMA node sets, written `0-3,^2,8`.

use std::collections::BTreeSet;
use std::fmt;

use error::{Code, Domain, Error, Result};

/// A set of numbers below [`Bitmap::LIMIT`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap(BTreeSet<u32>);

impl Bitmap {
    /// libvirt's `VIR_DOMAIN_CPUMASK_LEN`; no set is larger.
    pub const LIMIT: u32 = 16384;

    /// Reads `1-4,^3,8`. Fails on syntax, on numbers from [`Self::LIMIT`] and on an empty text.
    pub fn parse(text: &str) -> Result<Self> {
        let fail = || Error::new(Domain::None, Code::InvalidArg, format!("Failed to parse bitmap '{text}'"));
        let mut set = BTreeSet::new();
        for part in text.split(',') {
            let part = part.trim();
            let (remove, part) = part.strip_prefix('^').map_or((false, part), |p| (true, p));
            let (first, last) = part.split_once('-').map_or((part, part), |(a, b)| (a.trim(), b.trim()));
            let number = |t: &str| {
                t.parse::<u32>().ok().filter(|n| *n < Self::LIMIT && t.starts_with(|c: char| c.is_ascii_digit()))
            };
            let (first, last) = number(first).zip(number(last)).ok_or_else(fail)?;
            if first > last {
                return Err(fail());
            }
            for n in first..=last {
                if remove {
                    set.remove(&n)
                } else {
                    set.insert(n)
                };
            }
        }
        Ok(Self(set))
    }

    /// The numbers `0..count`.
    pub fn first(count: u32) -> Self {
        Self((0..count.min(Self::LIMIT)).collect())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `n` is in it.
    pub fn contains(&self, n: u32) -> bool {
        self.0.contains(&n)
    }

    /// Adds `n`.
    pub fn insert(&mut self, n: u32) {
        self.0.insert(n);
    }

    /// The largest number.
    pub fn last(&self) -> Option<u32> {
        self.0.last().copied()
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Whether both have a number in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.0.is_disjoint(&other.0)
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Maximal runs as (first, last).
    pub fn ranges(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for n in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == n => *last = n,
                _ => runs.push((n, n)),
            }
        }
        runs
    }
}

impl FromIterator<u32> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        Self(numbers.into_iter().collect())
    }
}

impl fmt::Display for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.ranges().into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}
