//! Control group partition, block I/O weights, id mapping, key wrapping and the perf events of a guest.

use super::device::filesystem::IdRange;

/// `<resource>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    pub partition: Option<String>,
    pub fibrechannel_appid: Option<String>,
}

/// `<device>` of `<blkiotune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlkioDevice {
    pub path: String,
    pub weight: u32,
    pub read_bytes_sec: u64,
    pub write_bytes_sec: u64,
    pub read_iops_sec: u32,
    pub write_iops_sec: u32,
}

/// `<blkiotune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlkioTune {
    pub weight: u32,
    pub devices: Vec<BlkioDevice>,
}

/// `<idmap>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdMap {
    pub uid: Vec<IdRange>,
    pub gid: Vec<IdRange>,
}

/// `<keywrap>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeyWrap {
    pub aes: Option<bool>,
    pub dea: Option<bool>,
}
