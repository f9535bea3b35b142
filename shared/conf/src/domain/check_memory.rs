//! What memory devices may not say, whoever runs the guest.

use error::{Code, Domain, Error, Result};

use super::DomainDef;
use super::device::info::Address;
use super::device::memory::{MemoryAccess, MemoryDef, MemoryModel};
use super::fault::{unsupported, xml_detail, xml_error};

/// Size of a transparent huge page, the least that virtio-mem plugs.
const BLOCK_MIN_KIB: u64 = 2048;
/// Least label area of an NVDIMM.
const LABEL_MIN_KIB: u64 = 128;

impl DomainDef {
    /// Refuses memory devices that contradict themselves, the guest's cells or each other.
    pub(super) fn check_memories(&self) -> Result<()> {
        let cells = self.numa.cells.len();
        for memory in &self.devices.memories {
            memory.check()?;
            if let Some(node) = memory.target_node.filter(|n| *n as usize >= cells && cells > 0) {
                return Err(Error::new(
                    Domain::Domain,
                    Code::XmlDetail,
                    format!(
                        "can't add memory backend for guest node '{node}' as the guest has only '{cells}' NUMA nodes configured"
                    ),
                ));
            }
        }
        self.check_overlaps()
    }

    fn check_overlaps(&self) -> Result<()> {
        let spans: Vec<(u64, u64)> = self.devices.memories.iter().filter_map(MemoryDef::span).collect();
        for (at, (start, end)) in spans.iter().enumerate() {
            let clash = spans.iter().enumerate().find(|(other, (from, _))| *other != at && from >= start && from < end);
            if let Some((_, (from, _))) = clash {
                return Err(unsupported(format!(
                    "memory device address [{start:#x}:{end:#x}] overlaps with other memory device ({from:#x})"
                )));
            }
        }
        Ok(())
    }
}

impl MemoryDef {
    /// Guest physical addresses, when they are given.
    fn span(&self) -> Option<(u64, u64)> {
        let base = match &self.info.address {
            Some(Address::Dimm(dimm)) => Some(dimm.base),
            _ => self.base,
        };
        base.filter(|b| *b > 0).map(|b| (b, b.saturating_add(self.size_kib * 1024)))
    }

    fn check(&self) -> Result<()> {
        match self.model {
            MemoryModel::Nvdimm => {
                if let Some(label) = self.label_size_kib.filter(|l| *l > 0) {
                    if label < LABEL_MIN_KIB {
                        return Err(xml_error("nvdimm label must be at least 128KiB"));
                    }
                    if label >= self.size_kib {
                        return Err(xml_error("label size must be smaller than NVDIMM size"));
                    }
                }
                if self.discard == Some(true) {
                    return Err(unsupported("discard is not supported for nvdimms"));
                }
            }
            MemoryModel::VirtioPmem => {
                if self.target_node.is_some() {
                    return Err(unsupported("virtio-pmem does not support NUMA nodes"));
                }
                if self.access != Some(MemoryAccess::Shared) {
                    return Err(unsupported("shared access mode required for virtio-pmem device"));
                }
            }
            MemoryModel::VirtioMem => self.check_blocks()?,
            _ => {}
        }
        Ok(())
    }

    fn check_blocks(&self) -> Result<()> {
        let block = self.block_size_kib.unwrap_or(0);
        let requested = self.requested_kib.unwrap_or(0);
        if requested > self.size_kib {
            return Err(xml_detail(format!(
                "requested size must be smaller than or equal to @size ({}KiB)",
                self.size_kib
            )));
        }
        if !block.is_power_of_two() {
            return Err(xml_detail("block size must be a power of two"));
        }
        if !requested.is_multiple_of(block) {
            return Err(xml_detail("requested size must be an integer multiple of block size"));
        }
        if block < BLOCK_MIN_KIB {
            return Err(xml_detail(format!("block size too small, must be at least {BLOCK_MIN_KIB}KiB")));
        }
        if self.base.is_some_and(|b| b % (block * 1024) != 0) {
            return Err(xml_detail("memory device address must be aligned to blocksize"));
        }
        Ok(())
    }
}
