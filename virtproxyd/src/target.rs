//! Which daemon a URI means.

use error::{Code, Domain, Error, Result};
use protocol::Class;
use rpc::remote::ConnectUri;
use std::path::Path;

/// Hypervisor drivers in the order in which a client without a URI gets them.
const PROBED_SYSTEM: [&str; 6] = ["xen", "qemu", "lxc", "vbox", "bhyve", "vz"];
const PROBED_SESSION: [&str; 2] = ["qemu", "vbox"];
/// Drivers without networks, storage and other host objects of their own: those come from the sibling daemons.
const SHARING: [&str; 5] = ["xen", "qemu", "lxc", "bhyve", "ch"];
/// Drivers that bring everything themselves.
const SELF_CONTAINED: [&str; 2] = ["vbox", "vz"];
const SECONDARY: [&str; 6] = ["network", "storage", "secret", "nodedev", "interface", "nwfilter"];
/// Drivers that live in the client library; no daemon serves them.
const CLIENT_SIDE: [&str; 5] = ["test", "esx", "gsx", "hyperv", "vmwareplayer"];

/// A daemon to open for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenTarget {
    /// Scheme of its driver.
    pub(crate) scheme: String,
    /// What to open there.
    pub(crate) uri: String,
    /// Whether calls of other classes go to their own daemons.
    pub(crate) sharing: bool,
}

/// Chooses the daemon for what the client asked to open. `directory` holds the daemons' sockets.
pub(crate) fn choose(name: &str, directory: &Path, privileged: bool) -> Result<OpenTarget> {
    if name.is_empty() {
        let scheme = probe(directory, privileged)?;
        let path = if privileged { "system" } else { "session" };
        return Ok(OpenTarget {
            scheme: scheme.into(),
            uri: format!("{scheme}:///{path}"),
            sharing: is_sharing(scheme),
        });
    }
    let scheme = ConnectUri::parse(name)?.scheme;
    let known = |list: &[&str]| list.contains(&scheme.as_str());
    if known(&CLIENT_SIDE) {
        let text = format!("Unexpected driver type '{scheme}' opened");
        return Err(Error::new(Domain::Rpc, Code::InternalError, text));
    }
    if !known(&SHARING) && !known(&SELF_CONTAINED) && !known(&SECONDARY) {
        return Err(Error::new(Domain::None, Code::NoConnect, name));
    }
    let sharing = is_sharing(&scheme);
    Ok(OpenTarget { scheme, uri: name.to_owned(), sharing })
}

/// Whether calls of a class leave the daemon that the client opened.
pub(crate) fn leaves_main(class: Class) -> bool {
    match class {
        Class::Network | Class::Storage | Class::Interface | Class::Nodedev | Class::Nwfilter | Class::Secret => true,
        Class::Hypervisor | Class::Connection | Class::Auth | Class::Service => false,
    }
}

fn is_sharing(scheme: &str) -> bool {
    SHARING.contains(&scheme)
}

fn probe(directory: &Path, privileged: bool) -> Result<&'static str> {
    let candidates: &[&'static str] = if privileged { &PROBED_SYSTEM } else { &PROBED_SESSION };
    let found = candidates.iter().find(|scheme| directory.join(format!("virt{scheme}d-sock")).exists());
    found.copied().ok_or_else(|| Error::plain(Domain::None, Code::NoConnect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_name_daemons() {
        let folder = Path::new("/nonexistent");
        let rows = [
            ("qemu:///system", "qemu", true),
            ("qemu:///session?x=y", "qemu", true),
            ("lxc:///system", "lxc", true),
            ("vbox:///session", "vbox", false),
            ("network:///system", "network", false),
        ];
        for (name, scheme, sharing) in rows {
            let target = choose(name, folder, true).unwrap();
            assert_eq!((target.scheme.as_str(), target.uri.as_str(), target.sharing), (scheme, name, sharing));
        }
        for (name, text) in [
            ("test:///default", "internal error: Unexpected driver type 'test' opened"),
            ("frob:///system", "no connection driver available for frob:///system"),
            ("frob", "no connection driver available for URI 'frob' does not include a driver name"),
            ("", "no connection driver available"),
        ] {
            assert_eq!(choose(name, folder, true).unwrap_err().message, text);
        }
    }

    #[test]
    fn without_a_uri_sockets_are_probed() {
        let directory = tempfile::tempdir().unwrap();
        for scheme in ["lxc", "qemu"] {
            std::fs::write(directory.path().join(format!("virt{scheme}d-sock")), "").unwrap();
        }
        assert_eq!(choose("", directory.path(), true).unwrap().uri, "qemu:///system");
        assert_eq!(choose("", directory.path(), false).unwrap().uri, "qemu:///session");
    }
}
