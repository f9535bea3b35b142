//! What distinguishes one daemon from another, before its driver is looked at.

/// Which family a daemon belongs to; it decides sockets, settings and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Serves a class of objects (virtqemud, virtnetworkd, virtstoraged).
    Driver,
    /// Stands at the legacy sockets and relays (virtproxyd).
    Proxy,
    /// Serves the other daemons only (virtlockd, virtlogd).
    Helper,
}

/// How the daemon's tasks are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// All on the main thread.
    CurrentThread,
    /// On this many threads.
    Workers(usize),
}

/// The fixed facts of a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Name of the program, its units, files and main server.
    pub name: &'static str,
    /// A few words for the help text.
    pub about: &'static str,
    /// The scheme of its URIs.
    pub scheme: Option<&'static str>,
    /// Its family.
    pub kind: Kind,
    /// How its tasks are run.
    pub runtime: Flavour,
}

impl Spec {
    /// A daemon that serves the objects of `scheme`.
    pub const fn driver(name: &'static str, scheme: &'static str, about: &'static str) -> Spec {
        Spec { name, about, scheme: Some(scheme), kind: Kind::Driver, runtime: Flavour::Workers(2) }
    }

    /// The daemon at the legacy sockets.
    pub const fn proxy(name: &'static str, about: &'static str) -> Spec {
        Spec { name, about, scheme: None, kind: Kind::Proxy, runtime: Flavour::CurrentThread }
    }

    /// A daemon for other daemons.
    pub const fn helper(name: &'static str, about: &'static str) -> Spec {
        Spec { name, about, scheme: None, kind: Kind::Helper, runtime: Flavour::CurrentThread }
    }

    /// The first part of the names of its sockets.
    pub fn socket_base(&self) -> &'static str {
        match self.kind {
            Kind::Proxy => "libvirt",
            Kind::Driver | Kind::Helper => self.name,
        }
    }

    /// Whether it has a socket for clients that only look: not for other daemons' use, not in sessions.
    pub fn has_read_only_socket(&self, privileged: bool) -> bool {
        privileged && self.kind != Kind::Helper
    }
}
