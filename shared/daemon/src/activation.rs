//! Descriptors that the service manager hands over at start: listening sockets and what the store kept.
//!
//! `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` (sd_listen_fds(3)). Sockets are named after their unit files, as no
//! unit sets `FileDescriptorName=`; everything else comes from the descriptor store.

use std::env;
use std::os::fd::{OwnedFd, RawFd};

use host::socket::Listening;

use crate::spec::{Kind, Spec};

const FIRST: RawFd = 3;

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// All calls.
    Main,
    /// Calls that only look.
    ReadOnly,
    /// Administration of the daemon.
    Admin,
    /// All calls, over TCP.
    Tcp,
    /// All calls, over TLS.
    Tls,
}

/// What was handed over.
#[derive(Debug, Default)]
pub struct Activation {
    /// Listening sockets with their unit names.
    pub sockets: Vec<(Role, String, OwnedFd)>,
    /// Descriptors of the store with their names.
    pub stored: Vec<(String, OwnedFd)>,
}

/// Why activation failed. All of these are fatal: something is configured wrongly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable is missing or is no number, or counts do not agree.
    #[error("the environment says nothing sensible about activation: {0}")]
    Environment(&'static str),
    /// A name we do not know.
    #[error("unexpected activation descriptor '{0}'")]
    Unknown(String),
    /// A descriptor is not open, or no listening socket of the right family.
    #[error("activation descriptor '{name}' is not {expected}")]
    Wrong {
        /// Its name.
        name: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Activation {
    /// Takes what this process was given and clears the variables, so that children are not confused.
    /// `None`: we were not activated. To be called once, before any other thread runs.
    pub fn take(spec: &Spec) -> Result<Option<Activation>, Error> {
        let variable = |name: &str| env::var(name).ok();
        let (pid, count, names) = (variable("LISTEN_PID"), variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"));
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"] {
            host::system::forget_variable(name);
        }
        let Some(names) = names_for(std::process::id(), pid.as_deref(), count.as_deref(), names.as_deref())? else {
            return Ok(None);
        };
        let mut fds = Vec::new();
        for (number, name) in (FIRST..).zip(names) {
            if name == crate::reexec::PID_FILE_NAME {
                continue;
            }
            let fd = host::descriptor::claim(number)
                .map_err(|_| Error::Wrong { name: name.clone(), expected: "an open descriptor" })?;
            fds.push((name, fd));
        }
        sort_out(spec, fds).map(Some)
    }
}

/// The names of the descriptors, if the variables are meant for the process with this pid.
fn names_for(
    us: u32,
    pid: Option<&str>,
    count: Option<&str>,
    names: Option<&str>,
) -> Result<Option<Vec<String>>, Error> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(None) };
    if pid.parse() != Ok(us) {
        return Ok(None);
    }
    let count: usize = count.parse().map_err(|_| Error::Environment("LISTEN_FDS is no number"))?;
    if count == 0 {
        return Ok(None);
    }
    let names = names.ok_or(Error::Environment("LISTEN_FDNAMES is missing"))?;
    let names: Vec<String> = names.split(':').map(str::to_owned).collect();
    if names.len() != count {
        return Err(Error::Environment("LISTEN_FDS and LISTEN_FDNAMES do not agree"));
    }
    Ok(Some(names))
}

fn sort_out(spec: &Spec, fds: Vec<(String, OwnedFd)>) -> Result<Activation, Error> {
    let mut activation = Activation::default();
    for (name, fd) in fds {
        let Some(unit) = name.strip_suffix(".socket") else {
            if spec.kind != Kind::Helper {
                return Err(Error::Unknown(name));
            }
            activation.stored.push((name, fd));
            continue;
        };
        let Some(role) = role_of(spec, unit) else { return Err(Error::Unknown(name)) };
        let (family, expected) = match role {
            Role::Tcp | Role::Tls => (Listening::Tcp, "a listening TCP socket"),
            Role::Main | Role::ReadOnly | Role::Admin => (Listening::Unix, "a listening UNIX socket"),
        };
        if host::socket::listening(&fd) != Some(family) {
            return Err(Error::Wrong { name, expected });
        }
        activation.sockets.push((role, name, fd));
    }
    Ok(activation)
}

