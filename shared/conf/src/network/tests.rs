//! Documents in, documents out.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const INACTIVE: FormatFlags = FormatFlags { inactive: true, connections: 0 };

/// Documents in a folder, without the expected ones.
fn documents(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "xml") && !path.to_string_lossy().ends_with(".out.xml"))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn documents_come_out_as_libvirt_prints_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/network");
    let found = documents(&folder);
    assert!(found.len() >= 5, "cases are missing");
    for (path, text) in found {
        let def = NetworkDef::parse(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let expected = std::fs::read_to_string(path.replace(".xml", ".out.xml")).unwrap();
        assert_eq!(def.format(INACTIVE), expected, "{path}");
        assert_eq!(NetworkDef::parse(&expected).unwrap(), def, "{path}");
    }
}

/// With the corpus of libvirt's answers (`OXVIRT_CORPUS`): formatting is a fixed point.
#[test]
fn corpus_documents_survive_a_round_trip() {
    let Ok(corpus) = std::env::var("OXVIRT_CORPUS") else {
        eprintln!("skipped: needs OXVIRT_CORPUS, the folder of documents with libvirt's answers");
        return;
    };
    for kind in ["network", "network-conf"] {
        for (path, text) in documents(&Path::new(&corpus).join(kind)) {
            if let Ok(def) = NetworkDef::parse(&text) {
                assert_eq!(NetworkDef::parse(&def.format(INACTIVE)).unwrap(), def, "{path}");
            }
        }
    }
}

#[test]
fn faults_are_named_as_libvirt_names_them() {
    let net = |body: &str| format!("<network><name>t</name>{body}</network>");
    let ip = |body: &str| net(&format!("<ip address='10.1.1.1' netmask='255.255.255.0'>{body}</ip>"));
    let dhcp = |body: &str| ip(&format!("<dhcp>{body}</dhcp>"));
    let rows = [
        ("<network/>".to_owned(), Code::NoName, "missing name information"),
        ("<net/>".to_owned(), Code::XmlError, "XML error: expecting root element of 'network', not 'net'"),
        (net("<uuid>1</uuid>"), Code::InternalError, "internal error: malformed uuid element"),
        (
            net("<forward/>"),
            Code::XmlError,
            "XML error: nat forwarding requested, but no IP address provided for network 't'",
        ),
        (
            net("<forward mode='up'/>"),
            Code::ConfigUnsupported,
            "unsupported configuration: unknown forwarding type 'up'",
        ),
        (
            net("<forward mode='vepa'/><bridge name='b'/>"),
            Code::XmlError,
            "XML error: bridge name not allowed in vepa mode (network 't')",
        ),
        (
            net("<ip address='10.1.1.1' prefix='40'/>"),
            Code::ConfigUnsupported,
            "unsupported configuration: Invalid IPv4 prefix '40' in network 't'",
        ),
        (
            net("<vlan/>"),
            Code::XmlError,
            "XML error: missing tag id - each <vlan> must have at least one <tag id='n'/> subelement",
        ),
        (
            net("<dns><srv service='s' protocol='t' weight='1'/></dns>"),
            Code::XmlDetail,
            "DNS SRV weight attribute not permitted without target for service 's' in network 't'",
        ),
        (
            net("<route address='10.2.0.0' prefix='16' gateway='10.1.1.2'/>"),
            Code::ConfigUnsupported,
            "unsupported configuration: unreachable static route gateway '10.1.1.2' specified for network 't'",
        ),
        (
            dhcp("<range start='10.1.1.9' end='10.1.1.5'/>"),
            Code::InternalError,
            "internal error: range 10.1.1.9 - 10.1.1.5 is reversed ",
        ),
        (
            dhcp("<range start='10.1.2.1' end='10.1.2.5'/>"),
            Code::InternalError,
            "internal error: range 10.1.2.1 - 10.1.2.5 is not entirely within network 10.1.1.1/24",
        ),
        (
            dhcp("<host mac='01:00:5e:00:00:01' ip='10.1.1.5'/>"),
            Code::XmlError,
            "XML error: expected unicast mac address, found multicast '01:00:5e:00:00:01' in network 't'",
        ),
        (
            dhcp("<host ip='10.1.1.5'/>"),
            Code::XmlError,
            "XML error: Static host definition in IPv4 network 't' must have mac or name attribute",
        ),
    ];
    for (text, code, message) in rows {
        let error = NetworkDef::parse(&text).unwrap_err();
        assert_eq!((error.code(), error.message.as_str()), (Some(code), message), "{text}");
    }
}

