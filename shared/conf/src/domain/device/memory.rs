//! Memory devices: DIMM, NVDIMM, virtio-pmem, virtio-mem, SGX EPC.

use xml::text_enum;

use super::info::DeviceInfo;
use crate::Bitmap;

text_enum! {
    /// Model.
    pub enum MemoryModel { Dimm = "dimm", Nvdimm = "nvdimm", VirtioPmem = "virtio-pmem", VirtioMem = "virtio-mem", SgxEpc = "sgx-epc" }
}
text_enum! {
    /// Access of backing memory.
    pub enum MemoryAccess { Shared = "shared", Private = "private" }
}

/// `<memory>` below `<devices>`; sizes in KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryDef {
    pub model: MemoryModel,
    pub access: Option<MemoryAccess>,
    pub discard: Option<bool>,
    pub uuid: Option<[u8; 16]>,
    pub source_nodes: Option<Bitmap>,
    pub page_size_kib: Option<u64>,
    /// Backing file of nvdimm and pmem.
    pub path: Option<String>,
    pub align_size_kib: Option<u64>,
    pub pmem: bool,
    pub size_kib: u64,
    pub target_node: Option<u32>,
    pub label_size_kib: Option<u64>,
    pub readonly: bool,
    pub block_size_kib: Option<u64>,
    pub requested_kib: Option<u64>,
    /// What the running guest has plugged.
    pub current_kib: Option<u64>,
    /// Guest physical address.
    pub base: Option<u64>,
    pub dynamic_memslots: Option<bool>,
    pub info: DeviceInfo,
}