fn role_of(spec: &Spec, unit: &str) -> Option<Role> {
    let role = match unit.strip_prefix(spec.name)? {
        "" => Role::Main,
        "-ro" => Role::ReadOnly,
        "-admin" => Role::Admin,
        "-tcp" => Role::Tcp,
        "-tls" => Role::Tls,
        _ => return None,
    };
    match (spec.kind, role) {
        (Kind::Helper, Role::ReadOnly) | (Kind::Helper | Kind::Driver, Role::Tcp | Role::Tls) => None,
        _ => Some(role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    const DRIVER: Spec = Spec::driver("virtqemud", "qemu", "");
    const PROXY: Spec = Spec::proxy("virtproxyd", "");
    const HELPER: Spec = Spec::helper("virtlogd", "");

    #[test]
    fn variables_are_for_one_process() {
        let names = |pid, count, names| names_for(7, pid, count, names);
        assert_eq!(names(None, None, None).unwrap(), None);
        assert_eq!(names(Some("8"), Some("1"), Some("a")).unwrap(), None);
        assert_eq!(names(Some("7"), Some("0"), None).unwrap(), None);
        assert_eq!(names(Some("7"), Some("2"), Some("a:b")).unwrap().unwrap(), ["a", "b"]);
        assert!(names(Some("7"), Some("1"), None).is_err());
        assert!(names(Some("7"), Some("3"), Some("a:b")).is_err());
        assert!(names(Some("7"), Some("x"), Some("a")).is_err());
    }

    #[test]
    fn roles_follow_the_unit_names() {
        for (spec, unit, role) in [
            (&DRIVER, "virtqemud", Some(Role::Main)),
            (&DRIVER, "virtqemud-ro", Some(Role::ReadOnly)),
            (&DRIVER, "virtqemud-admin", Some(Role::Admin)),
            (&DRIVER, "virtqemud-tcp", None),
            (&DRIVER, "virtqemud-x", None),
            (&DRIVER, "libvirtd", None),
            (&PROXY, "virtproxyd-tls", Some(Role::Tls)),
            (&PROXY, "virtproxyd-tcp", Some(Role::Tcp)),
            (&HELPER, "virtlogd", Some(Role::Main)),
            (&HELPER, "virtlogd-admin", Some(Role::Admin)),
            (&HELPER, "virtlogd-ro", None),
        ] {
            assert_eq!(role_of(spec, unit), role, "{unit}");
        }
    }

    #[test]
    fn sockets_and_stored_descriptors_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let listener = || OwnedFd::from(UnixListener::bind(dir.path().join(uuid::Uuid::new_v4().to_string())).unwrap());
        let pipe = || host::descriptor::pipe().unwrap().0;
        let fds = vec![("virtlogd.socket".to_owned(), listener()), ("p1".to_owned(), pipe())];
        let given = sort_out(&HELPER, fds).unwrap();
        assert_eq!((given.sockets[0].0, given.stored[0].0.as_str()), (Role::Main, "p1"));
        let unknown = sort_out(&DRIVER, vec![("p1".to_owned(), pipe())]).unwrap_err();
        assert_eq!(unknown.to_string(), "unexpected activation descriptor 'p1'");
        let wrong = sort_out(&DRIVER, vec![("virtqemud.socket".to_owned(), pipe())]).unwrap_err();
        assert!(matches!(wrong, Error::Wrong { .. }));
        let tcp = sort_out(&PROXY, vec![("virtproxyd-tcp.socket".to_owned(), listener())]).unwrap_err();
        assert!(matches!(tcp, Error::Wrong { .. }));
    }
}
