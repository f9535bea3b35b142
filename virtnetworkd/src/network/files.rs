//! Definitions, state and ports on disk.

use std::io;
use std::path::Path;

use conf::network::{FormatFlags, NetworkDef, NetworkPortDef, NetworkStatus};
use error::{Domain, Error, Result};
use object::file::{read_limited, remove_durable, write_atomic};
use uuid::Uuid;

use crate::folders::Folders;

/// Largest document that is read from disk.
const DOCUMENT_MAX: u64 = 16 << 20;

/// The comment at the head of a generated file; `command` is what to edit it with.
pub fn warning(command: &str, name: &str) -> String {
    // two hyphens would end the comment
    let name = if name.contains("--") { "" } else { name };
    format!(
        "<!--\n\
         WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE\n\
         OVERWRITTEN AND LOST. Changes to this xml configuration should be made using:\n  \
         virsh {command} {name}\n\
         or other application using the libvirt API.\n\
         -->\n\n"
    )
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |e| Error::system(Domain::None, &e, format_args!("cannot write config file '{}'", path.display()))
}

fn write(path: &Path, text: String) -> Result<()> {
    write_atomic(path, text.as_bytes(), 0o600).map_err(failed(path))
}

fn remove(path: &Path) -> Result<()> {
    let done = remove_durable(path).map(drop);
    done.map_err(|e| Error::system(Domain::Network, &e, format_args!("cannot remove config file '{}'", path.display())))
}

/// Reads a definition.
///
/// # Errors
/// It cannot be read, or its name is not that of its file.
pub fn read_definition(path: &Path, name: &str) -> Result<NetworkDef> {
    let def = NetworkDef::parse(&read(path)?)?;
    if def.name != name {
        let detail = format!("Network config filename '{}' does not match network name '{}'", path.display(), def.name);
        return Err(Error::new(Domain::Network, error::Code::ConfigUnsupported, detail));
    }
    Ok(def)
}

/// Reads a text file of ours.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = read_limited(path, DOCUMENT_MAX)
        .map_err(|e| Error::system(Domain::Network, &e, format_args!("failed to read '{}'", path.display())))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::new(Domain::Network, error::Code::XmlError, format!("'{}' is not UTF-8", path.display())))
}

/// Writes a definition; it is on disk when this returns.
///
/// # Errors
/// What the file system says.
pub fn write_definition(folders: &Folders, def: &NetworkDef) -> Result<()> {
    let path = folders.definition(&def.name);
    object::file::create_folder(&folders.config, 0o755).map_err(failed(&folders.config))?;
    write(&path, warning("net-edit", &def.name) + &def.format(FormatFlags { inactive: true, connections: 0 }))
}

pub(super) fn remove_definition(folders: &Folders, name: &str) -> Result<()> {
    remove(&folders.autostart_link(name))?;
    remove(&folders.definition(name))
}

pub(super) fn write_status(folders: &Folders, status: &NetworkStatus) -> Result<()> {
    let name = &status.def.name;
    write(&folders.status(name), warning("net-edit", name) + &status.format())
}

pub(super) fn remove_status(folders: &Folders, name: &str) -> Result<()> {
    remove(&folders.status(name))
}

fn port_path(folders: &Folders, name: &str, uuid: &Uuid) -> std::path::PathBuf {
    folders.ports(name).join(format!("{uuid}.xml"))
}

pub(super) fn write_port(folders: &Folders, name: &str, uuid: &Uuid, port: &NetworkPortDef) -> Result<()> {
    let folder = folders.ports(name);
    object::file::create_folder(&folder, 0o755).map_err(failed(&folder))?;
    let path = port_path(folders, name, uuid);
    write(&path, warning("net-port-create", &uuid.to_string()) + &port.format())
}

pub(super) fn remove_port(folders: &Folders, name: &str, uuid: &Uuid) -> Result<()> {
    remove(&port_path(folders, name, uuid))
}

/// The ports on disk; a broken file is reported and passed over.
pub(super) fn read_ports(folders: &Folders, name: &str) -> Vec<(Uuid, NetworkPortDef)> {
    let files = object::file::with_suffix(&folders.ports(name), ".xml").unwrap_or_default();
    let mut ports = Vec::new();
    for (stem, path) in files {
        match (stem.parse::<Uuid>(), read(&path).and_then(|text| NetworkPortDef::parse(&text))) {
            (Ok(uuid), Ok(port)) if port.uuid == Some(*uuid.as_bytes()) => ports.push((uuid, port)),
            (_, Err(e)) => tracing::error!(path = %path.display(), "cannot read network port: {e}"),
            _ => tracing::error!(path = %path.display(), "file name is not the uuid of the network port in it"),
        }
    }
    ports
}

/// Removes the folder of a network that has no ports any more.
pub(super) fn remove_port_folder(folders: &Folders, name: &str) {
    let ports = folders.ports(name);
    for (_, path) in object::file::with_suffix(&ports, ".xml").unwrap_or_default() {
        let _ = std::fs::remove_file(path);
    }
    for folder in [ports.as_path(), ports.parent().unwrap_or(&ports)] {
        // a folder that is missing, or holds what is not ours, stays
        let _ = std::fs::remove_dir(folder);
    }
}