#[test]
fn the_driver_refuses_what_it_cannot_do() {
    let cases = [
        (
            "<forward mode='bridge'/><ip address='10.1.1.1' prefix='24'/>",
            "Unsupported <ip> element in network t with forward mode='bridge'",
        ),
        (
            "<forward mode='private'/><vlan><tag id='3'/></vlan>",
            "<vlan> element specified for network t, whose type doesn't support vlan configuration",
        ),
        (
            "<forward mode='hostdev'><address type='pci' domain='0' bus='3' slot='0' function='1'/></forward>",
            "device '/sys/bus/pci/devices/0000:03:00.1' in network 't' is not an SR-IOV Virtual Function",
        ),
        (
            "<portgroup name='a'/><portgroup name='a'/>",
            "multiple <portgroup> elements with the same name (a) in network 't'",
        ),
    ];
    for (body, message) in cases {
        let def = NetworkDef::parse(&format!("<network><name>t</name>{body}</network>")).unwrap();
        let error = def.validate(|_| false).unwrap_err();
        assert_eq!(
            (error.code(), error.message),
            (Some(Code::ConfigUnsupported), format!("unsupported configuration: {message}"))
        );
    }
}

#[test]
fn updates_change_one_element_or_nothing() {
    let text = "<network><name>t</name><ip address='10.1.1.1' prefix='24'><dhcp><range start='10.1.1.2' end='10.1.1.9'/></dhcp></ip></network>";
    let mut def = NetworkDef::parse(text).unwrap();
    let host = "<host mac='52:54:00:00:00:01' name='a' ip='10.1.1.2'/>";
    // command 3 adds at the end, section 4 is a DHCP host
    def.update(3, 4, -1, host).unwrap();
    assert_eq!(def.ips[0].dhcp.hosts.len(), 1);
    let before = def.clone();
    let twice = def.update(3, 4, -1, host).unwrap_err();
    assert_eq!(twice.code(), Some(Code::OperationInvalid));
    assert!(def.update(3, 5, -1, "<range start='10.1.2.1' end='10.1.2.2'/>").is_err());
    assert!(def.update(3, 10, -1, "<host ip='1.2.3.4'><hostname>a&#10;b</hostname></host>").is_err());
    assert_eq!(def, before, "a refused change leaves no trace");
    def.update(1, 4, -1, "<host mac='52:54:00:00:00:01' name='b' ip='10.1.1.3'/>").unwrap();
    assert_eq!(def.ips[0].dhcp.hosts[0].name.as_deref(), Some("b"));
    def.update(2, 4, -1, "<host name='b'/>").unwrap();
    def.update(3, 11, -1, "<txt name='x' value='y'/>").unwrap();
    assert!(def.ips[0].dhcp.hosts.is_empty() && def.dns.txts.len() == 1);
}

#[test]
fn state_files_come_back() {
    let def = NetworkDef::parse("<network><name>t</name><bridge name='b0'/></network>").unwrap();
    let rules = vec![status::RuleHandle { family: "ip6".into(), chain: "guest_input".into(), handle: 7 }];
    for unfinished in [false, true] {
        let status = NetworkStatus {
            def: def.clone(),
            class_ids: "0-2".into(),
            rules: rules.clone(),
            unfinished,
            ..NetworkStatus::default()
        };
        assert_eq!(NetworkStatus::parse(&status.format()).unwrap(), status);
    }
    assert!(NetworkStatus::parse("<networkstatus/>").is_err());
}

#[test]
fn ports_come_back() {
    let uuid = "11111111-2222-3333-4444-555555555555";
    let text = format!(
        "<networkport>\n  <uuid>{uuid}</uuid>\n  <owner>\n    <name>g</name>\n    <uuid>{uuid}</uuid>\n  </owner>\n  <group>gold</group>\n  \
         <mac address='52:54:00:01:02:03'/>\n  <bandwidth>\n    <inbound average='9' floor='3'/>\n  </bandwidth>\n  \
         <plug type='network' bridge='virbr0'/>\n</networkport>\n"
    );
    let port = NetworkPortDef::parse(&text).unwrap();
    assert_eq!(port.format(), text);
    assert!(NetworkPortDef::parse(&text.replace(uuid, "x")).is_err());
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,10}"
}

