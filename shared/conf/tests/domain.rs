//! Domain documents: values, refusals, and the promise that no bytes do harm.

use conf::domain::defaults::name_index;
use conf::domain::{DomainDef, ParseContext};
use conf::{Bitmap, FormatFlags, Mac};
use proptest::prelude::*;

const INACTIVE: FormatFlags = FormatFlags { inactive: true, secure: true, migratable: false, status: false };

fn parse(devices: &str) -> error::Result<DomainDef> {
    let text = format!(
        "<domain type='kvm'><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices>{devices}</devices></domain>"
    );
    DomainDef::parse(&text, ParseContext::default())
}

#[test]
fn sets_print_as_ranges() {
    for (text, printed) in [("0-3,^2,8", "0-1,3,8"), ("5", "5"), ("1,2,3", "1-3"), ("7-7", "7")] {
        assert_eq!(Bitmap::parse(text).unwrap().to_string(), printed);
    }
    for text in ["", "a", "3-1", "0-4294967295", "1-", "-1", "^", "1,,2", "16384"] {
        assert!(Bitmap::parse(text).is_err(), "{text}");
    }
}

#[test]
fn disk_names_count_from_a() {
    for (name, index) in [
        ("vda", Some(0)),
        ("sdz", Some(25)),
        ("hdaa", Some(26)),
        ("xvdb1", Some(1)),
        ("vd", None),
        ("foo", None),
        ("vda!", None),
    ] {
        assert_eq!(name_index(name), index, "{name}");
    }
}

#[test]
fn addresses_of_stations() {
    assert_eq!(Mac::parse("52:54:0:aB:c:ff").unwrap().to_string(), "52:54:00:ab:0c:ff");
    for text in ["", "52:54:00:11:22", "52:54:00:11:22:33:44", "52:54:00:11:22:3g", "52:54:00:11:22:333"] {
        assert!(Mac::parse(text).is_none(), "{text}");
    }
}

#[test]
fn refusals_have_libvirts_words() {
    let cases = [
        ("<disk type='file'><source file='/x'/></disk>", 20, "missing target information for device /x"),
        (
            "<disk><target dev='vda' bus='nvme'/></disk>",
            27,
            "XML error: Invalid value for attribute 'bus' in element 'target': 'nvme'.",
        ),
        (
            "<controller type='pci' index='-1' model='pci-root'/>",
            27,
            "XML error: Invalid value for attribute 'index' in element 'controller': '-1'. Expected non-negative value",
        ),
        ("<interface type='bridge'/>", 27, "XML error: interface type='bridge' requires a 'source' element"),
        ("<input type='foo'/>", 67, "unsupported configuration: unknown input device type 'foo'"),
        (
            "<memballoon model='virtio'/><memballoon model='virtio'/>",
            1,
            "internal error: only a single memory balloon device is supported",
        ),
        (
            "<hub type='usb'><address type='usb' port='1.2.3.4.5'/></hub>",
            1,
            "internal error: Cannot parse <address> 'port' attribute",
        ),
    ];
    for (devices, code, message) in cases {
        let error = parse(devices).unwrap_err();
        assert_eq!(error.code, code, "{devices}: {error}");
        assert!(message.is_empty() || error.message == message, "{devices}: {error}");
    }
}

#[test]
fn passwords_are_printed_on_request_only() {
    let def =
        parse("<graphics type='vnc' passwd='canary'/><graphics type='spice' autoport='yes' passwd='canary'/>").unwrap();
    assert!(def.format(INACTIVE).contains("canary"));
    assert!(!def.format(FormatFlags { secure: false, ..INACTIVE }).contains("canary"));
    assert!(!def.format(FormatFlags::default()).contains("canary"));
}

#[test]
fn generated_aliases_belong_to_the_running_guest() {
    let disk = |alias: &str| {
        format!("<disk type='file'><source file='/x'/><target dev='vda' bus='virtio'/><alias name='{alias}'/></disk>")
    };
    assert!(!parse(&disk("virtio-disk0")).unwrap().format(FormatFlags::default()).contains("alias"));
    assert!(parse(&disk("ua-mine")).unwrap().format(INACTIVE).contains("<alias name='ua-mine'/>"));
}

#[test]
fn foreign_metadata_survives() {
    let metadata = "<a:x xmlns:a=\"http://a\" k=\"v&quot;\">t &amp; u<a:y/></a:x>";
    let text = format!(
        "<domain type='kvm'><name>g</name><metadata>{metadata}<plain/></metadata><memory>1</memory><os><type>hvm</type></os></domain>"
    );
    let printed = DomainDef::parse(&text, ParseContext::default()).unwrap().format(INACTIVE);
    assert!(printed.contains(metadata), "{printed}");
    assert!(!printed.contains("plain"));
}

/// A document about as wild as the grammar allows: known words in odd places.
fn wild() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "disk",
        "controller",
        "interface",
        "source",
        "target",
        "driver",
        "address",
        "type",
        "model",
        "name",
        "pci",
        "virtio",
        "0",
        "-1",
        "0x10",
        "18446744073709551616",
        "file",
        "dev",
        "vda",
        "network",
        "graphics",
        "vnc",
        "listen",
        "memory",
        "cpu",
        "numa",
        "cell",
        "id",
        "cpus",
        "0-3",
        "hostdev",
        "backingStore",
        "format",
        "port",
        "1.2.3",
        "on",
        "yes",
        "tcp",
        "unix",
        "mode",
        "path",
        "video",
        "alias",
        "boot",
        "order",
    ]);
    let tag = (word.clone(), prop::collection::vec((word.clone(), word.clone()), 0..4));
    prop::collection::vec((tag, 0u8..3), 0..24).prop_map(|tags| {
        let mut text =
            String::from("<domain type='kvm'><name>g</name><memory>1024</memory><os><type>hvm</type></os><devices>");
        let mut open = Vec::new();
        for ((name, attributes), step) in tags {
            let name = if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { "x" };
            let mut seen = std::collections::BTreeSet::new();
            let attributes: String = attributes
                .iter()
                .filter(|(n, _)| n.starts_with(|c: char| c.is_ascii_alphabetic()) && seen.insert(*n))
                .map(|(n, v)| format!(" {n}='{v}'"))
                .collect();
            text.push_str(&format!("<{name}{attributes}>"));
            open.push(name);
            for _ in 0..step {
                if let Some(name) = open.pop() {
                    text.push_str(&format!("</{name}>"));
                }
            }
        }
        while let Some(name) = open.pop() {
            text.push_str(&format!("</{name}>"));
        }
        text + "</devices></domain>"
    })
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        let _ = DomainDef::parse(&text, ParseContext::default());
    }

    #[test]
    fn wild_documents_are_answered_and_read_back(text in wild()) {
        if let Ok(def) = DomainDef::parse(&text, ParseContext::default()) {
            let printed = def.format(INACTIVE);
            let again = DomainDef::parse(&printed, ParseContext::default()).map(|d| d.format(INACTIVE));
            prop_assert_eq!(again.map_err(|e| e.message), Ok(printed));
        }
    }

    #[test]
    fn sets_survive_printing(numbers in prop::collection::btree_set(0u32..500, 1..40)) {
        let set: Bitmap = numbers.into_iter().collect();
        prop_assert_eq!(Bitmap::parse(&set.to_string()).unwrap(), set);
    }
}
