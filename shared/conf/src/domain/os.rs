//! How the guest boots: type, firmware, loader, NVRAM, kernel, boot order.

use xml::text_enum;

use super::device::source::{ImageFormat, StorageSource};

text_enum! {
    /// Guest type.
    pub enum OsType { Hvm = "hvm", Xen = "xen", Linux = "linux", Exe = "exe", Uml = "uml", Xenpvh = "xenpvh" }
}
text_enum! {
    /// Device class of `<boot dev=>`.
    pub enum BootDevice { Floppy = "fd", Cdrom = "cdrom", Disk = "hd", Network = "network" }
}
text_enum! {
    /// Firmware to be found automatically.
    pub enum Firmware { Bios = "bios", Efi = "efi" }
}
text_enum! {
    /// Firmware feature.
    pub enum FirmwareFeature { EnrolledKeys = "enrolled-keys", SecureBoot = "secure-boot" }
}
text_enum! {
    /// How the firmware image is attached.
    pub enum LoaderKind { Rom = "rom", Pflash = "pflash", None = "none" }
}
text_enum! {
    /// Source of SMBIOS tables.
    pub enum SmbiosMode { Emulate = "emulate", Host = "host", Sysinfo = "sysinfo" }
}

/// `<loader>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loader {
    pub path: Option<String>,
    pub readonly: Option<bool>,
    pub kind: Option<LoaderKind>,
    pub secure: Option<bool>,
    pub stateless: Option<bool>,
    pub format: Option<ImageFormat>,
    pub nvram: Option<StorageSource>,
    /// The `<nvram>` was written in the new form, with a type.
    pub nvram_new_style: bool,
    pub nvram_template: Option<String>,
    pub nvram_template_format: Option<ImageFormat>,
}

/// `<bios>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bios {
    pub useserial: Option<bool>,
    /// -1 to 65535 milliseconds.
    pub reboot_timeout: Option<i32>,
}

/// `<acpi><table type=>`
#[derive(Clone, Debug, PartialEq)]
pub struct AcpiTable {
    pub kind: String,
    pub path: String,
}

/// `<os>`
#[derive(Clone, Debug, PartialEq)]
pub struct OsDef {
    pub kind: OsType,
    /// libvirt's name: `x86_64`, `aarch64`, ... Empty until the driver fills it in.
    pub arch: String,
    /// As written, then canonical after the QEMU post-parse.
    pub machine: Option<String>,
    pub firmware: Option<Firmware>,
    pub firmware_features: Vec<(FirmwareFeature, bool)>,
    pub loader: Option<Loader>,
    pub boot: Vec<BootDevice>,
    pub boot_menu: Option<bool>,
    pub boot_menu_timeout: Option<u32>,
    pub kernel: Option<String>,
    pub initrd: Option<String>,
    pub cmdline: Option<String>,
    pub dtb: Option<String>,
    pub root: Option<String>,
    pub shim: Option<String>,
    pub acpi_tables: Vec<AcpiTable>,
    pub smbios: Option<SmbiosMode>,
    pub bios: Bios,
    pub init: Option<String>,
    pub init_args: Vec<String>,
}
