//! Which daemon serves a class, and where it listens.

use protocol::Class;
use std::path::{Path, PathBuf};

/// Another daemon of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    /// Its name: `virtnetworkd`.
    pub daemon: String,
    /// Its socket.
    pub socket: PathBuf,
    /// Its socket for clients that may only look; a session has none.
    pub socket_read_only: PathBuf,
    /// What is opened there.
    pub uri: String,
}

impl Sibling {
    /// The daemon `virtSCHEMEd` with its sockets in `directory`.
    pub fn new(directory: &Path, scheme: &str, uri: String) -> Self {
        let daemon = format!("virt{scheme}d");
        Sibling {
            socket: directory.join(format!("{daemon}-sock")),
            socket_read_only: directory.join(format!("{daemon}-sock-ro")),
            daemon,
            uri,
        }
    }

    /// The daemon of a class that drivers leave to others; `None` for classes that have none.
    pub fn of_class(directory: &Path, class: Class, privileged: bool) -> Option<Self> {
        let scheme = match class {
            Class::Network => "network",
            Class::Storage => "storage",
            Class::Interface => "interface",
            Class::Nodedev => "nodedev",
            Class::Secret => "secret",
            // Packet filters need the system's rights.
            Class::Nwfilter if privileged => "nwfilter",
            Class::Nwfilter | Class::Hypervisor | Class::Connection | Class::Auth | Class::Service => return None,
        };
        let path = if privileged { "system" } else { "session" };
        Some(Sibling::new(directory, scheme, format!("{scheme}:///{path}")))
    }

    /// The socket for a client.
    pub fn socket_for(&self, read_only: bool) -> &Path {
        if read_only && self.socket_read_only.exists() { &self.socket_read_only } else { &self.socket }
    }
}
