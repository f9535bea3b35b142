//! nft: a network's rules are put in place, replaced and removed in one transaction each.

use std::collections::HashMap;

use conf::network::status::{RuleHandle, TABLE};
use error::{Code, Domain, Error, Result};
use serde_json::Value;
use tokio::process::Command;

use super::process::{run, tool};
use crate::plan::firewall::{Family, Rule, base, delete, delete_base, insert};

/// A rule as nft lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    at: RuleHandle,
    comment: Option<String>,
}

fn nft(arguments: &[&str]) -> Command {
    let mut command = tool("nft");
    command.args(arguments);
    command
}

/// Replaces the rules marked `mark` by `rules`. Packets meet the old rules or the new ones, never none.
///
/// `known` is `None` for a network that has no rules yet.
///
/// A host without IPv6 tables is fine when no rule needs them.
///
/// # Errors
/// nft's complaint; the rules are then as before.
pub async fn replace(mark: &str, known: Option<&[RuleHandle]>, rules: &[Rule]) -> Result<Vec<RuleHandle>> {
    let mut text = String::new();
    for family in [Family::Ip, Family::Ip6] {
        if family == Family::Ip || rules.iter().any(|r| r.family == family) {
            text.push_str(&base(family));
        }
    }
    if let Some(known) = known {
        for old in find(mark, known).await? {
            text.push_str(&delete(&old.family, &old.chain, old.handle));
        }
    }
    for rule in rules {
        text.push_str(&insert(rule, mark));
    }
    // the echo is text because nft reads a batch that is not JSON from a pipe only when its output is text as well
    let echo = run(nft(&["-e", "-a", "-f", "-"]), Some(&text)).await?;
    let mut handles: Vec<RuleHandle> = String::from_utf8_lossy(&echo).lines().filter_map(echoed).collect();
    // last in, first out, as libvirt's own records have it
    handles.reverse();
    Ok(handles)
}

/// Removes the rules marked `mark`, and those of `known` that carry no mark (libvirt's own), and the tables when no rule of any network is left.
///
/// # Errors
/// nft's complaint.
pub async fn remove(mark: &str, known: &[RuleHandle]) -> Result<()> {
    for family in [Family::Ip, Family::Ip6] {
        let Some(rules) = list(family).await? else { continue };
        let (ours, others): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| is_ours(rule, mark, known));
        let mut text: String =
            ours.iter().map(|rule| delete(&rule.at.family, &rule.at.chain, rule.at.handle)).collect();
        let last = others.iter().all(|rule| rule.at.chain == "forward");
        // nft refuses to delete a chain that has rules: one that another network has just filled is safe
        if last && run(nft(&["-f", "-"]), Some(&(text.clone() + &delete_base(family)))).await.is_ok() {
            continue;
        }
        text.push('\n');
        run(nft(&["-f", "-"]), Some(&text)).await?;
    }
    Ok(())
}

/// How many rules each mark has.
///
/// # Errors
/// nft's complaint.
pub async fn marked() -> Result<HashMap<String, usize>> {
    let mut counts = HashMap::new();
    for family in [Family::Ip, Family::Ip6] {
        for rule in list(family).await?.unwrap_or_default() {
            if let Some(mark) = rule.comment {
                *counts.entry(mark).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

/// Chains of other tables that drop what they do not know, among packets that are forwarded: guests' packets have to pass them too.
///
/// # Errors
/// nft's complaint.
pub async fn dropping_chains() -> Result<Vec<String>> {
    let text = run(nft(&["-j", "list", "chains"]), None).await?;
    let chains = objects(&text)?;
    let dropping = chains.iter().filter_map(|o| o.get("chain")).filter_map(|chain| {
        let word = |name: &str| chain.get(name).and_then(Value::as_str).unwrap_or_default();
        let drops = word("hook") == "forward" && word("policy") == "drop" && word("table") != TABLE;
        drops.then(|| format!("{} {} {}", word("family"), word("table"), word("name")))
    });
    Ok(dropping.collect())
}

fn is_ours(rule: &Listed, mark: &str, known: &[RuleHandle]) -> bool {
    match &rule.comment {
        Some(comment) => comment == mark,
        None => known.contains(&rule.at) && rule.at.chain != "forward",
    }
}

/// Rules of one network, by mark or, where there is no mark, by the numbers that the state file remembers.
async fn find(mark: &str, known: &[RuleHandle]) -> Result<Vec<RuleHandle>> {
    let mut found = Vec::new();
    for family in [Family::Ip, Family::Ip6] {
        let rules = list(family).await?.unwrap_or_default();
        found.extend(rules.into_iter().filter(|rule| is_ours(rule, mark, known)).map(|rule| rule.at));
    }
    Ok(found)
}

/// The rules of our table; `None` when there is no such table.
async fn list(family: Family) -> Result<Option<Vec<Listed>>> {
    let text = match run(nft(&["-j", "-a", "list", "table", family.word(), TABLE]), None).await {
        Ok(text) => text,
        Err(e) if e.message.contains("No such file or directory") => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(Some(objects(&text)?.iter().filter_map(|o| o.get("rule").and_then(listed)).collect()))
}

fn objects(text: &[u8]) -> Result<Vec<Value>> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let wrong =
        |what: &str| Error::new(Domain::Network, Code::InternalError, format!("unexpected output of nft: {what}"));
    let value: Value = serde_json::from_slice(text).map_err(|e| wrong(&e.to_string()))?;
    match value.get("nftables") {
        Some(Value::Array(list)) => Ok(list.clone()),
        _ => Err(wrong("no list")),
    }
}

/// A line such as `insert rule ip libvirt_network guest_cross ... # handle 11`.
fn echoed(line: &str) -> Option<RuleHandle> {
    let mut words = line.strip_prefix("insert rule ")?.split(' ');
    let (family, table, chain) = (words.next()?, words.next()?, words.next()?);
    let handle = line.rsplit_once("# handle ")?.1.trim().parse().ok()?;
    (table == TABLE).then(|| RuleHandle { family: family.to_owned(), chain: chain.to_owned(), handle })
}

fn listed(rule: &Value) -> Option<Listed> {
    let text = |name: &str| rule.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Listed {
        at: RuleHandle { family: text("family")?, chain: text("chain")?, handle: rule.get("handle")?.as_u64()? },
        comment: text("comment"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_echo() {
        let line = "insert rule ip libvirt_network guest_nat handle 16 meta l4proto udp counter packets 0 bytes 0 masquerade comment \"m\" # handle 15";
        assert_eq!(echoed(line), Some(RuleHandle { family: "ip".into(), chain: "guest_nat".into(), handle: 15 }));
        assert_eq!(echoed("add rule ip libvirt_network forward counter jump guest_cross # handle 6"), None);
        assert_eq!(echoed("insert rule ip filter INPUT accept # handle 6"), None);
        assert_eq!(echoed("# new generation 2 by process 7 (nft)"), None);
    }
}
