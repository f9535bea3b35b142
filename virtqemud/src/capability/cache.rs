//! Abilities of emulators, asked once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex as AsyncMutex;

use super::emulator::{Capability, target_from_arch};
use super::error::CapabilityError;
use super::probe::{ProbeUser, probe};

/// Raised when the stored form or what is asked changes.
const FORMAT: u32 = 2;
/// Largest cache file that is read.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Everything whose change makes stored answers worthless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Identity {
    format: u32,
    path: PathBuf,
    inode: u64,
    size: u64,
    mtime_ns: i128,
    ctime_ns: i128,
    modules_mtime_ns: i128,
    kernel: String,
    kvm: bool,
    microcode: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    identity: Identity,
    capability: Capability,
}

type Slot = Arc<AsyncMutex<Option<(Identity, Arc<Capability>)>>>;

/// The abilities of every emulator that somebody asked about: in memory, then on disk, then by probing.
pub struct CapabilityCache {
    directory: PathBuf,
    user: ProbeUser,
    search: OsString,
    slots: Mutex<HashMap<PathBuf, Slot>>,
}

impl CapabilityCache {
    /// `directory` is where answers are kept (`CACHE/capabilities`); it is created when first needed.
    pub fn new(directory: PathBuf, user: ProbeUser) -> CapabilityCache {
        let search = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        CapabilityCache { directory, user, search, slots: Mutex::default() }
    }

    /// Looks for emulators in these directories (colon separated) instead of `$PATH`.
    pub fn with_search_path(mut self, search: impl Into<OsString>) -> CapabilityCache {
        self.search = search.into();
        self
    }

    /// Abilities of one binary. Callers that ask at the same time share one probe.
    pub async fn get(&self, emulator: &Path) -> Result<Arc<Capability>, CapabilityError> {
        let slot =
            self.slots.lock().expect("no panic while the lock is held").entry(emulator.to_owned()).or_default().clone();
        let mut slot = slot.lock().await;
        let identity = identify(emulator)?;
        if let Some((known, capability)) = &*slot
            && *known == identity
        {
            return Ok(capability.clone());
        }
        let capability = match load(&self.file_of(emulator), &identity) {
            Some(capability) => capability,
            None => {
                let capability = probe(emulator, self.user, identity.kvm).await?;
                self.store(emulator, &identity, &capability);
                capability
            }
        };
        let capability = Arc::new(capability);
        *slot = Some((identity, capability.clone()));
        Ok(capability)
    }

    /// Abilities of the emulator that serves an architecture by default.
    pub async fn for_arch(&self, arch: &str) -> Result<Arc<Capability>, CapabilityError> {
        let emulator = self.emulator_for(arch).ok_or_else(|| CapabilityError::NoEmulator { arch: arch.to_owned() })?;
        self.get(&emulator).await
    }

    /// The emulator that serves an architecture by default.
    pub fn emulator_for(&self, arch: &str) -> Option<PathBuf> {
        let host = std::env::consts::ARCH;
        let native = arch == host || (host == "x86_64" && arch == "i686");
        self.find(&format!("qemu-system-{}", target_from_arch(arch)))
            .or_else(|| if host == "x86_64" && arch == "i686" { self.find("qemu-system-x86_64") } else { None })
            .or_else(|| {
                if native {
                    self.find("qemu-kvm")
                        .or_else(|| Some(PathBuf::from("/usr/libexec/qemu-kvm")).filter(|p| executable(p)))
                } else {
                    None
                }
            })
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.search).map(|d| d.join(name)).find(|p| executable(p))
    }

    fn file_of(&self, emulator: &Path) -> PathBuf {
        use std::fmt::Write;
        use std::os::unix::ffi::OsStrExt;
        let mut name = String::with_capacity(70);
        for byte in Sha256::digest(emulator.as_os_str().as_bytes()) {
            let _ = write!(name, "{byte:02x}");
        }
        self.directory.join(name + ".json")
    }

    /// A cache that cannot be written costs time, not correctness.
    fn store(&self, emulator: &Path, identity: &Identity, capability: &Capability) {
        let file = self.file_of(emulator);
        if let Err(e) = write(&file, &Stored { identity: identity.clone(), capability: capability.clone() }) {
            tracing::warn!(file = %file.display(), error = %e, "unable to keep the emulator's capabilities");
        }
    }
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn identify(emulator: &Path) -> Result<Identity, CapabilityError> {
    let broken = |e: io::Error| CapabilityError::Binary { path: emulator.to_owned(), cause: e.to_string() };
    let path = emulator.canonicalize().map_err(broken)?;
    let meta = path.metadata().map_err(broken)?;
    if !executable(&path) {
        return Err(broken(io::Error::from_raw_os_error(nix::errno::Errno::EACCES as i32)));
    }
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    let kernel = nix::sys::utsname::uname()
        .map_or(String::new(), |u| format!("{} {}", u.release().to_string_lossy(), u.version().to_string_lossy()));
    let modules = [
        "/usr/lib/x86_64-linux-gnu/qemu",
        "/usr/lib/aarch64-linux-gnu/qemu",
        "/usr/lib64/qemu-kvm",
        "/usr/lib64/qemu",
        "/usr/lib/qemu",
    ];
    let modules = modules.iter().find_map(|d| Path::new(d).metadata().ok());
    Ok(Identity {
        format: FORMAT,
        path,
        inode: meta.ino(),
        size: meta.size(),
        mtime_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        ctime_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        modules_mtime_ns: modules.map_or(0, |m| nanoseconds(m.mtime(), m.mtime_nsec())),
        kernel,
        kvm: kvm_usable(),
        microcode: microcode(),
    })
}

