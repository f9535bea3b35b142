//! Guest firmware that the host offers: QEMU's descriptor files (`docs/interop/firmware.json` of QEMU).
//!
//! Each folder may replace a descriptor of an earlier one by a file of the same name, or hide it by an empty one.
//! The names give the order of preference.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest descriptor that is read.
const FILE_MAX: u64 = 1024 * 1024;

/// One descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Firmware {
    /// `uefi`, `bios`, ...
    #[serde(default)]
    pub interface_types: Vec<String>,
    /// The files and how they become part of a machine.
    pub mapping: Mapping,
    /// What it runs on.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// What it can do and needs: `secure-boot`, `enrolled-keys`, `requires-smm`, ...
    #[serde(default)]
    pub features: Vec<String>,
}

/// How the firmware is given to the machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "device", rename_all = "kebab-case")]
pub enum Mapping {
    /// A flash image, with a second one for variables unless stateless.
    #[serde(rename_all = "kebab-case")]
    Flash {
        /// `split` when absent; `stateless` and `combined` have no template.
        #[serde(default)]
        mode: Option<String>,
        /// The code.
        executable: Image,
        /// What a guest's variable store is copied from.
        #[serde(default)]
        nvram_template: Option<Image>,
    },
    /// A kernel-like file, for `-kernel`.
    Kernel {
        /// The file.
        filename: PathBuf,
    },
    /// A file for `-bios`.
    Memory {
        /// The file.
        filename: PathBuf,
    },
    /// A kind that this version of libvirt does not know.
    #[serde(other)]
    Unknown,
}

/// A file and its image format.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// Absolute path.
    pub filename: PathBuf,
    /// `raw` or `qcow2`.
    #[serde(default)]
    pub format: String,
}

/// An architecture and the machine types on it, as shell patterns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Target {
    /// QEMU's name of the architecture.
    pub architecture: String,
    /// Patterns of versioned machine names.
    #[serde(default)]
    pub machines: Vec<String>,
}

impl Firmware {
    /// Whether it runs on a machine; `arch` is QEMU's name.
    pub fn fits(&self, arch: &str, machine: &str) -> bool {
        self.targets.iter().any(|target| {
            target.architecture == arch && target.machines.iter().any(|pattern| matches(pattern, machine))
        })
    }

    /// Whether the list of features has this word.
    pub fn has_feature(&self, name: &str) -> bool {
        self.features.iter().any(|feature| feature == name)
    }

    /// The file that holds the code.
    pub fn code(&self) -> Option<&Path> {
        match &self.mapping {
            Mapping::Flash { executable, .. } => Some(&executable.filename),
            Mapping::Kernel { filename } | Mapping::Memory { filename } => Some(filename),
            Mapping::Unknown => None,
        }
    }
}

/// The folders that QEMU names, least important first; `user` is `$XDG_CONFIG_HOME` of a session daemon.
pub fn folders(user: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/share/qemu/firmware"), PathBuf::from("/etc/qemu/firmware")];
    folders.extend(user.map(|user| user.join("qemu/firmware")));
    folders
}

/// All usable descriptors in order of preference. One that cannot be read or parsed is logged and left out.
pub fn read(folders: &[PathBuf]) -> Vec<Firmware> {
    let mut files: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".");
            if !hidden && Path::new(&name).extension().is_some_and(|ending| ending == "json") {
                files.insert(name, entry.path());
            }
        }
    }
    files.into_values().filter_map(|path| descriptor(&path)).collect()
}

fn descriptor(path: &Path) -> Option<Firmware> {
    let complain =
        |cause: &dyn std::fmt::Display| tracing::warn!(file = %path.display(), %cause, "firmware descriptor left out");
    match path.metadata() {
        Ok(meta) if meta.len() == 0 => return None,
        Ok(meta) if meta.len() > FILE_MAX => {
            complain(&"larger than 1 MiB");
            return None;
        }
        _ => {}
    }
    let text = std::fs::read(path).inspect_err(|cause| complain(cause)).ok()?;
    serde_json::from_slice(&text).inspect_err(|cause| complain(cause)).ok()
}

/// Shell pattern with `*` and `?` only, which is all that descriptors use.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("pc-q35-*", "pc-q35-10.0", true),
            ("pc-q35-*", "pc-i440fx-10.0", false),
            ("*", "virt", true),
            ("virt-?.1", "virt-9.1", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn later_folders_replace_and_hide() {
        let root = tempfile::tempdir().unwrap();
        let text = |code: &str| {
            format!(
                r#"{{"interface-types": ["uefi"], "features": ["secure-boot"], "targets": [{{"architecture": "x86_64", "machines": ["pc-q35-*"]}}],
                "mapping": {{"device": "flash", "executable": {{"filename": "{code}", "format": "raw"}}}}}}"#
            )
        };
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/10-first.json", &text("/one"));
        write("a/20-second.json", &text("/two"));
        write("a/30-third.json", &text("/three"));
        write("a/README", "not a descriptor");
        write("b/20-second.json", &text("/other"));
        write("b/30-third.json", "");
        write("b/40-broken.json", "{");
        let found = read(&[root.path().join("a"), root.path().join("b"), root.path().join("nosuch")]);
        let codes: Vec<_> = found.iter().filter_map(Firmware::code).collect();
        assert_eq!(codes, [Path::new("/one"), Path::new("/other")]);
        assert!(found[0].fits("x86_64", "pc-q35-10.0") && !found[0].fits("x86_64", "pc-i440fx-10.0"));
        assert!(found[0].has_feature("secure-boot"));
    }
}
