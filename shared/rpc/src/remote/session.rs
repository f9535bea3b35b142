//! What a client has opened, and the calls about the connection itself.

use super::{LIBRARY_VERSION, Shared, not_open};
use crate::call::Call;
use crate::client::Client;
use crate::identity::Identity;
use crate::remote::ConnectUri;
use error::{Code, Domain, Error, Result};
use protocol::{Class, remote};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// `VIR_CONNECT_RO`.
const OPEN_READ_ONLY: u32 = 1;
const FEATURE_FD_PASSING: i32 = 8;
const FEATURE_KEEPALIVE: i32 = 10;
const FEATURE_EVENT_CALLBACK: i32 = 14;
const FEATURE_CLOSE_CALLBACK: i32 = 15;

/// One client's connection to the driver, between `CONNECT_OPEN` and `CONNECT_CLOSE`.
#[derive(Debug, Default)]
pub struct Session {
    uri: Mutex<Option<String>>,
    close_callback: AtomicBool,
}

impl Session {
    /// The session of a client.
    pub fn of(client: &Client) -> Arc<Session> {
        client.data::<Session>()
    }

    /// Whether the client has opened a connection.
    pub fn is_open(&self) -> bool {
        self.uri.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The URI that was opened.
    pub fn uri(&self) -> Option<String> {
        self.uri.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what was opened.
    pub fn set_uri(&self, uri: Option<String>) {
        *self.uri.lock().unwrap_or_else(PoisonError::into_inner) = uri;
    }

    /// Whether the client wants to be told when the daemon loses what is behind it.
    pub fn has_close_callback(&self) -> bool {
        self.close_callback.load(Ordering::Relaxed)
    }

    /// Registers or removes that wish.
    pub fn set_close_callback(&self, wanted: bool) {
        self.close_callback.store(wanted, Ordering::Relaxed);
    }
}

/// The checks of `CONNECT_OPEN` that do not depend on the driver. A second open fails and drops the first.
///
/// Of the flags only `VIR_CONNECT_RO` means anything here. libvirt's client sends bits of its own besides (4 for a session
/// whose daemon it may start), and libvirt's daemon does not look at them.
pub fn begin_open(session: &Session) -> Result<()> {
    if session.is_open() {
        session.set_uri(None);
        return Err(Error::new(Domain::Rpc, Code::InternalError, "connection already open"));
    }
    Ok(())
}

/// Whether the flags of `CONNECT_OPEN` ask for looking only; libvirt's daemons ignore all others.
pub fn wants_read_only(flags: u32) -> bool {
    flags & OPEN_READ_ONLY != 0
}

/// Whether a feature is the daemon's matter, not the driver's.
pub fn is_daemon_feature(feature: i32) -> bool {
    matches!(feature, FEATURE_KEEPALIVE | FEATURE_FD_PASSING | FEATURE_EVENT_CALLBACK | FEATURE_CLOSE_CALLBACK)
}

/// The keepalive question may come before the connection is open, the others may not.
pub fn needs_open(feature: i32) -> bool {
    feature != FEATURE_KEEPALIVE
}

/// The answer every daemon gives about a feature of its own; `None`: the driver's matter.
pub fn daemon_feature(client: &Client, feature: i32) -> Option<i32> {
    match feature {
        FEATURE_KEEPALIVE => {
            client.start_keepalive();
            Some(1)
        }
        FEATURE_FD_PASSING | FEATURE_EVENT_CALLBACK | FEATURE_CLOSE_CALLBACK => Some(1),
        _ => None,
    }
}

/// Replaces a client's identity on behalf of a sibling daemon.
///
/// # Errors
/// `ACCESS_DENIED` unless the kernel says that the client runs as root or as this daemon's user;
/// `ARGUMENT_UNSUPPORTED` and `INVALID_ARG` for wrong parts; `OPERATION_DENIED` for read-only clients.
pub fn set_identity(call: &Call, args: remote::ConnectSetIdentityArgs) -> Result<()> {
    let client = call.client();
    super::check_read_only(client, call.procedure(), || None)?;
    let uid = client.peer().uid;
    if uid != 0 && uid != nix::unistd::geteuid().as_raw() {
        return Err(Error::new(Domain::Rpc, Code::AccessDenied, "only daemons may set an identity"));
    }
    client.set_identity(Identity::from_params(args.params)?);
    Ok(())
}

impl Shared {
    fn check_open(&self, call: &Call) -> Result<Arc<Session>> {
        let session = Session::of(call.client());
        if session.is_open() { Ok(session) } else { Err(not_open(Class::Connection)) }
    }

    fn check_uri(&self, name: &str) -> Result<()> {
        let uri = ConnectUri::parse(name)?;
        if uri.scheme != self.config.scheme {
            return Err(Error::new(Domain::None, Code::NoConnect, name));
        }
        uri.check_path(self.config.privileged, self.config.session_when_privileged)
    }
}

impl remote::Connection<Call> for Shared {
    async fn connect_open(&self, call: &Call, args: remote::ConnectOpenArgs) -> Result<()> {
        let session = Session::of(call.client());
        begin_open(&session)?;
        let name = args.name.filter(|name| !name.is_empty()).unwrap_or_else(|| self.config.default_uri());
        self.check_uri(&name)?;
        if wants_read_only(args.flags) {
            call.client().set_read_only();
        }
        session.set_uri(Some(name));
        Ok(())
    }

    async fn connect_close(&self, call: &Call) -> Result<()> {
        call.close_after_reply();
        Ok(())
    }

    async fn connect_get_type(&self, call: &Call) -> Result<remote::ConnectGetTypeRet> {
        self.check_open(call)?;
        Ok(remote::ConnectGetTypeRet { type_: self.config.driver.to_owned() })
    }

    async fn connect_get_uri(&self, call: &Call) -> Result<remote::ConnectGetUriRet> {
        let session = self.check_open(call)?;
        Ok(remote::ConnectGetUriRet { uri: session.uri().unwrap_or_default() })
    }

    async fn connect_supports_feature(
        &self,
        call: &Call,
        args: remote::ConnectSupportsFeatureArgs,
    ) -> Result<remote::ConnectSupportsFeatureRet> {
        if needs_open(args.feature) {
            self.check_open(call)?;
        }
        let supported = daemon_feature(call.client(), args.feature)
            .unwrap_or_else(|| self.config.features.contains(&args.feature).into());
        Ok(remote::ConnectSupportsFeatureRet { supported })
    }

    async fn connect_is_secure(&self, call: &Call) -> Result<remote::ConnectIsSecureRet> {
        self.check_open(call)?;
        Ok(remote::ConnectIsSecureRet { secure: 1 })
    }

    async fn connect_get_lib_version(&self, call: &Call) -> Result<remote::ConnectGetLibVersionRet> {
        self.check_open(call)?;
        Ok(remote::ConnectGetLibVersionRet { lib_ver: LIBRARY_VERSION })
    }

    async fn connect_register_close_callback(&self, call: &Call) -> Result<()> {
        self.check_open(call)?.set_close_callback(true);
        Ok(())
    }

    async fn connect_unregister_close_callback(&self, call: &Call) -> Result<()> {
        self.check_open(call)?.set_close_callback(false);
        Ok(())
    }

    async fn connect_set_identity(&self, call: &Call, args: remote::ConnectSetIdentityArgs) -> Result<()> {
        self.check_open(call)?;
        set_identity(call, args)?;
        if let Some(router) = &self.router {
            router.identity_changed(call.client());
        }
        Ok(())
    }
}
