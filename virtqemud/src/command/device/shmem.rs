//! Shared memory devices.

use conf::domain::device::info::Address;
use conf::domain::device::shmem::{ShmemDef, ShmemModel, ShmemRole};
use error::Result;

use super::{address, alias, unsupported};
use crate::command::escape::{comma, on_off};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// Size of a region that names none.
const SIZE: u64 = 4 << 20;

/// All shared memory devices.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for shmem in &def.devices.shmems {
        let id = alias(&shmem.info);
        if shmem.info.address.as_ref().is_some_and(|a| !matches!(a, Address::Pci(_))) {
            return Err(unsupported("only 'pci' addresses are supported for the shared memory device"));
        }
        if shmem.model == Some(ShmemModel::IvshmemDoorbell) || shmem.server.is_some() {
            // The server's socket comes after the device here, as libvirt has it; QEMU creates back ends first anyway.
            b.device(address::place(doorbell(shmem, &id), def, &shmem.info));
            let made = format!("/var/lib/libvirt/shmem-{}-sock", shmem.name);
            let path = shmem.server.clone().flatten().unwrap_or(made);
            b.option("-chardev", format!("socket,id=char{id},path={}", comma(&path)));
        } else {
            let props = plain(b, shmem, &id);
            b.device(address::place(props, def, &shmem.info));
        }
    }
    Ok(())
}

fn plain(b: &mut Builder, shmem: &ShmemDef, id: &str) -> Props {
    let object = format!("shmmem-{id}");
    let backend = Props::object("memory-backend-file", object.clone())
        .with("mem-path", format!("/dev/shm/{}", shmem.name))
        .with("size", shmem.size.unwrap_or(SIZE))
        .with("share", true);
    b.object(&backend);
    let master = shmem.role.map(|r| on_off(r == ShmemRole::Master));
    Props::driver("ivshmem-plain").with("id", id).with("memdev", object).maybe("master", master)
}

fn doorbell(shmem: &ShmemDef, id: &str) -> Props {
    let msi = shmem.msi.unwrap_or_default();
    let master = shmem.role.map(|r| on_off(r == ShmemRole::Master));
    Props::driver("ivshmem-doorbell")
        .with("id", id)
        .with("chardev", format!("char{id}"))
        .maybe("master", master)
        .nonzero("vectors", msi.vectors.unwrap_or(0))
        .with("ioeventfd", msi.ioeventfd.unwrap_or(true))
}
