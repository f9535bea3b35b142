//! Memory amounts, tuning and backing.

use xml::text_enum;

use crate::Bitmap;

/// `<memory>`, `<currentMemory>` and `<maxMemory>` in KiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// What `<memory>` says: initial memory plus memory devices.
    pub total_kib: u64,
    pub current_kib: u64,
    pub max_kib: u64,
    pub slots: u32,
    pub dump_core: Option<bool>,
    /// `<memory>` was there.
    pub total_given: bool,
}

/// `<hugepages><page>`; size 0 means the host's default size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HugePage {
    pub size_kib: u64,
    pub nodes: Option<Bitmap>,
}

text_enum! {
    /// Kind of backing.
    pub enum MemorySource { None = "none", File = "file", Anonymous = "anonymous", Memfd = "memfd" }
}
text_enum! {
    /// When memory is allocated.
    pub enum MemoryAllocation { None = "none", Immediate = "immediate", Ondemand = "ondemand" }
}

/// `<memoryBacking>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryBacking {
    pub hugepages: Option<Vec<HugePage>>,
    pub nosharepages: bool,
    pub locked: bool,
    pub source: Option<MemorySource>,
    pub access: Option<super::device::memory::MemoryAccess>,
    pub allocation: Option<MemoryAllocation>,
    pub allocation_threads: Option<u32>,
    pub discard: bool,
}

/// `<memtune>` in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemTune {
    pub hard_limit: Option<u64>,
    pub soft_limit: Option<u64>,
    pub min_guarantee: Option<u64>,
    pub swap_hard_limit: Option<u64>,
}
