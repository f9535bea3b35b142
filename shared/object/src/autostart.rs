//! Autostart links: `autostart/NAME.xml` points to the object's definition when it starts with the host.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::file;

/// Makes or removes the link; the change is durable when this returns.
pub fn set(link: &Path, definition: &Path, on: bool) -> io::Result<()> {
    if !on {
        return file::remove_durable(link).map(drop);
    }
    if let Some(folder) = link.parent() {
        file::create_folder(folder, 0o755)?;
    }
    file::link_atomic(link, definition)
}

/// Whether the link leads to the definition (both followed to the end).
pub fn is_set(link: &Path, definition: &Path) -> bool {
    let Ok(link_meta) = fs::symlink_metadata(link) else {
        return false;
    };
    if !link_meta.is_symlink() {
        return false;
    }
    match (fs::metadata(link), fs::metadata(definition)) {
        (Ok(to), Ok(wanted)) => (to.dev(), to.ino()) == (wanted.dev(), wanted.ino()),
        _ => false,
    }
}

/// Whether this is the first start of the driver since the host booted; marks it as done. Autostart happens once a boot,
/// not each time the daemon is activated. `marker` is `STATEDIR/autostarted`, which is gone after a boot.
pub fn first_start_of_boot(marker: &Path) -> io::Result<bool> {
    match fs::OpenOptions::new().write(true).create_new(true).open(marker) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let (link, definition) = (dir.path().join("autostart/vm.xml"), dir.path().join("vm.xml"));
        fs::write(&definition, "x").unwrap();
        assert!(!is_set(&link, &definition));
        set(&link, &definition, true).unwrap();
        set(&link, &definition, true).unwrap();
        assert!(is_set(&link, &definition));
        assert_eq!(fs::read_link(&link).unwrap(), definition);
        fs::remove_file(&definition).unwrap();
        assert!(!is_set(&link, &definition), "a link to nothing starts nothing");
        set(&link, &definition, false).unwrap();
        set(&link, &definition, false).unwrap();
        assert!(fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn autostart_happens_once_a_boot() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("autostarted");
        assert!(first_start_of_boot(&marker).unwrap());
        assert!(!first_start_of_boot(&marker).unwrap());
    }
}
