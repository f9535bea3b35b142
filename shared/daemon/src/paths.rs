//! Where everything is: libvirt's folders, below a root or in a user's own.

use std::env;
use std::path::{Path, PathBuf};

/// The folders of one instance of the suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Runs as root and serves `SCHEME:///system`; otherwise the user's `SCHEME:///session`.
    pub privileged: bool,
    /// What stands before each standard path; `None` for the host's own.
    pub root: Option<PathBuf>,
    /// `/etc/libvirt`; session: `$XDG_CONFIG_HOME/libvirt`.
    pub config_dir: PathBuf,
    /// `/run/libvirt`; session: `$XDG_RUNTIME_DIR/libvirt`.
    pub run_dir: PathBuf,
    /// `/var/lib/libvirt`; session: the same as `config_dir`, as in libvirt.
    pub lib_dir: PathBuf,
    /// `/var/cache/libvirt`; session: `$XDG_CACHE_HOME/libvirt`.
    pub cache_dir: PathBuf,
    /// `/var/log/libvirt`; session: the same as `cache_dir`.
    pub log_dir: PathBuf,
    /// `/etc/pki`; session: the user's `.pki`.
    pub pki_dir: PathBuf,
    /// Where pid files of daemons are: `/run`; session: the same as `run_dir`.
    pub pid_dir: PathBuf,
}

/// The folders of one driver of a daemon (WIRE: files on disk).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverPaths {
    /// Definitions.
    pub config: PathBuf,
    /// What lives as long as the host is up: status files, pids.
    pub state: PathBuf,
    /// What outlives a boot.
    pub lib: PathBuf,
    /// What can be made again.
    pub cache: PathBuf,
    /// Logs.
    pub log: PathBuf,
}

impl Paths {
    /// The folders for this process: `root` is what `--root` or `VIRTD_ROOT` said, privileged is who runs as root.
    pub fn of_process(root: Option<PathBuf>) -> Paths {
        if nix::unistd::geteuid().is_root() {
            Paths::system(root)
        } else {
            Paths::session(root, &|name| env::var_os(name))
        }
    }

    /// The folders of the system's instance.
    pub fn system(root: Option<PathBuf>) -> Paths {
        let base = root.clone().unwrap_or_else(|| PathBuf::from("/"));
        Paths {
            privileged: true,
            config_dir: base.join("etc/libvirt"),
            run_dir: base.join("run/libvirt"),
            lib_dir: base.join("var/lib/libvirt"),
            cache_dir: base.join("var/cache/libvirt"),
            log_dir: base.join("var/log/libvirt"),
            pki_dir: base.join("etc/pki"),
            pid_dir: base.join("run"),
            root,
        }
    }

    /// The folders of a user's instance. Below a root the XDG folders are `config`, `cache` and `run` in it.
    pub fn session(root: Option<PathBuf>, variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Paths {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("HOME")
            .or_else(|| host::account::home(nix::unistd::geteuid().as_raw()).ok().flatten())
            .unwrap_or_else(|| PathBuf::from("/"));
        let (config, cache, run) = match &root {
            Some(root) => (root.join("config"), root.join("cache"), Some(root.join("run"))),
            None => (
                set("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
                set("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache")),
                set("XDG_RUNTIME_DIR"),
            ),
        };
        let run = run.unwrap_or_else(|| cache.clone());
        let pki = root.as_ref().unwrap_or(&home).join(".pki");
        Paths {
            privileged: false,
            config_dir: config.join("libvirt"),
            run_dir: run.join("libvirt"),
            lib_dir: config.join("libvirt"),
            cache_dir: cache.join("libvirt"),
            log_dir: cache.join("libvirt"),
            pki_dir: pki,
            pid_dir: run.join("libvirt"),
            root,
        }
    }

    /// The folders of a driver ("qemu", "storage", ...) as libvirt lays them out.
    pub fn driver(&self, driver: &str) -> DriverPaths {
        if self.privileged {
            DriverPaths {
                config: self.config_dir.join(driver),
                state: self.run_dir.join(driver),
                lib: self.lib_dir.join(driver),
                cache: self.cache_dir.join(driver),
                log: self.log_dir.join(driver),
            }
        } else {
            DriverPaths {
                config: self.config_dir.join(driver),
                state: self.run_dir.join(driver).join("run"),
                lib: self.config_dir.join(driver).join("lib"),
                cache: self.cache_dir.join(driver).join("cache"),
                log: self.cache_dir.join(driver).join("log"),
            }
        }
    }

    /// A standard path of the host (`/usr/share/...`) as this instance sees it: below the root if there is one.
    pub fn below_root(&self, standard: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(standard.strip_prefix("/").unwrap_or(standard)),
            None => standard.to_owned(),
        }
    }

    /// Where a daemon of the suite listens, by the name of its socket file ("virtlogd-sock").
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run_dir.join(name)
    }

    /// The default pid file of a daemon.
    pub fn pid_file(&self, daemon: &str) -> PathBuf {
        self.pid_dir.join(format!("{daemon}.pid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_where_libvirt_has_it_and_moves_as_a_whole() {
        let host = Paths::system(None);
        assert_eq!(host.config_dir, Path::new("/etc/libvirt"));
        assert_eq!(host.pid_file("virtqemud"), Path::new("/run/virtqemud.pid"));
        assert_eq!(host.driver("qemu").state, Path::new("/run/libvirt/qemu"));
        let moved = Paths::system(Some("/tmp/r".into()));
        assert_eq!(moved.lib_dir, Path::new("/tmp/r/var/lib/libvirt"));
        assert_eq!(moved.socket("virtlogd-sock"), Path::new("/tmp/r/run/libvirt/virtlogd-sock"));
        assert_eq!(moved.below_root(Path::new("/var/run")), Path::new("/tmp/r/var/run"));
    }

    #[test]
    fn a_user_has_xdg_folders() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/u".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/7".into()),
            "XDG_CACHE_HOME" => Some("".into()),
            _ => None,
        };
        let user = Paths::session(None, &variable);
        assert_eq!(user.config_dir, Path::new("/home/u/.config/libvirt"));
        assert_eq!(user.cache_dir, Path::new("/home/u/.cache/libvirt"));
        assert_eq!(user.pid_file("virtqemud"), Path::new("/run/user/7/libvirt/virtqemud.pid"));
        assert_eq!(user.driver("qemu").state, Path::new("/run/user/7/libvirt/qemu/run"));
        assert_eq!(user.driver("qemu").lib, Path::new("/home/u/.config/libvirt/qemu/lib"));
        let none = Paths::session(None, &|name| (name == "HOME").then(|| "/h".into()));
        assert_eq!(none.run_dir, Path::new("/h/.cache/libvirt"), "libvirt falls back to the cache folder");
    }
}