/// Text without control characters that XML has to escape.
fn words() -> impl Strategy<Value = String> {
    "[a-z<>&'\" .=;]{1,20}".prop_filter("not blank", |t| !t.trim().is_empty())
}

prop_compose! {
    fn ipv4()(third in 0u8..250, prefix in proptest::option::of(16u32..25), local in proptest::option::of(any::<bool>()),
              ranges in proptest::collection::vec((2u8..100, 0u8..100), 0..3), hosts in proptest::collection::vec((any::<[u8; 3]>(), name()), 0..3),
              tftp in proptest::option::of(name())) -> Ip {
        let at = |last: u8| std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 7, third, last));
        let lease = |n: u8| (n.is_multiple_of(2)).then_some(dhcp::Lease { expiry: u64::from(n) + 200, unit: dhcp::LeaseUnit::Seconds });
        Ip {
            family: None,
            address: at(1),
            netmask: prefix.is_none().then(|| std::net::Ipv4Addr::new(255, 255, 255, 0)),
            prefix: prefix.unwrap_or(0),
            local_ptr: local,
            tftp_root: tftp,
            dhcp: dhcp::Dhcp {
                ranges: ranges.into_iter().map(|(a, n)| dhcp::DhcpRange { start: at(a), end: at(a + n), lease: lease(n) }).collect(),
                hosts: hosts.into_iter().map(|(mac, name)| dhcp::DhcpHost {
                    mac: Some(address::Mac([0x52, 0x54, 0, mac[0], mac[1], mac[2]]).to_string()),
                    id: None,
                    name: Some(name),
                    ip: Some(at(mac[0])),
                    lease: lease(mac[1]),
                }).collect(),
                bootp: None,
            },
        }
    }
}

prop_compose! {
    fn network()(name in name(), uuid in proptest::option::of(any::<[u8; 16]>()), title in proptest::option::of(words()),
                 description in proptest::option::of(words()), ip in ipv4(), mode in 0usize..4, dev in proptest::option::of(name()),
                 ports in proptest::option::of(1u16..9000), mtu in proptest::option::of(68u32..9000), stp in any::<bool>(), delay in 0u64..30,
                 txt in proptest::collection::vec((name(), words()), 0..2), plain in proptest::option::of(any::<bool>()),
                 domain in proptest::option::of(name()), options in proptest::collection::vec(words(), 0..2)) -> NetworkDef {
        let mode = [None, Some(ForwardMode::Nat), Some(ForwardMode::Route), Some(ForwardMode::Open)][mode];
        let devices = dev.filter(|_| mode != Some(ForwardMode::Open)).map(forward::Device::Interface).into_iter().collect();
        let nat = forward::Nat { ports: ports.filter(|_| mode == Some(ForwardMode::Nat)).map(|p| (p, p + 10)), ..forward::Nat::default() };
        NetworkDef {
            uuid, title, description, mtu,
            bridge: Bridge { name: Some(format!("br-{name}")), stp: Some(stp), delay, ..Bridge::default() },
            forward: mode.map(|mode| Forward { mode, managed: false, driver: None, driver_model: None, nat, pf: None, devices }),
            domain: domain.map(|name| DnsDomain { name, local_only: Some(true), register: None }),
            dns: Dns {
                forward_plain_names: plain,
                txts: txt.into_iter().map(|(name, value)| dns::Txt { name, value: Some(value) }).collect(),
                ..Dns::default()
            },
            ips: vec![ip],
            dnsmasq_options: options,
            name,
            ..NetworkDef::default()
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_what_was_meant(def in network()) {
        let text = def.format(INACTIVE);
        prop_assert_eq!(NetworkDef::parse(&text).unwrap(), def);
    }

    #[test]
    fn no_document_makes_the_parser_panic(body in "[ -~]{0,60}", tag in 0usize..9) {
        let tag = ["ip", "dns", "forward", "bridge", "route", "portgroup", "vlan", "bandwidth", "virtualport"][tag];
        let _ = NetworkDef::parse(&format!("<network><name>t</name><{tag} {body}</network>"));
        let _ = NetworkDef::parse(&format!("<network><name>t</name><{tag}>{body}</{tag}></network>"));
    }
}
