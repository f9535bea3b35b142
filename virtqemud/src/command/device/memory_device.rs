//! Memory devices.

use conf::domain::device::info::Address;
use conf::domain::device::memory::{MemoryDef, MemoryModel};
use error::Result;

use super::{address, alias};
use crate::command::memory::{Wish, backend};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All memory devices, each after its back end.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for memory in &def.devices.memories {
        let id = format!("mem{}", alias(&memory.info));
        let (object, _) = backend(b, &id, &wish(memory))?;
        b.object(&object);
        if memory.model == MemoryModel::SgxEpc {
            continue;
        }
        let props = device(memory, &id);
        b.device(address::place(props, def, &memory.info));
    }
    Ok(())
}

fn wish(memory: &MemoryDef) -> Wish<'_> {
    let virtio_mem = memory.model == MemoryModel::VirtioMem;
    Wish {
        size_kib: memory.size_kib,
        cell: memory.target_node,
        access: memory.access,
        discard: memory.discard,
        page_kib: memory.page_size_kib,
        nodes: memory.source_nodes.as_ref(),
        path: memory.path.as_deref(),
        pmem: memory.pmem,
        align_kib: memory.align_size_kib,
        readonly: memory.readonly,
        no_prealloc: virtio_mem,
        no_reserve: virtio_mem,
        nvdimm: memory.model == MemoryModel::Nvdimm,
        system: false,
    }
}

fn device(memory: &MemoryDef, object: &str) -> Props {
    let node = memory.target_node;
    let id = alias(&memory.info);
    match memory.model {
        MemoryModel::VirtioMem => {
            let place =
                if matches!(memory.info.address, Some(Address::Ccw(_))) { "virtio-mem-ccw" } else { "virtio-mem-pci" };
            Props::driver(place)
                .maybe("node", node)
                .maybe("block-size", memory.block_size_kib.map(|k| k * 1024))
                .maybe("requested-size", memory.requested_kib.map(|k| k * 1024))
                .with("memdev", object)
                .nonzero("memaddr", memory.base.unwrap_or(0))
                .maybe("dynamic-memslots", memory.dynamic_memslots)
                .with("id", id)
        }
        MemoryModel::VirtioPmem => Props::driver("virtio-pmem-pci")
            .with("memdev", object)
            .nonzero("memaddr", memory.base.unwrap_or(0))
            .with("id", id),
        MemoryModel::Nvdimm => Props::driver("nvdimm")
            .maybe("node", node)
            .maybe("label-size", memory.label_size_kib.map(|k| k * 1024))
            .maybe("uuid", memory.uuid.map(|u| uuid::Uuid::from_bytes(u).hyphenated().to_string()))
            .maybe("unarmed", memory.readonly.then_some(true))
            .with("memdev", object)
            .with("id", id),
        MemoryModel::Dimm | MemoryModel::SgxEpc => {
            Props::driver("pc-dimm").maybe("node", node).with("memdev", object).with("id", id)
        }
    }
}
