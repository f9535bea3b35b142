//! What the service manager is told: readiness, reload, stop. Descriptors it keeps for us are in `fd_store`.
//!
//! The protocol is sd_notify(3): datagrams of `KEY=VALUE` lines to the socket that `NOTIFY_SOCKET` names. Without that
//! variable nothing is sent and nothing is missed.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The way to the service manager; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    socket: Option<Arc<UnixDatagram>>,
}

impl Manager {
    /// Connects to the socket that the environment names.
    pub fn from_environment() -> Manager {
        let Some(path) = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
            return Manager::default();
        };
        match connect(path.as_bytes()) {
            Ok(socket) => Manager { socket: Some(Arc::new(socket)) },
            Err(error) => {
                tracing::warn!(%error, socket = ?path, "cannot reach the service manager");
                Manager::default()
            }
        }
    }

    /// Whether a service manager listens.
    pub fn is_present(&self) -> bool {
        self.socket.is_some()
    }

    /// We serve.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// We read our configuration again; [`Manager::ready`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// We go.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// What we are doing takes at least this long from now.
    pub fn extend_timeout(&self, by: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()));
    }

    /// Our main process is now this one.
    pub fn main_pid(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}"));
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::warn!(%error, text, "cannot notify the service manager");
        }
    }
}

fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Manager, UnixDatagram) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let server = UnixDatagram::bind(&path).unwrap();
        let manager = Manager { socket: Some(Arc::new(connect(path.as_os_str().as_bytes()).unwrap())) };
        (manager, server)
    }

    fn receive(server: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = server.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_have_the_managers_form() {
        let (manager, server) = pair();
        manager.ready();
        assert_eq!(receive(&server), "READY=1");
        manager.reloading();
        assert!(receive(&server).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        manager.extend_timeout(Duration::from_secs(2));
        assert_eq!(receive(&server), "EXTEND_TIMEOUT_USEC=2000000");
        Manager::default().ready();
    }
}
