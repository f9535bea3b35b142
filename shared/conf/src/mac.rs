//! Ethernet addresses.

use std::fmt;

/// Six bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Six groups of one or two hex digits with colons between.
    pub fn parse(text: &str) -> Option<Self> {
        let mut mac = [0u8; 6];
        let mut groups = text.split(':');
        for byte in &mut mac {
            let group = groups.next()?;
            if group.is_empty() || group.len() > 2 || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(group, 16).ok()?;
        }
        groups.next().is_none().then_some(Self(mac))
    }

    /// Whether it names a group of stations.
    pub fn is_multicast(&self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
