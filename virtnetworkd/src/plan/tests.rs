//! Plans as text: golden files, and strings that try to break out of them.

use std::path::{Path, PathBuf};

use conf::network::NetworkDef;

use super::{dnsmasq, firewall};

fn lay_out(def: &NetworkDef) -> dnsmasq::DnsmasqPlan {
    let files = dnsmasq::Files {
        pid: Some(Path::new("/run/n.pid")),
        hosts: Path::new("/lib/n.hostsfile"),
        addn_hosts: Path::new("/lib/n.addnhosts"),
    };
    dnsmasq::plan(def, def.bridge.name.as_deref().unwrap_or("virbr9"), files)
}

fn rules(def: &NetworkDef) -> String {
    let rules = firewall::plan(def, def.bridge.name.as_deref().unwrap_or("virbr9"));
    rules.iter().map(|rule| firewall::insert(rule, "mark")).collect()
}

/// Everything that a network writes for tools to read.
fn everything(def: &NetworkDef) -> String {
    let plan = lay_out(def);
    format!("== conf\n{}== hostsfile\n{}== addnhosts\n{}== nft\n{}", plan.conf, plan.hosts, plan.addn_hosts, rules(def))
}

#[test]
fn plans_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/cases");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|e| e == "xml"));
    assert!(cases.len() >= 4, "cases are missing");
    for case in cases {
        let def = NetworkDef::parse(&std::fs::read_to_string(&case).unwrap()).unwrap();
        let recorded = case.with_extension("plan");
        let now = everything(&def);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&recorded, &now).unwrap();
        }
        assert_eq!(now, std::fs::read_to_string(&recorded).unwrap(), "{}", case.display());
    }
}

/// With the corpus of libvirt's answers (`OXVIRT_CORPUS`): dnsmasq's files are libvirt's byte for byte.
#[test]
fn corpus_gives_libvirts_files() {
    let Ok(corpus) = std::env::var("OXVIRT_CORPUS") else {
        eprintln!("skipped: needs OXVIRT_CORPUS, the folder of documents with libvirt's answers");
        return;
    };
    let mut compared = 0;
    for entry in std::fs::read_dir(Path::new(&corpus).join("network-conf")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "conf") {
            continue;
        }
        let def = NetworkDef::parse(&std::fs::read_to_string(path.with_extension("xml")).unwrap()).unwrap();
        let lib = Path::new("/var/lib/libvirt/dnsmasq");
        let (hosts, addn) = (lib.join(format!("{}.hostsfile", def.name)), lib.join(format!("{}.addnhosts", def.name)));
        let bridge = def.bridge.name.clone().unwrap_or_else(|| "virbr0".to_owned());
        let plan = dnsmasq::plan(&def, &bridge, dnsmasq::Files { pid: None, hosts: &hosts, addn_hosts: &addn });
        assert_eq!(plan.conf, std::fs::read_to_string(&path).unwrap(), "{}", path.display());
        if let Ok(expected) = std::fs::read_to_string(path.with_extension("hostsfile")) {
            assert_eq!(plan.hosts, expected, "{}", path.display());
        }
        compared += 1;
    }
    assert!(compared > 5);
}

/// A document with `x` at one place after the other, where a string of the user reaches a file, a rule or an argument.
fn with_string(place: usize, x: &str) -> String {
    let at = |n: usize, usual: &str| if n == place { x.to_owned() } else { usual.to_owned() };
    format!(
        "<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'><name>{}</name><forward mode='nat' dev='{}'/><bridge name='{}'/>\
         <domain name='{}' localOnly='yes'/><dns><forwarder domain='{}' addr='10.9.9.9'/><txt name='{}' value='{}'/>\
         <srv service='{}' protocol='{}' domain='{}' target='{}' port='5'/><host ip='10.1.1.7'><hostname>{}</hostname></host></dns>\
         <ip address='10.1.1.1' prefix='24'><tftp root='{}'/><dhcp><range start='10.1.1.2' end='10.1.1.9'/>\
         <host mac='{}' name='{}' ip='10.1.1.8'/><bootp file='{}'/></dhcp></ip>\
         <ip family='ipv6' address='fd00:7::1' prefix='64'><dhcp><host id='{}' name='v6' ip='fd00:7::2'/></dhcp></ip>\
         <dnsmasq:options><dnsmasq:option value='{}'/></dnsmasq:options></network>",
        at(0, "net"),
        at(1, "eth0"),
        at(2, "virbr9"),
        at(3, "dom"),
        at(4, "fwd"),
        at(5, "txt"),
        at(6, "value"),
        at(7, "svc"),
        at(8, "tcp"),
        at(9, "srvdom"),
        at(10, "target"),
        at(11, "host"),
        at(12, "/srv"),
        at(13, "52:54:00:00:00:01"),
        at(14, "guest"),
        at(15, "boot"),
        at(16, "0:1"),
        at(17, "log-dhcp")
    )
}

#[test]
fn no_string_begins_a_line_of_its_own() {
    let usual = everything(&NetworkDef::parse(&with_string(99, "")).unwrap()).lines().count();
    let attacks = [
        "&#10;",
        "&#13;",
        "&#0;",
        "&#9;",
        "&quot;",
        "&apos;",
        "\\",
        ";",
        "#",
        "=",
        " #",
        "&#10;port=0",
        "&#x2028;",
        "&#133;",
        "a&#10;dhcp-script=/bin/sh",
        "{",
        "}",
        ",",
    ];
    let mut taken = 0;
    for place in 0..18 {
        for attack in attacks {
            for text in [attack.to_owned(), format!("a{attack}b")] {
                // a refusal is what we want; what is taken must not add a line, or end one early
                let Ok(def) = NetworkDef::parse(&with_string(place, &text)) else { continue };
                taken += 1;
                let plan = everything(&def);
                assert_eq!(plan.lines().count(), usual, "place {place}, {text:?}:\n{plan}");
                assert!(!plan.contains('\r') && !plan.contains('\0'), "place {place}, {text:?}");
                for line in rules(&def).lines() {
                    assert_eq!(line.matches('"').count() % 2, 0, "place {place}, {text:?}: {line}");
                    assert!(line.ends_with("comment \"mark\""), "place {place}, {text:?}: {line}");
                }
            }
        }
    }
    assert!(taken > 20, "harmless strings are still taken: {taken}");
}
