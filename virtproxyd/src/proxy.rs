//! The programs of the proxy: what is answered here, and where the rest goes.

use crate::target::{choose, leaves_main};
use bytes::Bytes;
use error::Result;
use protocol::remote::{self, proc};
use protocol::{Class, Procedure, ReplyFuture, qemu};
use rpc::remote::{LXC_PROGRAM, Session, authentication, not_open, session};
use rpc::router::Target;
use rpc::{Auth, Call, Program, RelayCall, Router};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The remote, qemu and lxc programs, relayed to the daemons that `router` knows.
pub fn programs(router: Router) -> Vec<Arc<dyn Program>> {
    let proxy = Arc::new(Proxy { router: Arc::new(router) });
    [remote::PROGRAM, qemu::PROGRAM, LXC_PROGRAM]
        .map(|number| Arc::new(ProxyProgram { number, proxy: proxy.clone() }) as Arc<dyn Program>)
        .into()
}

/// Whether the daemon that a client opened leaves host objects to their own daemons.
#[derive(Default)]
struct Sharing(AtomicBool);

struct Proxy {
    router: Arc<Router>,
}

struct ProxyProgram {
    number: u32,
    proxy: Arc<Proxy>,
}

impl Program for ProxyProgram {
    fn number(&self) -> u32 {
        self.number
    }

    fn procedure(&self, number: i32) -> Option<&'static Procedure> {
        match self.number {
            remote::PROGRAM => remote::procedure(number),
            qemu::PROGRAM => qemu::procedure(number),
            _ => None,
        }
    }

    fn call(&self, call: Call, payload: Bytes) -> ReplyFuture {
        let number = call.procedure().number;
        match call.procedure().class {
            Class::Auth => remote::dispatch_auth(self.proxy.clone(), call, number, payload),
            _ => remote::dispatch_connection(self.proxy.clone(), call, number, payload),
        }
    }

    fn relay(&self, call: RelayCall) -> Option<RelayCall> {
        // Numbers that our table lacks may be known to a newer daemon.
        let class = call.procedure().map_or(Class::Hypervisor, |procedure| procedure.class);
        if self.number == remote::PROGRAM && is_answered_here(&call, class) {
            return Some(call);
        }
        if !Session::of(call.client()).is_open() {
            call.refuse(&not_open(class));
            return None;
        }
        let sharing = call.client().data::<Sharing>().0.load(Ordering::Relaxed);
        let target = if sharing && leaves_main(class) { Target::Class(class) } else { Target::Main };
        self.proxy.router.relay(target, call);
        None
    }
}

/// What concerns the client's connection to us, not what is behind it.
fn is_answered_here(call: &RelayCall, class: Class) -> bool {
    match (class, call.number()) {
        (Class::Auth, _) => true,
        (
            Class::Connection,
            proc::CONNECT_OPEN
            | proc::CONNECT_CLOSE
            | proc::CONNECT_SET_IDENTITY
            | proc::CONNECT_REGISTER_CLOSE_CALLBACK
            | proc::CONNECT_UNREGISTER_CLOSE_CALLBACK,
        ) => true,
        (Class::Connection, proc::CONNECT_SUPPORTS_FEATURE) => {
            let args = xdr::from_slice::<remote::ConnectSupportsFeatureArgs>(call.payload());
            args.map_or(true, |args| session::is_daemon_feature(args.feature))
        }
        _ => false,
    }
}

impl Proxy {
    async fn open(&self, call: &Call, args: remote::ConnectOpenArgs) -> Result<()> {
        let client = call.client();
        let session = Session::of(client);
        if let Err(error) = session::begin_open(&session) {
            self.router.close_main(client);
            return Err(error);
        }
        let name = args.name.unwrap_or_default();
        let target = choose(&name, self.router.directory(), self.router.is_privileged())?;
        if session::wants_read_only(args.flags) {
            client.set_read_only();
        }
        let sibling = self.router.sibling(&target.scheme, target.uri.clone());
        self.router.open_main(client, sibling).await?;
        client.data::<Sharing>().0.store(target.sharing, Ordering::Relaxed);
        session.set_uri(Some(target.uri));
        Ok(())
    }

    fn session(&self, call: &Call) -> Result<Arc<Session>> {
        let session = Session::of(call.client());
        if session.is_open() { Ok(session) } else { Err(not_open(Class::Connection)) }
    }
}

impl remote::Connection<Call> for Proxy {
    async fn connect_open(&self, call: &Call, args: remote::ConnectOpenArgs) -> Result<()> {
        self.open(call, args).await
    }

    async fn connect_close(&self, call: &Call) -> Result<()> {
        call.close_after_reply();
        Ok(())
    }

    async fn connect_supports_feature(
        &self,
        call: &Call,
        args: remote::ConnectSupportsFeatureArgs,
    ) -> Result<remote::ConnectSupportsFeatureRet> {
        if session::needs_open(args.feature) {
            self.session(call)?;
        }
        let supported = session::daemon_feature(call.client(), args.feature).unwrap_or(0);
        Ok(remote::ConnectSupportsFeatureRet { supported })
    }

    async fn connect_register_close_callback(&self, call: &Call) -> Result<()> {
        self.session(call)?.set_close_callback(true);
        Ok(())
    }

    async fn connect_unregister_close_callback(&self, call: &Call) -> Result<()> {
        self.session(call)?.set_close_callback(false);
        Ok(())
    }

    async fn connect_set_identity(&self, call: &Call, args: remote::ConnectSetIdentityArgs) -> Result<()> {
        self.session(call)?;
        session::set_identity(call, args)?;
        self.router.identity_changed(call.client());
        Ok(())
    }
}

impl remote::Auth<Call> for Proxy {
    async fn auth_list(&self, call: &Call) -> Result<remote::AuthListRet> {
        Ok(remote::AuthListRet { types: vec![authentication::offered(call.client())] })
    }

    async fn auth_polkit(&self, call: &Call) -> Result<remote::AuthPolkitRet> {
        Err(authentication::unavailable(call.client(), Auth::Polkit))
    }

    async fn auth_sasl_init(&self, call: &Call) -> Result<remote::AuthSaslInitRet> {
        Err(authentication::unavailable(call.client(), Auth::Sasl))
    }
}
