//! `<networkstatus>`: the state file of an active network, readable by libvirt as well.

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer};

use super::{FormatFlags, NetworkDef};

/// An active network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkStatus {
    /// Definition of the running network.
    pub def: NetworkDef,
    /// Traffic classes in use, as a bitmap string.
    pub class_ids: String,
    /// Sum of guaranteed rates, KiB/s.
    pub floor_sum: u64,
    /// Why results may differ from a plain network's.
    pub taints: Vec<String>,
    /// Rules of this network in nft's tables.
    pub rules: Vec<RuleHandle>,
    /// A start or stop is on its way. If it was cut short, everything named here is to be taken down; libvirt passes over this mark.
    pub unfinished: bool,
}

/// Where nft keeps a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHandle {
    /// `ip` or `ip6`.
    pub family: String,
    /// Chain within table `libvirt_network`.
    pub chain: String,
    /// nft's number.
    pub handle: u64,
}

/// The table that libvirt's nftables backend keeps its rules in.
pub const TABLE: &str = "libvirt_network";

impl NetworkStatus {
    /// Reads a state file.
    ///
    /// # Errors
    /// Syntax errors, a definition that is none.
    pub fn parse(text: &str) -> Result<Self> {
        let document = xml::parse(text)?;
        let root = document.root();
        if root.name() != "networkstatus" {
            // files older than libvirt 1.2 hold the bare definition
            return NetworkDef::from_node(root).map(|def| Self { def, ..Self::default() });
        }
        let missing =
            || Error::new(Domain::Network, Code::InternalError, "Could not find any 'network' element in status file");
        let def = NetworkDef::from_node(root.child("network").ok_or_else(missing)?)?;
        Ok(Self {
            def,
            class_ids: root.child("class_id").and_then(|n| n.string("bitmap")).unwrap_or_default(),
            floor_sum: root.child("floor").map(|n| n.u64("sum")).transpose()?.flatten().unwrap_or(0),
            taints: root.children("taint").filter_map(|n| n.string("flag")).collect(),
            rules: root.child("firewall").map(rules).unwrap_or_default(),
            unfinished: root.child("unfinished").is_some(),
        })
    }

    /// The document.
    pub fn format(&self) -> String {
        let mut w = Writer::new();
        w.element("networkstatus", |w| {
            w.element("class_id", |w| {
                w.attr("bitmap", if self.class_ids.is_empty() { "0-2" } else { &self.class_ids })
            });
            w.element("floor", |w| w.attr("sum", self.floor_sum));
            for flag in &self.taints {
                w.element("taint", |w| w.attr("flag", flag));
            }
            if self.unfinished {
                w.empty("unfinished");
            }
            self.def.write(w, FormatFlags::default(), &|_| 0);
            if !self.rules.is_empty() {
                self.write_rules(w);
            }
        });
        w.finish()
    }

    /// The commands that take the rules away, in the form libvirt executes them.
    fn write_rules(&self, w: &mut Writer) {
        w.element("firewall", |w| {
            w.attr("name", "fwRemoval");
            w.attr("backend", "nftables");
            w.element("group", |w| {
                w.attr("ignoreErrors", "yes");
                for rule in &self.rules {
                    w.element("action", |w| {
                        w.attr("layer", if rule.family == "ip6" { "ipv6" } else { "ipv4" });
                        w.element("args", |w| {
                            let handle = rule.handle.to_string();
                            for item in ["delete", "rule", &rule.family, TABLE, &rule.chain, "handle", &handle] {
                                w.leaf("item", item);
                            }
                        });
                    });
                }
            });
        });
    }
}

fn rules(firewall: Node<'_>) -> Vec<RuleHandle> {
    if firewall.attr("backend") != Some("nftables") {
        return Vec::new();
    }
    let mut rules = Vec::new();
    for action in firewall.children("group").flat_map(|g| g.children("action").collect::<Vec<_>>()) {
        let Some(args) = action.child("args") else { continue };
        let items: Vec<String> = args.children("item").map(|n| n.text()).collect();
        if let [delete, rule, family, table, chain, word, handle] = items.as_slice()
            && delete == "delete"
            && rule == "rule"
            && table == TABLE
            && word == "handle"
            && let Ok(handle) = handle.parse()
        {
            rules.push(RuleHandle { family: family.clone(), chain: chain.clone(), handle });
        }
    }
    rules
}
