//! The files of pools: definitions, autostart links, states of running pools.
//!
//! `/etc/libvirt/storage/NAME.xml`, `autostart/NAME.xml`, `/run/libvirt/storage/NAME.xml` (`<poolstate>`), as libvirt has them.

use std::io;
use std::path::PathBuf;

use conf::pool::PoolDef;
use error::{Domain, Error, Result};
use object::{autostart, file};

/// Largest file that is read back.
const FILE_MAX: u64 = 16 << 20;

/// The folders of the storage driver.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Definitions.
    pub(crate) config: PathBuf,
    /// States of running pools.
    pub(crate) state: PathBuf,
}

/// The comment above each generated file; it names the pool in a form that a shell takes.
fn comment(def: &PoolDef) -> String {
    let unsafe_characters = "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~";
    let safe = !def.name.contains("--") && !def.name.contains(|c| unsafe_characters.contains(c));
    let name = if safe { def.name.clone() } else { xml::format_uuid(&def.uuid) };
    format!(
        "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE\nOVERWRITTEN AND LOST. \
         Changes to this xml configuration should be made using:\n  virsh pool-edit {name}\nor other application using \
         the libvirt API.\n-->\n\n"
    )
}

fn system(error: &io::Error, what: &str, path: &std::path::Path) -> Error {
    Error::system(Domain::Storage, error, format!("{what} '{}'", path.display()))
}

impl Store {
    /// Makes the folders and removes what interrupted writes left.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        file::create_folder(&self.config, 0o755)?;
        file::create_folder(&self.state, 0o755)?;
        file::sweep(&self.config)?;
        file::sweep(&self.state)
    }

    /// Where a pool's definition is.
    pub(crate) fn config_file(&self, name: &str) -> PathBuf {
        self.config.join(format!("{name}.xml"))
    }

    fn state_file(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.xml"))
    }

    fn link(&self, name: &str) -> PathBuf {
        self.config.join("autostart").join(format!("{name}.xml"))
    }

    /// Writes the definition.
    pub(crate) fn save_config(&self, def: &PoolDef) -> Result<()> {
        let path = self.config_file(&def.name);
        let text = comment(def) + &def.format();
        file::write_atomic(&path, text.as_bytes(), 0o600).map_err(|e| system(&e, "cannot write config file", &path))
    }

    /// Removes the definition and the autostart link.
    pub(crate) fn remove_config(&self, name: &str) -> Result<()> {
        let (path, link) = (self.config_file(name), self.link(name));
        file::remove_durable(&link).map_err(|e| system(&e, "Failed to delete autostart link", &link))?;
        file::remove_durable(&path).map_err(|e| system(&e, "cannot remove config file", &path)).map(drop)
    }

    /// Writes the state of a running pool.
    pub(crate) fn save_state(&self, def: &PoolDef) -> Result<()> {
        let path = self.state_file(&def.name);
        let mut w = xml::Writer::new();
        w.element("poolstate", |w| def.write(w));
        let text = comment(def) + &w.finish();
        file::write_atomic(&path, text.as_bytes(), 0o600).map_err(|e| system(&e, "cannot write state file", &path))
    }

    /// The pool is down.
    pub(crate) fn remove_state(&self, name: &str) {
        let path = self.state_file(name);
        if let Err(error) = file::remove_durable(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove the state file");
        }
    }

    /// Whether the pool starts with the host.
    pub(crate) fn autostart(&self, name: &str) -> bool {
        autostart::is_set(&self.link(name), &self.config_file(name))
    }

    /// Makes or removes the autostart link.
    pub(crate) fn set_autostart(&self, name: &str, on: bool) -> Result<()> {
        let (link, target) = (self.link(name), self.config_file(name));
        let what = format!(
            "Failed to {} symlink '{}' to '{}'",
            if on { "create" } else { "remove" },
            link.display(),
            target.display()
        );
        autostart::set(&link, &target, on).map_err(|e| Error::system(Domain::Storage, &e, what))
    }

    /// Whether this is the driver's first start since the host booted.
    pub(crate) fn is_first_start(&self) -> bool {
        autostart::first_start_of_boot(&self.state.join("autostarted")).unwrap_or(false)
    }

    /// All definitions. A broken file is logged and skipped.
    pub(crate) fn configs(&self) -> Vec<PoolDef> {
        self.read_all(&self.config, PoolDef::parse)
    }

    /// The states of all pools that were running.
    pub(crate) fn states(&self) -> Vec<PoolDef> {
        self.read_all(&self.state, |text| {
            let document = xml::parse(text)?;
            let missing = || Error::new(Domain::Storage, error::Code::InternalError, "no pool in the state file");
            let node = document.root().child("pool").filter(|_| document.root().is("poolstate")).ok_or_else(missing)?;
            PoolDef::from_node(node)
        })
    }

    fn read_all(&self, folder: &std::path::Path, parse: impl Fn(&str) -> Result<PoolDef>) -> Vec<PoolDef> {
        let files = file::with_suffix(folder, ".xml").unwrap_or_else(|error| {
            tracing::error!(folder = %folder.display(), %error, "cannot list the folder");
            Vec::new()
        });
        let mut found = Vec::new();
        for (name, path) in files {
            let read = file::read_limited(&path, FILE_MAX).map_err(|e| e.to_string());
            let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|e| e.to_string()));
            match text.and_then(|text| parse(&text).map_err(|e| e.to_string())) {
                Ok(def) if def.name == name => found.push(def),
                Ok(def) => {
                    tracing::error!(path = %path.display(), pool = def.name, "the file's name does not match its pool")
                }
                Err(error) => tracing::error!(path = %path.display(), error, "cannot read the file of a pool"),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn def(name: &str) -> PoolDef {
        PoolDef::parse(&format!("<pool type='dir'><name>{name}</name><target><path>/t</path></target></pool>")).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store { config: dir.path().join("etc"), state: dir.path().join("run") };
        store.prepare().unwrap();
        let (a, odd) = (def("a"), def("b--c d"));
        store.save_config(&a).unwrap();
        store.save_config(&odd).unwrap();
        store.save_state(&a).unwrap();
        store.set_autostart("a", true).unwrap();
        std::fs::write(store.config_file("broken"), "<pool").unwrap();
        assert_eq!(store.configs(), [a.clone(), odd]);
        assert_eq!(store.states(), std::slice::from_ref(&a));
        assert!(store.autostart("a") && !store.autostart("b--c d"));
        let text = std::fs::read_to_string(store.config_file("a")).unwrap();
        assert!(text.starts_with("<!--\nWARNING") && text.contains("\n  virsh pool-edit a\n"));
        store.remove_config("a").unwrap();
        store.remove_state("a");
        assert!(!store.autostart("a") && store.states().is_empty());
        assert!(store.is_first_start() && !store.is_first_start());
    }
}
