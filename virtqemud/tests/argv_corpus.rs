//! Command lines against libvirt's recorded ones.
//!
//! `OXVIRT_CORPUS` is the folder with the `domain` documents and their `answers.json`; `OXVIRT_SHOW=N` prints the first N
//! differences, `OXVIRT_ONLY=NAME` looks at one document, `OXVIRT_QEMU_PATH` says where emulators are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use virtqemud::address;
use virtqemud::capability::probe::ProbeUser;
use virtqemud::capability::{Capability, CapabilityCache};
use virtqemud::command::{self, LaunchInputs, native};

/// Share of the recorded command lines that must be equal, in per cent.
const WANTED: usize = 50;

#[tokio::test]
async fn command_lines_equal_libvirts() {
    let Some(corpus) = std::env::var_os("OXVIRT_CORPUS").map(PathBuf::from) else {
        assert!(std::env::var_os("REQUIRE").is_none(), "skipped: needs OXVIRT_CORPUS");
        eprintln!("skipped: needs OXVIRT_CORPUS");
        return;
    };
    let answers: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(corpus.join("domain/answers.json")).unwrap()).unwrap();
    let directory = std::env::temp_dir().join("oxvirt-test-capabilities");
    let mut cache = CapabilityCache::new(directory, ProbeUser::default());
    if let Some(path) = std::env::var_os("OXVIRT_QEMU_PATH") {
        cache = cache.with_search_path(path);
    }
    let only = std::env::var("OXVIRT_ONLY").ok();
    let mut show: usize = std::env::var("OXVIRT_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let (mut equal, mut total, mut skipped) = (0, 0, 0);
    for (name, answer) in &answers {
        if only.as_ref().is_some_and(|o| o != name) {
            continue;
        }
        let Some(wanted) = answer["argv"]["ok"].as_str() else { continue };
        let Some(document) = answer["xml"]["ok"].as_str() else { continue };
        let Some(capability) = emulator(&cache, wanted).await else {
            skipped += 1;
            continue;
        };
        total += 1;
        let wanted = words(wanted);
        let got = match ours(document, &capability) {
            Ok(text) => words(&text),
            Err(e) => vec![format!("error: {e}")],
        };
        if wanted == got {
            equal += 1;
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
    println!("{equal} of {total} command lines equal, {skipped} without their emulator");
    if only.is_none() && total > 0 {
        assert!(equal * 100 >= WANTED * total, "{equal} of {total}");
    }
}

async fn emulator(cache: &CapabilityCache, command_line: &str) -> Option<std::sync::Arc<Capability>> {
    let program = command_line.split(' ').find(|w| w.contains("/qemu-system-"))?;
    let name = Path::new(program).file_name()?.to_str()?.strip_prefix("qemu-system-")?;
    let arch = virtqemud::capability::emulator::arch_from_target(name);
    cache.for_arch(arch).await.ok()
}

fn ours(document: &str, capability: &Capability) -> error::Result<String> {
    let mut def = conf::domain::DomainDef::parse(document, Default::default())?;
    native::generalize(&mut def);
    address::assign(&mut def, capability)?;
    command::prepare(&mut def, capability)?;
    let inputs = LaunchInputs::shown("/var/lib/libvirt/qemu", "/run/libvirt/qemu", &def.name, "P", 0, 0);
    Ok(native::text(&command::plan(&def, capability, &inputs)?))
}

/// Words of a shell line, without the environment, descriptors masked.
fn words(line: &str) -> Vec<String> {
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
                    words.push(mask(&std::mem::take(&mut word)));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(mask(&word));
    }
    let environment = |w: &String| w.split_once('=').is_some_and(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let start = words.iter().position(|w| !environment(w)).unwrap_or(0);
    words.split_off(start)
}

fn mask(word: &str) -> String {
    let mut out = word.to_owned();
    for key in ["\"fd\":\"", "\"fds\":\"", "\"vhostfd\":\"", "\"vhostfds\":\"", "fd="] {
        let mut from = 0;
        while let Some(at) = out[from..].find(key).map(|p| p + from + key.len()) {
            let end = out[at..].find(|c: char| !c.is_ascii_digit() && c != ':' && c != '-').map_or(out.len(), |e| at + e);
            out.replace_range(at..end, "FD");
            from = at;
        }
    }
    out
}
