//! Compares canonical domain documents with libvirt's recorded ones, without a daemon.
//!
//! `cargo run -p virtqemud --example parity -- FOLDER [--show N] [--only NAME] [--list]`, where FOLDER holds `NAME.xml` files
//! and `answers.json`. Emulators are found in `$OXVIRT_EMULATORS` (colon separated folders), firmware descriptors in
//! `$OXVIRT_FIRMWARE`; both default to this host's. Without FOLDER, `$OXVIRT_CORPUS` is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conf::FormatFlags;
use conf::domain::{DomainDef, ParseContext};
use error::{Code, Domain, Error};
use serde_json::Value;
use virtqemud::capability::emulator::target_from_arch;
use virtqemud::capability::probe::ProbeUser;
use virtqemud::capability::{Capability, CapabilityCache, firmware};
use virtqemud::definition::{self, Facts, Flags, Wanted};

/// The emulators that definitions may name.
pub struct Emulators {
    runtime: tokio::runtime::Runtime,
    cache: CapabilityCache,
    folders: Vec<PathBuf>,
}

impl Emulators {
    /// Emulators of `$OXVIRT_EMULATORS`, `/usr/bin` by default.
    pub fn from_environment() -> Self {
        let folders = std::env::var("OXVIRT_EMULATORS").unwrap_or_else(|_| "/usr/bin".into());
        let cache = CapabilityCache::new(std::env::temp_dir().join("oxvirt-parity"), ProbeUser::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs nothing special");
        Self { runtime, cache, folders: folders.split(':').map(PathBuf::from).collect() }
    }

    /// The emulator of a definition: its path as libvirt names it, and its abilities.
    pub fn find(&self, wanted: &Wanted) -> error::Result<(String, Arc<Capability>)> {
        let named = wanted.emulator.clone();
        let path = named.unwrap_or_else(|| format!("/usr/bin/qemu-system-{}", target_from_arch(&wanted.arch)));
        let file = Path::new(&path).file_name().map(PathBuf::from).unwrap_or_default();
        let real = self.folders.iter().map(|f| f.join(&file)).find(|p| p.exists());
        let text = format!("Cannot check QEMU binary {path}");
        let missing = || Error::system(Domain::Qemu, &std::io::Error::from_raw_os_error(2), &text);
        let real = real.ok_or_else(missing)?;
        let probed = self.runtime.block_on(self.cache.get(&real));
        let mut capability = probed.map_err(|e| Error::new(Domain::Qemu, Code::InternalError, e.to_string()))?;
        // the recorded host ran x86 guests under KVM
        if capability.kvm.is_none() && matches!(capability.arch.as_str(), "x86_64" | "i686") {
            let mut with = (*capability).clone();
            with.kvm.clone_from(&with.tcg);
            capability = Arc::new(with);
        }
        if !matches!(capability.arch.as_str(), "x86_64" | "i686") {
            let mut without = (*capability).clone();
            without.kvm = None;
            capability = Arc::new(without);
        }
        Ok((path, capability))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut folder, mut show, mut only, mut list) = (std::env::var("OXVIRT_CORPUS").ok(), 0usize, None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--show" => show = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(10),
            "--only" => only = arguments.next(),
            "--list" => list = true,
            other => folder = Some(other.to_owned()),
        }
    }
    let Some(folder) = folder.map(PathBuf::from).filter(|f| f.join("answers.json").exists()) else {
        println!("skipped: needs OXVIRT_CORPUS, a folder of documents with libvirt's answers");
        return;
    };
    let answers: BTreeMap<String, Value> =
        serde_json::from_slice(&std::fs::read(folder.join("answers.json")).expect("it exists"))
            .expect("answers.json is JSON");
    let emulators = Emulators::from_environment();
    let firmwares = firmwares();
    let mut score: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let (mut shown, mut unstable) = (0, 0);
    for (name, answer) in answers.iter().filter(|(n, _)| only.as_ref().is_none_or(|o| o == *n)) {
        let Ok(bytes) = std::fs::read(folder.join(format!("{name}.xml"))) else { continue };
        let source = String::from_utf8_lossy(&bytes);
        let ours = define(&source, &emulators, &firmwares);
        let Some(want) = answer.get("xml") else { continue };
        if let Ok(document) = &ours
            && !is_fixed_point(document)
        {
            unstable += 1;
            println!("--- {name}: not a fixed point");
        }
        let (kind, equal, exact, difference) = compare(want, &ours, &source);
        let row = score.entry(kind).or_default();
        row[0] += 1;
        row[1] += usize::from(equal);
        row[2] += usize::from(exact);
        if !exact {
            if list {
                println!(
                    "{} {name}: {}",
                    if equal { "message" } else { "DIFFERS" },
                    difference.lines().take(6).collect::<Vec<_>>().join(" | ")
                );
            }
            if shown < show {
                shown += 1;
                println!("--- {name}\n{difference}\n");
            }
        }
    }
    for (kind, [all, equal, exact]) in &score {
        println!("xml {kind}: {equal} of {all} equal ({exact} to the letter)");
    }
    println!("not a fixed point: {unstable}");
}

