//! The service manager's store of descriptors (`FDSTORE=1`, sd_notify(3), sd_pid_notify_with_fds(3)).
//!
//! Measured with systemd 252: a stored descriptor survives SIGKILL of its sender right after the message is sent, so
//! no answer is awaited. Without `FDPOLL=0` a pipe whose other end hangs up would be dropped. The manager drops
//! silently what exceeds `FileDescriptorStoreMax`, so we count and refuse.

use std::collections::HashSet;
use std::env;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Slots in the store: `FileDescriptorStoreMax` of our units.
pub const SLOTS_MAX: usize = 16_384;
/// Longest name, so that all of them fit in `LISTEN_FDNAMES` (one string of at most 128 KiB).
pub const NAME_MAX: usize = 7;
/// How long the manager may leave its queue full.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The store, or the absence of one.
#[derive(Debug)]
pub struct FdStore {
    socket: Option<UnixDatagram>,
    names: HashSet<String>,
    limit: usize,
}

impl FdStore {
    /// No service manager keeps anything.
    pub fn none() -> FdStore {
        FdStore { socket: None, names: HashSet::new(), limit: SLOTS_MAX }
    }

    /// The store of the manager that started us, if it did (`NOTIFY_SOCKET`). systemd from 254 on says in `FDSTORE`
    /// how many slots it grants.
    pub fn from_environment() -> io::Result<FdStore> {
        let Some(address) = env::var_os("NOTIFY_SOCKET") else { return Ok(FdStore::none()) };
        let address = address.into_encoded_bytes();
        let address = match address.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(std::str::from_utf8(&address).map_err(io::Error::other)?)?,
        };
        let limit = env::var("FDSTORE").ok().and_then(|value| value.parse().ok());
        FdStore::connect(&address, limit.unwrap_or(SLOTS_MAX))
    }

    fn connect(address: &SocketAddr, limit: usize) -> io::Result<FdStore> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(address)?;
        // The manager reads at once unless it hangs; then a refused request is better than a hung one.
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(FdStore { socket: Some(socket), names: HashSet::new(), limit })
    }

    /// Whether descriptors are really kept.
    pub fn is_active(&self) -> bool {
        self.socket.is_some()
    }

    /// A name under which the store already holds a descriptor, because we were started with it.
    pub fn adopt(&mut self, name: &str) {
        if self.socket.is_some() {
            self.names.insert(name.to_owned());
        }
    }

    /// Whether the store holds nothing under other names than these.
    pub fn holds_only(&self, names: &[&str]) -> bool {
        self.names.iter().all(|held| names.contains(&held.as_str()))
    }

    /// Puts a copy into the store. Without a store this does nothing.
    ///
    /// # Errors
    /// `ENOSPC` when all slots are taken, and those of the socket.
    pub fn keep(&mut self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        debug_assert!(name.len() <= NAME_MAX && !name.contains(':'));
        let Some(socket) = &self.socket else { return Ok(()) };
        if self.names.len() >= self.limit {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
        }
        let message = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0");
        host::socket::send_with(socket, &[IoSlice::new(message.as_bytes())], &[fd])?;
        self.names.insert(name.to_owned());
        Ok(())
    }

    /// Drops the copy from the store.
    pub fn forget(&mut self, name: &str) {
        let Some(socket) = &self.socket else { return };
        if self.names.remove(name)
            && let Err(e) = socket.send(format!("FDSTOREREMOVE=1\nFDNAME={name}").as_bytes())
        {
            tracing::error!(name, error = %e, "cannot take a descriptor back from the service manager");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_go_with_their_names_until_the_store_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(dir.path().join("notify")).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let mut store = FdStore::connect(&address, 2).unwrap();
        let file = tempfile::tempfile().unwrap();
        store.keep("l1", file.as_fd()).unwrap();
        let mut buffer = [0; 200];
        let (length, fds) = host::socket::receive_with(&manager, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"FDSTORE=1\nFDNAME=l1\nFDPOLL=0");
        assert_eq!(fds.len(), 1);
        store.adopt("l2");
        assert_eq!(store.keep("l3", file.as_fd()).unwrap_err().raw_os_error(), Some(nix::libc::ENOSPC));
        store.forget("l2");
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"FDSTOREREMOVE=1\nFDNAME=l2");
        store.forget("l2");
        assert!(store.holds_only(&["l1", "x"]));
        store.keep("l3", file.as_fd()).unwrap();
        assert!(!store.holds_only(&["l1"]));
    }

    #[test]
    fn without_a_manager_nothing_is_kept() {
        let mut store = FdStore::none();
        store.adopt("l1");
        store.keep("l2", tempfile::tempfile().unwrap().as_fd()).unwrap();
        store.forget("l2");
        assert!(!store.is_active());
    }
}
