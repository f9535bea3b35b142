//! The qcow2 header (QEMU `docs/interop/qcow2.txt`), versions 2 and 3.

use crate::bytes::{Order, text_at, u32_at, u64_at};
use crate::{Backing, Encryption, Metadata};

/// Longest backing file name that QEMU accepts.
const BACKING_MAX: u32 = 1023;
/// Cluster sizes that QEMU accepts: 512 bytes to 2 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Header of version 2, without extensions.
const HEADER_V2: u64 = 72;
/// Shortest header of version 3.
const HEADER_V3: u64 = 104;
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;
const EXTENSION_DATA_FILE: u32 = 0x4441_5441;
const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;
const COMPATIBLE_LAZY_REFCOUNTS: u64 = 1 << 0;

/// The backing file's name; qcow version 1 has it in the same place.
pub(crate) fn backing_path(header: &[u8]) -> Option<String> {
    let at = u64_at(header, 8, Order::Big)?;
    let length = u32_at(header, 16, Order::Big)?;
    if at == 0 || length == 0 || length > BACKING_MAX {
        return None;
    }
    text_at(header, at, u64::from(length))
}

pub(crate) fn read(header: &[u8], facts: &mut Metadata) {
    facts.capacity = u64_at(header, 24, Order::Big);
    facts.version3 = u32_at(header, 4, Order::Big) == Some(3);
    let bits = u32_at(header, 20, Order::Big).filter(|bits| CLUSTER_BITS.contains(bits));
    facts.cluster_size = bits.map(|bits| 1 << bits);
    facts.encryption = match u32_at(header, 32, Order::Big) {
        Some(1) => Some(Encryption::Qcow),
        Some(2) => Some(Encryption::Luks),
        _ => None,
    };
    if facts.version3 {
        let incompatible = u64_at(header, 72, Order::Big).unwrap_or(0);
        let compatible = u64_at(header, 80, Order::Big).unwrap_or(0);
        facts.data_file = incompatible & INCOMPATIBLE_DATA_FILE != 0;
        facts.extended_l2 = incompatible & INCOMPATIBLE_EXTENDED_L2 != 0;
        facts.lazy_refcounts = compatible & COMPATIBLE_LAZY_REFCOUNTS != 0;
    }
    let extensions = extensions(header, facts);
    let find = |kind| extensions.iter().find(|(k, _)| *k == kind).map(|(_, text)| text.clone());
    facts.backing = backing_path(header).map(|path| Backing { path, format: find(EXTENSION_BACKING_FORMAT) });
    facts.data_file_path = find(EXTENSION_DATA_FILE).filter(|_| facts.data_file);
}

/// Header extensions whose content is text: type, length, content padded to eight bytes, until type 0 or the end of their room.
fn extensions(header: &[u8], facts: &Metadata) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let start = if facts.version3 {
        u32_at(header, 100, Order::Big).map(u64::from).filter(|at| *at >= HEADER_V3)
    } else {
        Some(HEADER_V2)
    };
    let (Some(mut at), Some(cluster)) = (start, facts.cluster_size) else { return found };
    let backing_at = u64_at(header, 8, Order::Big).unwrap_or(0);
    let room = if backing_at == 0 { cluster } else { backing_at.min(cluster) };
    let end = room.min(header.len() as u64);
    while at + 8 <= end {
        let (Some(kind), Some(length)) =
            (u32_at(header, at as usize, Order::Big), u32_at(header, at as usize + 4, Order::Big))
        else {
            break;
        };
        let length = u64::from(length);
        if kind == 0 || at + 8 + length > end {
            break;
        }
        if let (EXTENSION_BACKING_FORMAT | EXTENSION_DATA_FILE, Some(text)) = (kind, text_at(header, at + 8, length)) {
            found.push((kind, text));
        }
        at += 8 + length.next_multiple_of(8);
    }
    found
}
