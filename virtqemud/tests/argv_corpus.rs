//! Command lines against libvirt's recorded ones.
//!
//! `OXVIRT_CORPUS` is the folder with the `domain` documents and their `answers.json`; `OXVIRT_SHOW=N` prints the first N
//! differences, `OXVIRT_ONLY=NAME` looks at one document, `OXVIRT_QEMU_PATH` says where emulators are,
//! `OXVIRT_FIRMWARE` where firmware descriptors are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use error::{Code, Domain, Error};
use serde_json::Value;
use virtqemud::capability::emulator::{arch_from_target, target_from_arch};
use virtqemud::capability::means::HostMeans;
use virtqemud::capability::probe::ProbeUser;
use virtqemud::capability::{Capability, CapabilityCache, firmware};
use virtqemud::command::{LaunchInputs, native, need};
use virtqemud::definition::{self, Facts, Flags, Wanted};

/// Share of the recorded command lines that must be equal, in per cent.
const WANTED: usize = 95;

#[tokio::test]
async fn command_lines_equal_libvirts() {
    let Some(corpus) = std::env::var_os("OXVIRT_CORPUS").map(PathBuf::from) else {
        assert!(std::env::var_os("REQUIRE").is_none(), "skipped: needs OXVIRT_CORPUS");
        eprintln!("skipped: needs OXVIRT_CORPUS");
        return;
    };
    let answers: BTreeMap<String, Value> =
        serde_json::from_slice(&std::fs::read(corpus.join("domain/answers.json")).unwrap()).unwrap();
    let directory = std::env::temp_dir().join("oxvirt-test-capabilities");
    let mut cache = CapabilityCache::new(directory, ProbeUser::default());
    if let Some(path) = std::env::var_os("OXVIRT_QEMU_PATH") {
        cache = cache.with_search_path(path);
    }
    let folders = std::env::var("OXVIRT_FIRMWARE").map(|f| f.split(':').map(PathBuf::from).collect());
    let host = Host { cache, firmwares: firmware::read(&folders.unwrap_or_else(|_| firmware::folders(None))) };
    let only = std::env::var("OXVIRT_ONLY").ok();
    let mut show: usize = std::env::var("OXVIRT_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let (mut equal, mut total, mut skipped) = ([0, 0], [0, 0], 0);
    for (name, answer) in &answers {
        if only.as_ref().is_some_and(|o| o != name) {
            continue;
        }
        let source =
            String::from_utf8_lossy(&std::fs::read(corpus.join(format!("domain/{name}.xml"))).unwrap()).into_owned();
        let recorded = &answer["argv"];
        let (kind, wanted) = match (recorded["ok"].as_str(), recorded["error"].as_array()) {
            (Some(line), _) => (0, words(line, &source)),
            (None, Some(error)) => (1, vec![format!("error {}", error[0]), error[3].as_str().unwrap_or("").to_owned()]),
            _ => continue,
        };
        let emulator = wanted.iter().find_map(|w| w.strip_prefix("/usr/bin/qemu-system-"));
        if emulator.is_some_and(|name| host.cache.emulator_for(arch_from_target(name)).is_none()) {
            skipped += 1;
            continue;
        }
        total[kind] += 1;
        let got = match host.native(&source).await {
            Ok(text) => words(&text, &source),
            Err(e) => vec![format!("error {}", e.code), e.message],
        };
        if wanted == got || (kind == 1 && wanted[0] == got[0]) {
            equal[kind] += 1;
            continue;
        }
        if show > 0 {
            show -= 1;
            println!("--- {name}");
            let mut ordered = true;
            for word in wanted.iter().filter(|w| !got.contains(w)) {
                ordered = false;
                println!("- {word}");
            }
            for word in got.iter().filter(|g| !wanted.contains(g)) {
                ordered = false;
                println!("+ {word}");
            }
            if ordered {
                let first = wanted.iter().zip(&got).position(|(a, b)| a != b).unwrap_or(0);
                println!("order: {:?} against {:?}", wanted.get(first), got.get(first));
            }
        }
    }
    println!("{} of {} command lines equal, {} of {} errors of the same code", equal[0], total[0], equal[1], total[1]);
    if skipped > 0 {
        println!("skipped: {skipped} documents need an emulator that is not here");
    }
    if only.is_none() && total[0] > 0 {
        assert!(equal[0] * 100 >= WANTED * total[0], "{} of {}", equal[0], total[0]);
    }
}

struct Host {
    cache: CapabilityCache,
    firmwares: Vec<firmware::Firmware>,
}

impl Host {
    /// The emulator of a document: the path that it shows and its abilities.
    async fn emulator(&self, wanted: &Wanted) -> error::Result<(String, Arc<Capability>)> {
        let path = wanted
            .emulator
            .clone()
            .unwrap_or_else(|| format!("/usr/bin/qemu-system-{}", target_from_arch(&wanted.arch)));
        let refuse = |e: String| Error::new(Domain::Qemu, Code::InternalError, e);
        let name = Path::new(&path).file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
        let arch =
            arch_from_target(name.strip_prefix("qemu-system-").ok_or_else(|| refuse(format!("no emulator {path}")))?)
                .to_owned();
        let mut capability = (*self.cache.for_arch(&arch).await.map_err(|e| refuse(e.to_string()))?).clone();
        if !matches!(capability.arch.as_str(), "x86_64" | "i686") {
            capability.kvm = None;
        }
        Ok((path, Arc::new(capability)))
    }

    async fn native(&self, source: &str) -> error::Result<String> {
        let flags = Flags { update: true, ..Flags::default() };
        let def = definition::read(source, "x86_64", flags)?;
        let (emulator, capability) = self.emulator(&definition::wanted(&def)).await?;
        let facts = Facts {
            capability: capability.clone(),
            emulator,
            firmwares: &self.firmwares,
            nvram_dir: Path::new("/var/lib/libvirt/qemu/nvram"),
            security_model: "none",
            spice_tls: false,
        };
        let def = definition::complete(def, &facts, flags)?;
        let inputs = LaunchInputs::shown("/var/lib/libvirt/qemu", "/run/libvirt/qemu", &def.name, "P", 0, 0);
        // no network is defined where the answers were recorded
        let networks = need::listened_networks(&def)
            .into_iter()
            .map(|n| (n.clone(), virtqemud::peer::network::unknown(&n)))
            .collect();
        native::show(def, &capability, &inputs, &HostMeans { networks, ..HostMeans::read() })
    }
}

/// Words of a shell line, without the environment, descriptors masked.
fn words(line: &str, source: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut any) = (false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                quoted = !quoted;
                any = true;
            }
            '\\' if !quoted => word.extend(chars.next()),
            ' ' | '\n' if !quoted => {
                if any || !word.is_empty() {
                    words.push(mask(&std::mem::take(&mut word), source));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(mask(&word, source));
    }
    let environment = |w: &String| {
        w.split_once('=').is_some_and(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let start = words.iter().position(|w| !environment(w)).unwrap_or(0);
    words.split_off(start)
}

fn mask(word: &str, source: &str) -> String {
    let mut out = word.to_owned();
    let known = source.to_lowercase();
    for (start, length) in [("\"mac\":\"", 17), ("\"guid\":\"", 36)] {
        if let Some(at) = out.find(start).map(|p| p + start.len())
            && !known.contains(&out[at..at + length])
        {
            out.replace_range(at..at + length, "CHOSEN");
        }
    }
    if out.len() == 36 && out.bytes().filter(|b| *b == b'-').count() == 4 && !known.contains(&out) {
        return "CHOSEN".into();
    }
    for key in ["\"fd\":\"", "\"fds\":\"", "\"vhostfd\":\"", "\"vhostfds\":\"", "fd="] {
        let mut from = 0;
        while let Some(at) = out[from..].find(key).map(|p| p + from + key.len()) {
            let end =
                out[at..].find(|c: char| !c.is_ascii_digit() && c != ':' && c != '-').map_or(out.len(), |e| at + e);
            out.replace_range(at..end, "FD");
            from = at;
        }
    }
    out
}
