//! The text of a record: a head, the entries at that time, then one line for each change since. Pure.
//!
//! ```text
//! {"format":1,"daemon":"virtlockd","boot_id":"…","serial":7,"entries":2}
//! {"put":{…}}
//! {"put":{…}}
//! {"drop":"l4"}          change 8
//! {"put":{…}}            change 9
//! ```
//!
//! A write that is cut short leaves a last line without its end, which does not count.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Layout of the text.
pub const FORMAT: u32 = 1;

/// Something that outlives the process.
pub trait Entry: Serialize + DeserializeOwned {
    /// Its name; a later entry of the same name replaces it.
    fn key(&self) -> String;
}

/// Whose record it is, and how far it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the daemon.
    pub daemon: String,
    /// The boot during which the record means something.
    pub boot_id: String,
    /// Number of the last change that is in the entries.
    pub serial: u64,
    /// How many entries follow before the changes.
    pub entries: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Writing<'a, E> {
    Put(&'a E),
    Drop(&'a str),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reading<E> {
    Put(E),
    Drop(String),
}

/// The line that puts an entry.
pub fn put(entry: &impl Entry) -> serde_json::Result<String> {
    line(&Writing::Put(entry))
}

/// The line that drops the entry of a name.
pub fn drop(key: &str) -> serde_json::Result<String> {
    line(&Writing::<()>::Drop(key))
}

/// The first line.
pub fn head(head: &Head) -> serde_json::Result<String> {
    line(head)
}

fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string(value)?;
    text.push('\n');
    Ok(text)
}

/// Why a text does not count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another daemon's, of another boot or layout.
    #[error("it is of another format, daemon or boot")]
    Foreign,
    /// Torn or changed.
    #[error("it is damaged")]
    Damaged,
}

/// Reads a text; returns the number of its last change and what was there after it.
pub fn read<E: Entry>(text: &[u8], daemon: &str, boot_id: &str) -> Result<(u64, Vec<E>), Unusable> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').map_while(|line| line.strip_suffix(b"\n"));
    let head: Head = lines.next().and_then(parse).ok_or(Unusable::Damaged)?;
    if (head.format, head.daemon.as_str(), head.boot_id.as_str()) != (FORMAT, daemon, boot_id) {
        return Err(Unusable::Foreign);
    }
    let mut entries = BTreeMap::new();
    for _ in 0..head.entries {
        match lines.next().and_then(parse::<Reading<E>>) {
            Some(Reading::Put(entry)) => entries.insert(entry.key(), entry),
            _ => return Err(Unusable::Damaged),
        };
    }
    let mut serial = head.serial;
    for change in lines.map_while(parse::<Reading<E>>) {
        match change {
            Reading::Put(entry) => entries.insert(entry.key(), entry),
            Reading::Drop(key) => entries.remove(&key),
        };
        serial += 1;
    }
    Ok((serial, entries.into_values().collect()))
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        name: String,
        text: String,
    }

    impl Entry for Note {
        fn key(&self) -> String {
            self.name.clone()
        }
    }

    fn note(name: &str, text: &str) -> Note {
        Note { name: name.into(), text: text.into() }
    }

    fn first(entries: usize) -> String {
        head(&Head { format: FORMAT, daemon: "d".into(), boot_id: "b".into(), serial: 7, entries }).unwrap()
    }

    fn text(lines: &[String]) -> Vec<u8> {
        lines.concat().into_bytes()
    }

    #[test]
    fn entries_and_changes() {
        let (one, two) = (note("1", "a\nb"), note("2", ""));
        let lines = [first(1), put(&one).unwrap(), put(&two).unwrap(), drop("1").unwrap(), drop("9").unwrap()];
        assert_eq!(read::<Note>(&text(&lines), "d", "b"), Ok((10, vec![two])));
        assert_eq!(read::<Note>(&text(&lines), "x", "b"), Err(Unusable::Foreign));
        assert_eq!(read::<Note>(&text(&lines), "d", "x"), Err(Unusable::Foreign));
        assert_eq!(read::<Note>(b"", "d", "b"), Err(Unusable::Damaged));
        assert_eq!(read::<Note>(&text(&[first(2), put(&one).unwrap()]), "d", "b"), Err(Unusable::Damaged));
        assert_eq!(read::<Note>(&text(&[first(1), drop("1").unwrap()]), "d", "b"), Err(Unusable::Damaged));
    }

    proptest! {
        /// A text that is cut anywhere says what was there after one of its changes, or nothing at all.
        #[test]
        fn a_cut_text_is_an_earlier_one(changes in proptest::collection::vec((0..4u8, any::<bool>()), 0..20), cut in 0..2_000usize) {
            let mut lines = vec![first(1), put(&note("0", "start")).unwrap()];
            let mut states = vec![read::<Note>(&text(&lines), "d", "b").unwrap()];
            for (number, (name, present)) in changes.into_iter().enumerate() {
                let name = name.to_string();
                lines.push(if present { put(&note(&name, &number.to_string())).unwrap() } else { drop(&name).unwrap() });
                states.push(read::<Note>(&text(&lines), "d", "b").unwrap());
            }
            let whole = text(&lines);
            let got = read::<Note>(&whole[..cut.min(whole.len())], "d", "b");
            prop_assert!(got == Err(Unusable::Damaged) || states.contains(&got.unwrap()));
            prop_assert_eq!(states.last().unwrap().0, 7 + lines.len() as u64 - 2);
        }
    }
}
