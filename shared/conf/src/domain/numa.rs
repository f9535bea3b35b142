//! NUMA: the guest's cells and where their memory comes from.

use xml::text_enum;

use super::device::memory::MemoryAccess;
use super::vcpu::Placement;
use crate::Bitmap;

text_enum! {
    /// Memory policy.
    pub enum NumaMode { Strict = "strict", Preferred = "preferred", Interleave = "interleave", Restrictive = "restrictive" }
}

/// `<memory>` of `<numatune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumaMemory {
    pub mode: Option<NumaMode>,
    pub placement: Option<Placement>,
    pub nodes: Option<Bitmap>,
}

/// `<memnode>`
#[derive(Clone, Debug, PartialEq)]
pub struct MemNode {
    pub cell: u32,
    pub mode: NumaMode,
    pub nodes: Bitmap,
}

/// `<numatune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumaTune {
    pub memory: Option<NumaMemory>,
    pub nodes: Vec<MemNode>,
}

text_enum! {
    /// Cache associativity.
    pub enum CacheAssociativity { None = "none", Direct = "direct", Full = "full" }
}
text_enum! {
    /// Cache write policy.
    pub enum CachePolicy { None = "none", Writeback = "writeback", Writethrough = "writethrough" }
}

/// `<cache>` of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct NumaCache {
    pub level: u32,
    pub size_kib: u64,
    pub line_bytes: u64,
    pub associativity: CacheAssociativity,
    pub policy: CachePolicy,
}

/// `<cell>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumaCell {
    pub cpus: Option<Bitmap>,
    pub memory_kib: u64,
    pub access: Option<MemoryAccess>,
    pub discard: Option<bool>,
    /// Distances to cells by number.
    pub distances: Vec<(u32, u32)>,
    pub caches: Vec<NumaCache>,
}

text_enum! {
    /// What is measured.
    pub enum InterconnectKind { Access = "access", Read = "read", Write = "write" }
}

/// `<latency>` (value in ns) or `<bandwidth>` (value in KiB/s)
#[derive(Clone, Debug, PartialEq)]
pub struct Interconnect {
    pub bandwidth: bool,
    pub initiator: u32,
    pub target: u32,
    pub cache: Option<u32>,
    pub kind: InterconnectKind,
    pub value: u64,
}

/// `<numa>` below `<cpu>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numa {
    pub cells: Vec<NumaCell>,
    pub interconnects: Vec<Interconnect>,
}
