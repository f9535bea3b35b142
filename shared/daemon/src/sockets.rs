//! Sockets that a daemon makes itself when nobody activated it.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};

use crate::activation::Role;
use crate::paths::Paths;
use crate::settings::Settings;
use crate::spec::{Kind, Spec};

/// Why a socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The group of the settings is not there.
    #[error("no group '{0}'")]
    Group(String),
    /// Something failed at this path.
    #[error("Failed to bind socket to '{path}'")]
    Bind {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A listening socket with its file, which goes when we go.
#[derive(Debug)]
pub struct OwnSocket {
    /// What it is for.
    pub role: Role,
    /// Its path.
    pub path: PathBuf,
    /// The socket.
    pub fd: OwnedFd,
}

/// The sockets of a daemon: role, file, mode.
pub fn plan(spec: &Spec, paths: &Paths, settings: &Settings) -> Vec<(Role, PathBuf, u32)> {
    let folder = settings.unix_sock_dir.as_ref().map_or_else(|| paths.run_dir.clone(), PathBuf::from);
    let base = spec.socket_base();
    // A user's own daemon is for that user; libvirt gives its sockets 0700 whatever the file says.
    let mode = |configured: u32| if paths.privileged && spec.kind != Kind::Helper { configured } else { 0o700 };
    let mut sockets = vec![(Role::Main, folder.join(format!("{base}-sock")), mode(settings.unix_sock_rw_perms))];
    if spec.has_read_only_socket(paths.privileged) {
        sockets.push((Role::ReadOnly, folder.join(format!("{base}-sock-ro")), mode(settings.unix_sock_ro_perms)));
    }
    sockets.push((Role::Admin, folder.join(format!("{base}-admin-sock")), mode(settings.unix_sock_admin_perms)));
    sockets
}

/// Makes the sockets; they listen from here on, clients wait until somebody accepts them.
pub fn bind_all(spec: &Spec, paths: &Paths, settings: &Settings) -> Result<Vec<OwnSocket>, Error> {
    let group = match &settings.unix_sock_group {
        Some(name) if paths.privileged => match host::account::group_id(name) {
            Ok(Some(gid)) => Some(gid),
            _ => return Err(Error::Group(name.clone())),
        },
        _ => None,
    };
    let backlog = settings.limits.max_queued_clients;
    let bound = plan(spec, paths, settings).into_iter().map(|(role, path, mode)| {
        match bind(&path, mode, group.filter(|_| role != Role::Admin), backlog) {
            Ok(fd) => Ok(OwnSocket { role, path, fd }),
            Err(source) => Err(Error::Bind { path, source }),
        }
    });
    bound.collect()
}

fn bind(path: &Path, mode: u32, group: Option<u32>, backlog: u32) -> io::Result<OwnedFd> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Made for the owner alone and opened up afterwards, so that nobody gets in before the group is set. The process
    // has one thread here, so the umask disturbs nobody.
    let old = umask(Mode::from_bits_retain(0o177));
    let bound = UnixListener::bind(path);
    umask(old);
    let socket = bound?;
    if let Some(gid) = group {
        std::os::unix::fs::chown(path, None, Some(gid))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    let backlog = i32::try_from(backlog.clamp(1, 4096)).unwrap_or(4096);
    nix::sys::socket::listen(&socket.as_fd(), nix::sys::socket::Backlog::new(backlog)?)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::File;

    #[test]
    fn each_kind_of_daemon_has_its_sockets() {
        let settings = |kind, privileged| Settings::read(&File::default(), kind, privileged).unwrap();
        let files = |spec: &Spec, paths: &Paths| -> Vec<(String, u32)> {
            plan(spec, paths, &settings(spec.kind, paths.privileged))
                .into_iter()
                .map(|(_, path, mode)| (path.file_name().unwrap().to_str().unwrap().to_owned(), mode))
                .collect()
        };
        let system = Paths::system(None);
        let session = Paths::session(Some("/r".into()), &|_| None);
        let driver = Spec::driver("virtqemud", "qemu", "");
        let named =
            |list: &[(&str, u32)]| list.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect::<Vec<_>>();
        assert_eq!(
            files(&driver, &system),
            named(&[("virtqemud-sock", 0o777), ("virtqemud-sock-ro", 0o777), ("virtqemud-admin-sock", 0o700)])
        );
        assert_eq!(files(&driver, &session), named(&[("virtqemud-sock", 0o700), ("virtqemud-admin-sock", 0o700)]));
        assert_eq!(
            files(&Spec::proxy("virtproxyd", ""), &system)[0..2],
            named(&[("libvirt-sock", 0o777), ("libvirt-sock-ro", 0o777)])
        );
        assert_eq!(
            files(&Spec::helper("virtlogd", ""), &system),
            named(&[("virtlogd-sock", 0o700), ("virtlogd-admin-sock", 0o700)])
        );
    }

    #[test]
    fn sockets_replace_old_files_and_listen() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { privileged: true, ..Paths::session(Some(dir.path().into()), &|_| None) };
        let spec = Spec::driver("virtqemud", "qemu", "");
        let settings = Settings::read(&File::parse("unix_sock_rw_perms = \"0750\"").unwrap(), spec.kind, true).unwrap();
        fs::create_dir_all(&paths.run_dir).unwrap();
        fs::write(paths.socket("virtqemud-sock"), "stale").unwrap();
        let sockets = bind_all(&spec, &paths, &settings).unwrap();
        assert_eq!(sockets.len(), 3);
        for socket in &sockets {
            assert!(std::os::unix::net::UnixStream::connect(&socket.path).is_ok());
            assert_eq!(host::socket::listening(&socket.fd), Some(host::socket::Listening::Unix));
        }
        assert_eq!(fs::metadata(&sockets[0].path).unwrap().permissions().mode() & 0o777, 0o750);
    }
}
