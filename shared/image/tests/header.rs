//! Headers made by QEMU's own tool, and headers made to hurt.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use image::{Encryption, Format, HEADER_MAX, Metadata, read_header};
use proptest::prelude::*;

fn qemu_img(args: &[&str], dir: &Path) -> bool {
    match Command::new("qemu-img").args(args).current_dir(dir).output() {
        Ok(output) => {
            assert!(output.status.success(), "qemu-img {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => {
            assert!(std::env::var("REQUIRE").as_deref() != Ok("all"), "needs qemu-img");
            println!("skipped: needs qemu-img");
            false
        }
    }
}

fn probe(dir: &Path, name: &str) -> Metadata {
    Metadata::probe(&read_header(std::fs::File::open(dir.join(name)).unwrap()).unwrap())
}

#[test]
fn capacities_of_real_images() {
    let dir = tempfile::tempdir().unwrap();
    for (format, capacity) in [
        ("qcow2", 5 << 20),
        ("qcow", 5 << 20),
        ("qed", 5 << 20),
        ("vmdk", 5 << 20),
        ("vdi", 5 << 20),
        ("vpc", 5_257_216),
    ] {
        if !qemu_img(&["create", "-q", "-f", format, format, "5M"], dir.path()) {
            return;
        }
        let facts = probe(dir.path(), format);
        assert_eq!((facts.format.name(), facts.capacity), (format, Some(capacity)));
        assert_eq!(facts.backing, None);
    }
    std::fs::write(dir.path().join("raw"), b"hello").unwrap();
    assert_eq!(probe(dir.path(), "raw").capacity_of(5), 5);
}

#[test]
fn qcow2_features() {
    let dir = tempfile::tempdir().unwrap();
    let make =
        |name: &str, options: &str| qemu_img(&["create", "-q", "-f", "qcow2", "-o", options, name, "5M"], dir.path());
    if !make("old", "compat=0.10") {
        return;
    }
    make("lazy", "lazy_refcounts=on,extended_l2=on,cluster_size=128k");
    make("data", "data_file=ext.raw,data_file_raw=on");
    qemu_img(&["create", "-q", "-f", "qcow2", "-b", "old", "-F", "qcow2", "overlay"], dir.path());
    let old = probe(dir.path(), "old");
    assert!(!old.version3 && old.cluster_size == Some(65536));
    let lazy = probe(dir.path(), "lazy");
    assert!(lazy.version3 && lazy.lazy_refcounts && lazy.extended_l2 && lazy.cluster_size == Some(131_072));
    let data = probe(dir.path(), "data");
    assert!(data.data_file && data.data_file_path.as_deref() == Some("ext.raw"));
    let backing = probe(dir.path(), "overlay").backing.unwrap();
    assert_eq!((backing.path.as_str(), backing.format.as_deref()), ("old", Some("qcow2")));
}

#[test]
fn luks_payload_is_not_capacity() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "secret,id=s,data=abc";
    if !qemu_img(
        &["create", "-q", "-f", "luks", "--object", secret, "-o", "key-secret=s,iter-time=10", "luks", "5M"],
        dir.path(),
    ) {
        return;
    }
    let facts = probe(dir.path(), "luks");
    let size = std::fs::metadata(dir.path().join("luks")).unwrap().len();
    assert_eq!((facts.encryption, facts.capacity_of(size)), (Some(Encryption::Luks), 5 << 20));
}

/// A qcow2 header with one field set to `value`.
fn hostile(at: usize, value: &[u8]) -> Vec<u8> {
    let mut header = vec![0u8; HEADER_MAX];
    header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    header[20..24].copy_from_slice(&16u32.to_be_bytes());
    header[100..104].copy_from_slice(&104u32.to_be_bytes());
    header[at..at + value.len()].copy_from_slice(value);
    header
}

#[test]
fn extremes_are_ignored_quickly() {
    // backing offset, backing length, cluster bits, size, L1 size, snapshot count, feature bits, header length, extension length
    for at in [8, 16, 20, 24, 36, 60, 72, 80, 100, 108] {
        for value in [[0xff; 8], [0x7f; 8], [0; 8], [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]] {
            let header = hostile(at, &value);
            let start = Instant::now();
            let facts = Metadata::read(Format::Qcow2, &header);
            assert!(start.elapsed() < Duration::from_millis(10), "field {at}");
            assert!(facts.backing.is_none_or(|b| b.path.len() <= 1023));
        }
    }
}

#[test]
fn unknown_versions_are_raw() {
    assert_eq!(Format::probe(b"QFI\xfb\0\0\0\x09"), Format::Raw);
    assert_eq!(Format::probe(b"QFI\xfb"), Format::Raw);
    assert_eq!(Format::probe(b""), Format::Raw);
}

proptest! {
    #[test]
    fn no_header_panics(mut header in proptest::collection::vec(any::<u8>(), 0..2048), magic in 0usize..8) {
        let magics: [&[u8]; 8] = [b"QFI\xfb\0\0\0\x03", b"QFI\xfb\0\0\0\x02", b"QFI\xfb\0\0\0\x01", b"QED\0", b"KDMV\x01\0\0\0", b"LUKS\xba\xbe\0\x01", b"OOOM\0\0\0\x02", b"conectix"];
        let magic = magics[magic];
        if header.len() >= magic.len() {
            header[..magic.len()].copy_from_slice(magic);
        }
        for (format, _) in Format::NAMES {
            let facts = Metadata::read(*format, &header);
            if let Some(backing) = facts.backing {
                prop_assert!(!backing.path.is_empty() && backing.path.len() <= header.len());
            }
        }
        let _ = Metadata::probe(&header).capacity_of(0);
    }
}
