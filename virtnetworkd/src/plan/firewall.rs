//! nft's rules of a network: libvirt's nftables backend, rule for rule.
//!
//! All networks share table `libvirt_network` of families `ip` and `ip6`. Rules are inserted at the head of their chain, so the last one written is looked
//! at first: what rejects is written before what accepts. Each rule carries the network's uuid as a comment, by which it is found again.

use std::net::IpAddr;

use conf::network::address::network_of;
use conf::network::status::TABLE;
use conf::network::{ForwardMode, NetworkDef};

/// A packet family of nft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    /// nft's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }

    fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::Ip } else { Self::Ip6 }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Family of the table.
    pub family: Family,
    /// Chain in it.
    pub chain: &'static str,
    /// Matches and verdict in nft's language.
    pub text: String,
}

const CROSS: &str = "guest_cross";
const INPUT: &str = "guest_input";
const OUTPUT: &str = "guest_output";
const NAT: &str = "guest_nat";

/// The rules in the order in which they are inserted.
pub fn plan(def: &NetworkDef, bridge: &str) -> Vec<Rule> {
    if def.mode() == Some(ForwardMode::Open) {
        return Vec::new();
    }
    let mut rules = Vec::new();
    general(&mut rules, Family::Ip, bridge);
    if def.ips.iter().any(|ip| ip.is_v6()) || def.ipv6 {
        general(&mut rules, Family::Ip6, bridge);
    }
    let dev = def.forward.as_ref().and_then(|f| f.dev());
    for ip in &def.ips {
        let prefix = ip.effective_prefix().unwrap_or(0);
        let net = format!("{}/{prefix}", network_of(ip.address, prefix));
        let nat6 = def.forward.as_ref().is_some_and(|f| f.nat.ipv6 == Some(true));
        let family = Family::of(ip.address);
        match def.mode() {
            Some(ForwardMode::Nat) if family == Family::Ip || nat6 => {
                masquerade(&mut rules, def, family, &net, bridge, dev)
            }
            // IPv6 of a NAT network is routed unless the definition says otherwise
            Some(ForwardMode::Nat | ForwardMode::Route) => route(&mut rules, family, &net, bridge, dev),
            _ => {}
        }
    }
    rules
}

fn general(rules: &mut Vec<Rule>, family: Family, bridge: &str) {
    let mut push = |chain, text: String| rules.push(Rule { family, chain, text });
    push(OUTPUT, format!("iif \"{bridge}\" counter reject"));
    push(INPUT, format!("oif \"{bridge}\" counter reject"));
    push(CROSS, format!("iif \"{bridge}\" oif \"{bridge}\" counter accept"));
}

fn out_of(dev: Option<&str>) -> String {
    dev.map(|dev| format!(" oifname \"{dev}\"")).unwrap_or_default()
}

fn in_of(dev: Option<&str>) -> String {
    dev.map(|dev| format!("iifname \"{dev}\" ")).unwrap_or_default()
}

fn route(rules: &mut Vec<Rule>, family: Family, net: &str, bridge: &str, dev: Option<&str>) {
    let ip = family.word();
    rules.push(Rule {
        family,
        chain: OUTPUT,
        text: format!("{ip} saddr {net} iif \"{bridge}\"{} counter accept", out_of(dev)),
    });
    rules.push(Rule {
        family,
        chain: INPUT,
        text: format!("{ip} daddr {net} {}oif \"{bridge}\" counter accept", in_of(dev)),
    });
}

fn masquerade(rules: &mut Vec<Rule>, def: &NetworkDef, family: Family, net: &str, bridge: &str, dev: Option<&str>) {
    let ip = family.word();
    let (out, into) = (out_of(dev), in_of(dev));
    let mut push = |chain, text: String| rules.push(Rule { family, chain, text });
    push(OUTPUT, format!("{ip} saddr {net} iif \"{bridge}\"{out} counter accept"));
    push(INPUT, format!("{into}oif \"{bridge}\" {ip} daddr {net} ct state related,established counter accept"));

    let nat = def.forward.as_ref().map(|f| &f.nat);
    let addresses = nat.and_then(|n| n.addresses).filter(|_| family == Family::Ip);
    let ports = nat.and_then(|n| n.ports);
    // source ports below 1024 would let a guest pass for a privileged service (CVE-2012-3411's neighbour)
    let ports = ports.map_or("1024-65535".to_owned(), |(start, end)| format!("{start}-{end}"));
    let verdict = |ports: Option<&str>| {
        let ports = ports.map(|p| format!(":{p}")).unwrap_or_default();
        match addresses {
            Some((start, end)) if start == end => format!("snat to {start}{ports}"),
            Some((start, end)) => format!("snat to {start}-{end}{ports}"),
            None if ports.is_empty() => "masquerade".to_owned(),
            None => format!("masquerade to {ports}"),
        }
    };
    let leaving = format!("{ip} saddr {net} {ip} daddr != {net}{out} counter");
    push(NAT, format!("{leaving} {}", verdict(None)));
    push(NAT, format!("meta l4proto udp {leaving} {}", verdict(Some(&ports))));
    push(NAT, format!("meta l4proto tcp {leaving} {}", verdict(Some(&ports))));
    // what is meant for the local wire keeps its source
    let local: &[&str] = match family {
        Family::Ip => &["255.255.255.255/32", "224.0.0.0/24"],
        Family::Ip6 => &["ff02::/16"],
    };
    for to in local {
        let dev = dev.map(|dev| format!("oifname \"{dev}\" ")).unwrap_or_default();
        push(NAT, format!("{dev}{ip} saddr {net} {ip} daddr {to} counter return"));
    }
}

/// Commands that make the tables and the chains that all networks share; they change nothing where these exist.
pub fn base(family: Family) -> String {
    let ip = family.word();
    let mut text = format!(
        "add table {ip} {TABLE}\n\
         add chain {ip} {TABLE} forward {{ type filter hook forward priority 0; policy accept; }}\n\
         add chain {ip} {TABLE} {OUTPUT}\n\
         add chain {ip} {TABLE} {INPUT}\n\
         add chain {ip} {TABLE} {CROSS}\n\
         add chain {ip} {TABLE} {NAT} {{ type nat hook postrouting priority 100; policy accept; }}\n\
         flush chain {ip} {TABLE} forward\n"
    );
    for chain in [CROSS, INPUT, OUTPUT] {
        text.push_str(&format!("add rule {ip} {TABLE} forward counter jump {chain}\n"));
    }
    text
}

/// Commands that remove the tables; they fail, all of them, when a network has rules there.
pub fn delete_base(family: Family) -> String {
    let ip = family.word();
    let mut text = format!("flush chain {ip} {TABLE} forward\ndelete chain {ip} {TABLE} forward\n");
    for chain in [CROSS, INPUT, OUTPUT, NAT] {
        text.push_str(&format!("delete chain {ip} {TABLE} {chain}\n"));
    }
    text.push_str(&format!("delete table {ip} {TABLE}\n"));
    text
}

/// The command that inserts a rule; `mark` is the comment it is found by.
pub fn insert(rule: &Rule, mark: &str) -> String {
    format!("insert rule {} {TABLE} {} {} comment \"{mark}\"\n", rule.family.word(), rule.chain, rule.text)
}

/// The command that removes the rule with nft's number `handle`.
pub fn delete(family: &str, chain: &str, handle: u64) -> String {
    format!("delete rule {family} {TABLE} {chain} handle {handle}\n")
}
