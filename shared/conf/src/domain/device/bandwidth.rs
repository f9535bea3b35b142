//! Bandwidth limits of interfaces and networks.

/// One direction, in KiB/s and KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub average: Option<u64>,
    pub peak: Option<u64>,
    pub floor: Option<u64>,
    pub burst: Option<u64>,
}

/// `<bandwidth>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bandwidth {
    pub inbound: Option<Rate>,
    pub outbound: Option<Rate>,
}