/// The firmware descriptors of this host, or of `$OXVIRT_FIRMWARE`.
pub fn firmwares() -> Vec<firmware::Firmware> {
    let folders = std::env::var("OXVIRT_FIRMWARE").map(|f| f.split(':').map(PathBuf::from).collect());
    firmware::read(&folders.unwrap_or_else(|_| firmware::folders(None)))
}

/// The canonical document of `source`, or the error.
pub fn define(source: &str, emulators: &Emulators, firmwares: &[firmware::Firmware]) -> error::Result<String> {
    let facts = |wanted: &Wanted| {
        let (emulator, capability) = emulators.find(wanted)?;
        Ok(Facts {
            capability,
            emulator,
            firmwares,
            nvram_dir: Path::new("/var/lib/libvirt/qemu/nvram"),
            security_model: "none",
            spice_tls: false,
        })
    };
    let def = definition::parse(source, "x86_64", facts, Flags { update: true, ..Flags::default() })?;
    Ok(def.format(FormatFlags { inactive: true, secure: true, ..FormatFlags::default() }))
}

/// Whether reading and printing a canonical document changes nothing.
pub fn is_fixed_point(document: &str) -> bool {
    let again = DomainDef::parse(document, ParseContext::default());
    again.is_ok_and(|d| d.format(FormatFlags { inactive: true, secure: true, ..FormatFlags::default() }) == *document)
}

/// Kind of answer, equal, equal to the letter, difference.
pub fn compare<'a>(want: &Value, ours: &error::Result<String>, source: &str) -> (&'a str, bool, bool, String) {
    match (want.get("ok").and_then(Value::as_str), ours) {
        (Some(want), Ok(got)) => {
            let (want, got) = (mask(want, source), mask(got, source));
            let equal = want == got;
            ("ok", equal, equal, difference(&want, &got))
        }
        (Some(_), Err(e)) => ("ok", false, false, format!("refused: {} {}", e.code, e.message)),
        (None, got) => {
            let error = want.get("error").and_then(Value::as_array).cloned().unwrap_or_default();
            let code = error.first().and_then(Value::as_i64).unwrap_or_default();
            let message = error.get(3).and_then(Value::as_str).unwrap_or_default();
            match got {
                Ok(_) => ("error", false, false, format!("accepted, wanted {code} {message}")),
                Err(e) => {
                    let equal = i64::from(e.code) == code;
                    let domain = error.get(1).and_then(Value::as_i64) == Some(i64::from(e.domain));
                    let exact = equal && domain && e.message == message;
                    (
                        "error",
                        equal,
                        exact,
                        format!("want {code} {message}\nours {} {} (domain {})", e.code, e.message, e.domain),
                    )
                }
            }
        }
    }
}

/// Hides UUIDs and MAC addresses that the document did not name.
fn mask(text: &str, source: &str) -> String {
    let source = source.to_lowercase();
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let piece = |len: usize| chars.get(at..at + len).map(|c| c.iter().collect::<String>());
        if let Some(uuid) = piece(36).filter(|p| is_uuid(p)) {
            out.push_str(if source.contains(&uuid) { &uuid } else { "UUID" });
            at += 36;
        } else if let Some(mac) = piece(17).filter(|p| p.starts_with("52:54:00:")) {
            out.push_str(if source.contains(&mac) { &mac } else { "MAC" });
            at += 17;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, b)| {
        if matches!(at, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_digit() || (b'a'..=b'f').contains(&b) }
    })
}

/// Lines of one side only, by the longest common subsequence.
fn difference(want: &str, got: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (want.lines().collect(), got.lines().collect());
    let mut table = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && table[i + 1][j] >= table[i][j + 1] {
            out.push(format!("-{}", a[i]));
            i += 1;
        } else {
            out.push(format!("+{}", b[j]));
            j += 1;
        }
    }
    out.join("\n")
}
