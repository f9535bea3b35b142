//! What a header says about its image.

use crate::bytes::{Order, text_at, u32_at, u64_at};
use crate::{Format, qcow2};

/// The image that this one is an overlay of, as the header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    /// A path, relative to the image's directory or absolute, or a pseudo protocol such as `json:` or `nbd:`; never opened here.
    pub path: String,
    /// The format the header declares, if it does.
    pub format: Option<String>,
}

/// How the content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// QEMU's old AES mode.
    Qcow,
    /// LUKS.
    Luks,
}

impl Encryption {
    /// libvirt's name.
    pub fn name(self) -> &'static str {
        match self {
            Encryption::Qcow => "qcow",
            Encryption::Luks => "luks",
        }
    }
}

/// Facts from a header. Fields that the format does not have, or that lie outside the bytes given, are `None` or `false`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The format the header was read as.
    pub format: Format,
    /// Size of the disk that the guest sees, in bytes; `None` = the size of the file.
    pub capacity: Option<u64>,
    /// Bytes before the payload of a LUKS container.
    pub payload_offset: u64,
    /// The backing file.
    pub backing: Option<Backing>,
    /// Encryption of the content.
    pub encryption: Option<Encryption>,
    /// qcow2 version 3 ("compat 1.1").
    pub version3: bool,
    /// qcow2: bytes in a cluster.
    pub cluster_size: Option<u64>,
    /// qcow2: reference counts are repaired lazily.
    pub lazy_refcounts: bool,
    /// qcow2: subclusters.
    pub extended_l2: bool,
    /// qcow2: guest data lies in another file.
    pub data_file: bool,
    /// qcow2: name of that file.
    pub data_file_path: Option<String>,
}

impl Metadata {
    /// Facts of an image without a header.
    pub fn bare(format: Format) -> Self {
        Metadata {
            format,
            capacity: None,
            payload_offset: 0,
            backing: None,
            encryption: None,
            version3: false,
            cluster_size: None,
            lazy_refcounts: false,
            extended_l2: false,
            data_file: false,
            data_file_path: None,
        }
    }

    /// Probes the format, then reads the header as that.
    pub fn probe(header: &[u8]) -> Self {
        Self::read(Format::probe(header), header)
    }

    /// Reads `header` as an image of `format`. A field that is outside the header or implausible is left out; nothing fails.
    pub fn read(format: Format, header: &[u8]) -> Self {
        let header = &header[..header.len().min(crate::HEADER_MAX)];
        let mut facts = Self::bare(format);
        match format {
            Format::Bochs => facts.capacity = u64_at(header, 72, Order::Little),
            Format::Vpc => facts.capacity = u64_at(header, 40, Order::Big),
            Format::Vdi => facts.capacity = u64_at(header, 368, Order::Little),
            Format::Vmdk => {
                facts.capacity = u64_at(header, 12, Order::Little).and_then(|sectors| sectors.checked_mul(512))
            }
            Format::Cow => {
                facts.capacity = u64_at(header, 1036, Order::Big);
                facts.backing = cow_backing(header);
            }
            Format::Qcow => {
                facts.capacity = u64_at(header, 24, Order::Big);
                facts.backing = qcow2::backing_path(header).map(|path| Backing { path, format: None });
                facts.encryption = (u32_at(header, 36, Order::Big) == Some(1)).then_some(Encryption::Qcow);
            }
            Format::Qed => {
                facts.capacity = u64_at(header, 48, Order::Little);
                facts.backing = qed_backing(header);
            }
            Format::Qcow2 => qcow2::read(header, &mut facts),
            Format::Luks => {
                facts.encryption = Some(Encryption::Luks);
                facts.payload_offset = u64::from(u32_at(header, 104, Order::Big).unwrap_or(0)) * 512;
            }
            Format::Raw
            | Format::Dir
            | Format::Cloop
            | Format::Dmg
            | Format::Iso
            | Format::Fat
            | Format::Vhd
            | Format::Ploop => {}
        }
        facts
    }

    /// Size of the disk that the guest sees when the file has `file_size` bytes.
    pub fn capacity_of(&self, file_size: u64) -> u64 {
        self.capacity.unwrap_or_else(|| file_size.saturating_sub(self.payload_offset))
    }
}

fn cow_backing(header: &[u8]) -> Option<Backing> {
    let name = header.get(8..8 + 1024)?;
    let length = name.iter().position(|b| *b == 0)?;
    text_at(header, 8, length as u64).map(|path| Backing { path, format: None })
}

fn qed_backing(header: &[u8]) -> Option<Backing> {
    const HAS_BACKING: u64 = 1;
    const BACKING_IS_RAW: u64 = 4;
    let features = u64_at(header, 16, Order::Little)?;
    if features & HAS_BACKING == 0 {
        return None;
    }
    let at = u64::from(u32_at(header, 56, Order::Little)?);
    let length = u64::from(u32_at(header, 60, Order::Little)?);
    let path = text_at(header, at, length)?;
    let format = (features & BACKING_IS_RAW != 0).then(|| "raw".to_owned());
    Some(Backing { path, format })
}
