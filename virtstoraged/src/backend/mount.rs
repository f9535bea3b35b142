//! Pools that are a file system to be mounted: a device (fs) or an export (netfs).

use std::time::Duration;

use conf::pool::{PoolDef, PoolType};
use error::Result;

use super::directory::{self, Directory};
use super::{Backend, Scan, file_system};
use crate::tool;

/// How long a mount may take; a server that does not answer must not hold the pool for ever.
const MOUNT_TIMEOUT: Duration = Duration::from_secs(180);

pub(crate) struct Mount;

impl Backend for Mount {
    fn is_up(&self, def: &PoolDef) -> bool {
        mounted_from(def.target()).is_some_and(|source| source == source_of(def))
    }

    fn build(&self, def: &PoolDef, flags: u32) -> Result<()> {
        let formatting = file_system::wants_formatting(flags)?;
        directory::make(def)?;
        if formatting { file_system::format(def, flags) } else { Ok(()) }
    }

    fn start(&self, def: &PoolDef) -> Result<()> {
        let source = source_of(def);
        match mounted_from(def.target()) {
            Some(mounted) if mounted == source => return Ok(()),
            _ => {}
        }
        let mut options: Vec<&str> = vec!["nodev", "nosuid", "noexec"];
        let version = def.source.protocol_version.as_ref().map(|v| format!("nfsvers={v}"));
        options.extend(version.as_deref());
        options.extend(def.mount_options.0.iter().map(String::as_str));
        let mut arguments = vec!["-o".to_owned(), options.join(",")];
        match def.source.format {
            Some("auto") if def.kind == PoolType::Netfs => {}
            Some(format) => arguments.extend(["-t".to_owned(), format.to_owned()]),
            None => {}
        }
        if source.starts_with('-') || def.target().starts_with('-') {
            arguments.push("--".to_owned());
        }
        arguments.extend([source, def.target().to_owned()]);
        tool::run_blocking("mount", &arguments, MOUNT_TIMEOUT)
    }

    fn stop(&self, def: &PoolDef) -> Result<()> {
        if mounted_from(def.target()).is_none() {
            return Ok(());
        }
        tool::run_blocking("umount", &["--".to_owned(), def.target().to_owned()], MOUNT_TIMEOUT)
    }

    fn delete(&self, def: &PoolDef, flags: u32) -> Result<()> {
        Directory.delete(def, flags)
    }

    fn scan(&self, def: &PoolDef) -> Result<Scan> {
        Directory.scan(def)
    }

    fn figures(&self, def: &PoolDef) -> Result<(u64, u64, u64)> {
        Directory.figures(def)
    }
}

/// What mount calls the source.
fn source_of(def: &PoolDef) -> String {
    let host = def.source.hosts.first().map_or("", |host| host.name.as_str());
    let dir = def.source.dir.as_deref().unwrap_or("");
    match (def.kind, def.source.format) {
        (PoolType::Netfs, Some("cifs")) => format!("//{host}{dir}"),
        (PoolType::Netfs, _) if host.contains(':') => format!("[{host}]:{dir}"),
        (PoolType::Netfs, _) => format!("{host}:{dir}"),
        _ => def.source.devices.first().map_or(String::new(), |device| device.path.clone()),
    }
}

/// What is mounted at `target`, if anything is.
fn mounted_from(target: &str) -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/mounts").ok()?;
    table.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        let (source, place) = (words.next()?, words.next()?);
        (unescape(place) == target).then(|| unescape(source))
    })
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescape(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        match (first, digits.and_then(|d| u8::from_str_radix(d, 8).ok())) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_as_mount_wants_them() {
        let netfs = |host: &str, format: &str| {
            let text = format!(
                "<pool type='netfs'><name>a</name><source><host name='{host}'/><dir path='/x'/><format type='{format}'/></source><target><path>/t</path></target></pool>"
            );
            source_of(&PoolDef::parse(&text).unwrap())
        };
        assert_eq!(netfs("h", "nfs"), "h:/x");
        assert_eq!(netfs("fe80::1", "nfs"), "[fe80::1]:/x");
        assert_eq!(netfs("h", "cifs"), "//h/x");
    }

    #[test]
    fn escapes_of_the_mount_table() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescape("/plain\\"), "/plain\\");
        assert!(mounted_from("/no such mount").is_none());
    }
}
