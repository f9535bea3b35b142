//! Devices of a domain, one file a family: struct, parse, format and local checks together.
//!
//! `info` holds what all share; `source`, `encryption` and `iotune` belong to `disk`; `bandwidth`, `ip` and `port` to `interface`.

pub mod address;
pub mod audio;
pub mod bandwidth;
pub mod chardev;
pub mod console;
pub mod controller;
pub mod crypto;
pub mod disk;
mod disk_driver;
pub mod encryption;
pub mod filesystem;
mod format;
pub mod graphics;
pub mod graphics_listen;
mod graphics_server;
pub mod hostdev;
pub mod hub;
pub mod info;
pub mod input;
pub mod interface;
mod interface_options;
mod interface_source;
pub mod iommu;
pub mod iotune;
pub mod ip;
pub mod lease;
pub mod memballoon;
pub mod memory;
pub mod network_source;
pub mod nvram;
pub mod panic;
mod parse;
pub mod port;
pub mod pstore;
pub mod redirdev;
pub mod rng;
pub mod shmem;
pub mod smartcard;
pub mod sound;
pub mod source;
pub mod throttle;
pub mod tpm;
pub mod video;
pub mod vsock;
pub mod watchdog;

/// `<devices>` in the order libvirt prints them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    pub emulator: Option<String>,
    pub disks: Vec<disk::DiskDef>,
    pub controllers: Vec<controller::ControllerDef>,
    pub leases: Vec<lease::LeaseDef>,
    pub filesystems: Vec<filesystem::FilesystemDef>,
    pub interfaces: Vec<interface::InterfaceDef>,
    pub smartcards: Vec<smartcard::SmartcardDef>,
    pub serials: Vec<console::SerialDef>,
    pub parallels: Vec<console::ParallelDef>,
    pub consoles: Vec<console::ConsoleDef>,
    pub channels: Vec<console::ChannelDef>,
    pub inputs: Vec<input::InputDef>,
    pub tpms: Vec<tpm::TpmDef>,
    pub graphics: Vec<graphics::GraphicsDef>,
    pub sounds: Vec<sound::SoundDef>,
    pub audios: Vec<audio::AudioDef>,
    pub videos: Vec<video::VideoDef>,
    pub hostdevs: Vec<hostdev::HostdevDef>,
    pub redirdevs: Vec<redirdev::RedirdevDef>,
    pub redir_filter: Option<Vec<redirdev::RedirRule>>,
    pub hubs: Vec<hub::HubDef>,
    pub watchdogs: Vec<watchdog::WatchdogDef>,
    pub memballoon: Option<memballoon::MemballoonDef>,
    pub rngs: Vec<rng::RngDef>,
    pub nvram: Option<nvram::NvramDef>,
    pub panics: Vec<panic::PanicDef>,
    pub shmems: Vec<shmem::ShmemDef>,
    pub memories: Vec<memory::MemoryDef>,
    pub cryptos: Vec<crypto::CryptoDef>,
    pub iommu: Option<iommu::IommuDef>,
    pub vsock: Option<vsock::VsockDef>,
    pub pstore: Option<pstore::PstoreDef>,
}