/// Whether `/dev/kvm` opens for us.
pub fn kvm_usable() -> bool {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

fn microcode() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|l| l.strip_prefix("microcode")?.split_once(':').map(|(_, v)| v.trim().to_owned()))
        .unwrap_or_default()
}

fn load(file: &Path, wanted: &Identity) -> Option<Capability> {
    if file.metadata().ok()?.len() > FILE_MAX {
        return None;
    }
    let stored: Stored = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    (stored.identity == *wanted).then_some(stored.capability)
}

fn write(file: &Path, stored: &Stored) -> io::Result<()> {
    use std::io::Write;
    let directory = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    let temporary = file.with_extension(format!("{}.new", std::process::id()));
    let text = serde_json::to_vec(stored)?;
    let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    out.write_all(&text)?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)
}

#[cfg(test)]
mod tests {
    use super::super::VirtType;
    use super::*;

    const QEMU: &str = "/usr/bin/qemu-system-x86_64";

    #[tokio::test]
    async fn missing_binary() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CapabilityCache::new(directory.path().join("c"), ProbeUser::default());
        assert!(matches!(cache.get(Path::new("/nonexistent/qemu")).await, Err(CapabilityError::Binary { .. })));
        assert!(matches!(cache.for_arch("nonsense").await, Err(CapabilityError::NoEmulator { .. })));
    }

    #[tokio::test]
    async fn not_qemu() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CapabilityCache::new(directory.path().join("c"), ProbeUser::default());
        let error = cache.get(Path::new("/bin/true")).await.unwrap_err();
        assert!(matches!(error, CapabilityError::Probe { .. }), "{error}");
    }

    #[tokio::test]
    async fn probed_stored_and_loaded() {
        if !Path::new(QEMU).exists() {
            testkit_skip("needs qemu-system-x86_64");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let cache = CapabilityCache::new(directory.path().join("c"), ProbeUser::default());
        let first = cache.get(Path::new(QEMU)).await.unwrap();
        assert_eq!(first.arch, "x86_64");
        assert!(first.has_type("virtio-blk-pci") && first.has_property("virtio-blk-pci", "queue-size"));
        assert!(first.machine(VirtType::Tcg, "q35").unwrap().name.starts_with("pc-q35-"));
        assert!(first.tcg.as_ref().unwrap().host_cpu.is_some());
        assert!(Arc::ptr_eq(&first, &cache.get(Path::new(QEMU)).await.unwrap()));
        // A new process finds the file; a stale one is not believed.
        let file = cache.file_of(Path::new(QEMU));
        assert!(load(&file, &identify(Path::new(QEMU)).unwrap()).is_some());
        let other = Identity { size: 1, ..identify(Path::new(QEMU)).unwrap() };
        assert!(load(&file, &other).is_none());
        std::fs::write(&file, b"{").unwrap();
        assert!(load(&file, &identify(Path::new(QEMU)).unwrap()).is_none());
    }

    fn testkit_skip(what: &str) {
        assert!(std::env::var_os("REQUIRE").is_none(), "skipped: {what}");
        eprintln!("skipped: {what}");
    }
}
