//! The image formats and the magic numbers they begin with.

use std::fmt;

use crate::bytes::{Order, u16_at, u32_at};

/// Format of a disk image, under libvirt's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// No header at all.
    Raw,
    /// A directory.
    Dir,
    /// Bochs growing disk.
    Bochs,
    /// Compressed loop image.
    Cloop,
    /// Apple disk image.
    Dmg,
    /// ISO 9660 file system.
    Iso,
    /// Virtual PC (VHD).
    Vpc,
    /// VirtualBox.
    Vdi,
    /// A directory shown as a FAT file system.
    Fat,
    /// Hyper-V.
    Vhd,
    /// Parallels.
    Ploop,
    /// User-mode Linux copy on write.
    Cow,
    /// QEMU copy on write, version 1.
    Qcow,
    /// QEMU copy on write, versions 2 and 3.
    Qcow2,
    /// QEMU enhanced disk.
    Qed,
    /// VMware, sparse.
    Vmdk,
    /// LUKS container.
    Luks,
}

/// How a format is recognised: magic at an offset, then a version of `width` bytes that must be one of a few.
struct Magic {
    format: Format,
    at: usize,
    bytes: &'static [u8],
    order: Order,
    version: Option<(usize, usize, &'static [u32])>,
}

const fn magic(
    format: Format,
    at: usize,
    bytes: &'static [u8],
    order: Order,
    version: Option<(usize, usize, &'static [u32])>,
) -> Magic {
    Magic { format, at, bytes, order, version }
}

/// In the order in which libvirt 11.3.0 looks.
const MAGICS: &[Magic] = &[
    magic(Format::Bochs, 0, b"Bochs Virtual HD Image", Order::Little, Some((64, 4, &[0x20000]))),
    magic(Format::Iso, 32769, b"CD001", Order::Little, None),
    magic(Format::Vpc, 0, b"conectix", Order::Big, Some((12, 4, &[0x10000]))),
    magic(Format::Vdi, 64, b"\x7f\x10\xda\xbe", Order::Little, Some((68, 4, &[0x10001]))),
    magic(Format::Ploop, 0, b"WithouFreSpacExt", Order::Little, None),
    magic(Format::Ploop, 0, b"WithoutFreeSpace", Order::Little, None),
    magic(Format::Cow, 0, b"OOOM", Order::Big, Some((4, 4, &[2]))),
    magic(Format::Qcow, 0, b"QFI\xfb", Order::Big, Some((4, 4, &[1]))),
    magic(Format::Qcow2, 0, b"QFI\xfb", Order::Big, Some((4, 4, &[2, 3]))),
    magic(Format::Qed, 0, b"QED\0", Order::Little, None),
    magic(Format::Vmdk, 0, b"KDMV", Order::Little, Some((4, 4, &[1, 2, 3]))),
    magic(Format::Luks, 0, b"LUKS\xba\xbe", Order::Big, Some((6, 2, &[1]))),
];

impl Format {
    /// All formats with their names.
    pub const NAMES: &'static [(Format, &'static str)] = &[
        (Format::Raw, "raw"),
        (Format::Dir, "dir"),
        (Format::Bochs, "bochs"),
        (Format::Cloop, "cloop"),
        (Format::Dmg, "dmg"),
        (Format::Iso, "iso"),
        (Format::Vpc, "vpc"),
        (Format::Vdi, "vdi"),
        (Format::Fat, "fat"),
        (Format::Vhd, "vhd"),
        (Format::Ploop, "ploop"),
        (Format::Cow, "cow"),
        (Format::Qcow, "qcow"),
        (Format::Qcow2, "qcow2"),
        (Format::Qed, "qed"),
        (Format::Vmdk, "vmdk"),
        (Format::Luks, "luks"),
    ];

    /// The format whose magic the header carries; [`Format::Raw`] when there is none.
    pub fn probe(header: &[u8]) -> Format {
        MAGICS.iter().find(|m| m.matches(header)).map_or(Format::Raw, |m| m.format)
    }

    /// The format of a name.
    pub fn from_name(name: &str) -> Option<Format> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(f, _)| *f)
    }

    /// libvirt's name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(f, _)| *f == self).map_or("raw", |(_, n)| n)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Magic {
    fn matches(&self, header: &[u8]) -> bool {
        if header.get(self.at..).is_none_or(|rest| !rest.starts_with(self.bytes)) {
            return false;
        }
        let Some((at, width, accepted)) = self.version else { return true };
        let version =
            if width == 2 { u16_at(header, at, self.order).map(u32::from) } else { u32_at(header, at, self.order) };
        version.is_some_and(|v| accepted.contains(&v))
    }
}
