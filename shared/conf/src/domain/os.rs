//! How the guest boots: type, firmware, loader, NVRAM, kernel, boot order.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::device::source::{ImageFormat, StorageSource};
use super::fault::{unsupported, xml_detail, xml_error};
use crate::FormatFlags;

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

/// Architectures that libvirt knows.
const ARCHITECTURES: [&str; 38] = [
    "alpha",
    "armv6l",
    "armv7l",
    "armv7b",
    "aarch64",
    "cris",
    "i686",
    "ia64",
    "lm32",
    "loongarch64",
    "m68k",
    "microblaze",
    "microblazeel",
    "mips",
    "mipsel",
    "mips64",
    "mips64el",
    "openrisc",
    "parisc",
    "parisc64",
    "ppc",
    "ppcle",
    "ppc64",
    "ppc64le",
    "ppcemb",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "sh4",
    "sh4eb",
    "sparc",
    "sparc64",
    "unicore32",
    "x86_64",
    "xtensa",
    "xtensaeb",
    "or32",
];

impl OsDef {
    /// Reads `<os>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn parse(domain: Node<'_>) -> Result<Self> {
        let os = domain.child("os");
        let kind_node = os.and_then(|o| o.child("type"));
        let kind = match kind_node.map(|t| t.text()).filter(|t| !t.is_empty()) {
            None if domain.child("bootloader").is_some() => OsType::Xen,
            None => return Err(xml_error("an os <type> must be specified")),
            Some(word) => {
                OsType::from_word(word.trim()).ok_or_else(|| unsupported(format!("unknown OS type '{word}'")))?
            }
        };
        let arch = kind_node.and_then(|t| t.attr("arch")).unwrap_or("");
        if !arch.is_empty() && !ARCHITECTURES.contains(&arch) {
            return Err(unsupported(format!("Unknown architecture {arch}")));
        }
        let node = |name: &str| os.and_then(|o| o.child(name));
        let text = |name: &str| os.and_then(|o| o.child_text(name));
        let mut def = Self {
            kind,
            arch: arch.to_owned(),
            machine: kind_node.and_then(|t| t.string("machine")),
            firmware: os.map(|o| o.word("firmware")).transpose()?.flatten(),
            firmware_features: Vec::new(),
            loader: None,
            boot: Vec::new(),
            boot_menu: None,
            boot_menu_timeout: None,
            kernel: text("kernel"),
            initrd: text("initrd"),
            cmdline: text("cmdline"),
            dtb: text("dtb"),
            root: text("root"),
            shim: text("shim"),
            acpi_tables: Vec::new(),
            smbios: node("smbios").map(|s| s.required_word("mode")).transpose()?,
            bios: Bios::default(),
            init: text("init"),
            init_args: os.map(|o| o.children("initarg").map(|n| n.text()).collect()).unwrap_or_default(),
        };
        if let Some(firmware) = node("firmware") {
            for feature in firmware.children("feature") {
                let entry = (
                    feature.required_word("name")?,
                    feature.yes_no("enabled")?.ok_or_else(|| xml::missing_attribute(feature, "enabled"))?,
                );
                def.firmware_features.retain(|(name, _)| *name != entry.0);
                def.firmware_features.push(entry);
            }
            def.firmware_features.sort_by_key(|(name, _)| *name);
        }
        if !def.firmware_features.is_empty() && def.firmware.is_none() {
            return Err(xml_detail(
                "cannot use feature-based firmware autoselection when firmware autoselection is disabled",
            ));
        }
        if node("loader").is_some() || node("nvram").is_some() {
            def.loader = Some(Loader::parse(node("loader"), node("nvram"))?);
        }
        if let Some(acpi) = node("acpi") {
            for table in acpi.children("table") {
                def.acpi_tables.push(AcpiTable { kind: table.required("type")?.to_owned(), path: table.text() });
            }
        }
        def.parse_boot(os)?;
        Ok(def)
    }

    fn parse_boot(&mut self, os: Option<Node<'_>>) -> Result<()> {
        let Some(os) = os else { return Ok(()) };
        for boot in os.children("boot") {
            let dev = boot.attr("dev").ok_or_else(|| xml::missing_attribute(boot, "dev"))?;
            self.boot.push(BootDevice::from_word(dev).ok_or_else(|| xml::invalid_value(boot, "dev", dev, ""))?);
        }
        if let Some(menu) = os.child("bootmenu") {
            self.boot_menu = menu.yes_no("enable")?;
            if let (Some(true), Some(text)) = (self.boot_menu, menu.attr("timeout")) {
                let timeout = xml::parse_u64(text, 0).filter(|t| *t <= 65535);
                self.boot_menu_timeout = Some(
                    timeout
                        .ok_or_else(|| unsupported("invalid value for boot menu timeout, must be in range [0,65535]"))?
                        as u32,
                );
            }
        }
        if let Some(bios) = os.child("bios") {
            self.bios.useserial = bios.yes_no("useserial")?;
            if let Some(text) = bios.attr("rebootTimeout") {
                let timeout = xml::parse_i64(text, 0).filter(|t| (-1..=65535).contains(t));
                self.bios.reboot_timeout = Some(
                    timeout
                        .ok_or_else(|| unsupported("invalid value for rebootTimeout, must be in range [-1,65535]"))?
                        as i32,
                );
            }
        }
        Ok(())
    }

    /// Checks what no emulator is needed for.
    pub(super) fn check(&self) -> Result<()> {
        match &self.loader {
            Some(loader) => loader.check(self.firmware),
            None => Ok(()),
        }
    }

    /// Writes `<os>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("os", |w| {
            w.attr_opt("firmware", self.firmware);
            let kind = |w: &mut Writer| {
                w.attr_opt("arch", Some(&self.arch).filter(|a| !a.is_empty()));
                w.attr_opt("machine", self.machine.as_deref());
            };
            w.leaf_with("type", kind, self.kind);
            w.element_if_any("firmware", |w| {
                for (name, enabled) in &self.firmware_features {
                    w.element("feature", |w| {
                        w.yes_no("enabled", Some(*enabled));
                        w.attr("name", name);
                    });
                }
            });
            w.leaf_opt("init", self.init.as_deref());
            self.init_args.iter().for_each(|a| w.leaf("initarg", a));
            if let Some(loader) = &self.loader {
                loader.format(w, flags);
            }
            let files = [
                ("kernel", &self.kernel),
                ("initrd", &self.initrd),
                ("cmdline", &self.cmdline),
                ("dtb", &self.dtb),
                ("root", &self.root),
                ("shim", &self.shim),
            ];
            for (name, value) in files {
                w.leaf_opt(name, value.as_deref());
            }
            w.element_if_any("acpi", |w| {
                self.acpi_tables.iter().for_each(|t| w.leaf_with("table", |w| w.attr("type", &t.kind), &t.path));
            });
            for device in &self.boot {
                w.element("boot", |w| w.attr("dev", device));
            }
            w.element_if_any("bootmenu", |w| {
                w.yes_no("enable", self.boot_menu);
                w.attr_opt("timeout", self.boot_menu_timeout);
            });
            w.element_if_any("bios", |w| {
                w.yes_no("useserial", self.bios.useserial);
                w.attr_opt("rebootTimeout", self.bios.reboot_timeout);
            });
            w.element_if_any("smbios", |w| w.attr_opt("mode", self.smbios));
        });
    }
}
