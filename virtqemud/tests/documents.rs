//! Our own documents, one feature or mistake each, with the answers of libvirt 11.3.0 and QEMU 10.0.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use virtqemud::definition::Wanted;

#[allow(dead_code, reason = "the program around the comparison is not used here")]
#[path = "../examples/parity.rs"]
mod parity;

/// What still differs, with the reason.
const KNOWN: &[(&str, &str)] = &[
    ("at-spapr-vio-ctl", "a virtual I/O address on a PC; libvirt numbers it all the same"),
    ("at-spapr-vio-net", "as above"),
    ("sound-ich7", "libvirt fails to find a bus for it; we let QEMU refuse it"),
];

#[test]
fn answers_are_those_of_libvirt() {
    let emulators = parity::Emulators::from_environment();
    let wanted = Wanted { emulator: Some("/usr/bin/qemu-system-x86_64".into()), arch: "x86_64".into() };
    let version = emulators.find(&wanted).map(|(_, c)| c.version / 1000);
    if version != Ok(10_000) {
        assert_ne!(std::env::var("REQUIRE").as_deref(), Ok("all"), "needs qemu-system-x86_64 10.0");
        println!("skipped: needs qemu-system-x86_64 10.0");
        return;
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut cases: BTreeMap<String, Value> = BTreeMap::new();
    for file in ["documents.json", "refusals.json"] {
        let read: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(data.join(file)).unwrap()).unwrap();
        cases.extend(read);
    }
    let firmwares = parity::firmwares();
    let needs_firmware =
        |name: &str| name.starts_with("uefi") || name.starts_with("bios") || name.starts_with("loader");
    let mut differing = BTreeSet::new();
    for (name, case) in &cases {
        if needs_firmware(name) && firmwares.is_empty() {
            println!("skipped: {name} needs OVMF with descriptors");
            continue;
        }
        let source = case["document"].as_str().unwrap();
        let ours = parity::define(source, &emulators, &firmwares);
        if let Ok(document) = &ours {
            assert!(parity::is_fixed_point(document), "{name} is not a fixed point:\n{document}");
        }
        let (_, _, exact, difference) = parity::compare(&case["xml"], &ours, source);
        if !exact && !KNOWN.iter().any(|(known, _)| known == name) {
            println!("{name}:\n{difference}");
            differing.insert(name.as_str());
        }
    }
    assert!(differing.is_empty(), "{} documents differ: {differing:?}", differing.len());
}
