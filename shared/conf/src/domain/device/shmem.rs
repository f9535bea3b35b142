//! Shared memory devices.

use xml::text_enum;

use super::info::DeviceInfo;

text_enum! {
    /// Model.
    pub enum ShmemModel { Ivshmem = "ivshmem", IvshmemPlain = "ivshmem-plain", IvshmemDoorbell = "ivshmem-doorbell" }
}
text_enum! {
    /// Role in migration.
    pub enum ShmemRole { Master = "master", Peer = "peer" }
}

/// `<msi>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Msi {
    pub vectors: Option<u32>,
    pub ioeventfd: Option<bool>,
}

/// `<shmem>`
#[derive(Clone, Debug, PartialEq)]
pub struct ShmemDef {
    pub name: String,
    pub model: Option<ShmemModel>,
    pub role: Option<ShmemRole>,
    /// Bytes.
    pub size: Option<u64>,
    /// Socket of the server (`Some(None)`: named after the device).
    pub server: Option<Option<String>>,
    pub msi: Option<Msi>,
    pub info: DeviceInfo,
}
