//! From a loaded driver to the last client: the part of a daemon's life that runs in the runtime.

use std::future::Future;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use host::fork::StatusPipe;
use rpc::{Auth, Listener, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::activation::Role;
use crate::admin::Administration;
use crate::context::{Context, Services};
use crate::idle::any_change;
use crate::reexec;
use crate::settings::{self, Settings};
use crate::spec::{Kind, Spec};
use crate::status::{Failure, OrFail, Status};

/// How long running calls may take once the end has begun.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// How often the service manager hears that loading goes on, and for how long it then waits.
const LOADING_STEP: Duration = Duration::from_secs(10);
/// How long after the last client has gone free memory is given back.
const TRIM_DELAY: Duration = Duration::from_secs(3);

/// Listening sockets, whoever made them.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// With their unit names.
    pub(crate) sockets: Vec<(Role, String, OwnedFd)>,
    /// Files of those that we made.
    pub(crate) own_paths: Vec<PathBuf>,
}

/// Why serving ended.
#[derive(Debug)]
pub(crate) enum End {
    /// As asked.
    Done,
    /// To be followed by a new program in this process.
    Reexec(reexec::Plan),
}

/// The name of the unit that would have made a socket of this role.
pub(crate) fn unit_name(spec: &Spec, role: Role) -> String {
    let suffix = match role {
        Role::Main => "",
        Role::ReadOnly => "-ro",
        Role::Admin => "-admin",
        Role::Tcp => "-tcp",
        Role::Tls => "-tls",
    };
    format!("{}{suffix}.socket", spec.name)
}

/// Loads the driver, serves, ends.
pub(crate) async fn serve<F, Fut>(
    context: Context,
    inherited: Inherited,
    build: F,
    parent: &mut Option<StatusPipe>,
) -> Result<End, Failure>
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = anyhow::Result<Services>>,
{
    let mut signals = Signals::new(context.spec.kind).or_fail(Status::Signal, || "cannot handle signals".to_owned())?;
    let loaded = tokio::select! {
        loaded = load(&context, build) => Some(loaded),
        () = end(&mut signals.ends) => None,
    };
    let Some(loaded) = loaded else { return Ok(End::Done) };
    let mut services = loaded.or_fail(Status::Driver, || "Driver state initialization failed".to_owned())?;
    let servers = servers(&context, &mut services);
    if let Some(hook) = services.on_servers.take() {
        hook(&servers);
    }
    let kept =
        duplicates(&inherited, services.reexec.is_some()).or_fail(Status::Network, || "cannot serve".to_owned())?;
    for (role, name, fd) in inherited.sockets {
        start(&context, &servers, role, name, fd).or_fail(Status::Network, || "cannot serve".to_owned())?;
    }
    context.manager.ready();
    if let Some(parent) = parent.take() {
        parent.report(Status::Ok as u8);
    }
    let reexec = wait(&context, &servers, &mut signals, services.reexec.is_some()).await;
    context.shutdown.begin();
    if !reexec {
        context.manager.stopping();
    }
    for server in &servers {
        server.shut_down(DRAIN_DEADLINE).await;
    }
    if let (true, Some(hook)) = (reexec, services.reexec.take()) {
        let descriptors = hook().or_fail(Status::Reexec, || "cannot write down the state".to_owned())?;
        return Ok(End::Reexec(reexec::Plan { sockets: kept, descriptors, own_paths: inherited.own_paths }));
    }
    if let Some(hook) = services.close.take() {
        hook().await;
    }
    Ok(End::Done)
}

/// Runs the driver's loading; the service manager learns that it goes on.
async fn load<F, Fut>(context: &Context, build: F) -> anyhow::Result<Services>
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = anyhow::Result<Services>>,
{
    let loading = build(context.clone());
    tokio::pin!(loading);
    loop {
        match tokio::time::timeout(LOADING_STEP, &mut loading).await {
            Ok(services) => return services,
            Err(_) => context.manager.extend_timeout(LOADING_STEP * 3),
        }
    }
}

/// The main server and the admin server.
fn servers(context: &Context, services: &mut Services) -> Vec<Server> {
    let spec = &context.spec;
    let own = nix::unistd::geteuid().as_raw();
    let mut main = Server::builder(spec.name)
        .limits(limits(&context.settings.limits))
        .programs(std::mem::take(&mut services.programs));
    if spec.kind == Kind::Helper {
        // Only daemons of the same account; the mode of the socket says so too.
        main = main.admit(move |peer| peer.uid == own);
    }
    if let Some(adjust) = services.adjust.take() {
        main = adjust(main);
    }
    let administration = Administration::new(context);
    let admin = Server::builder("admin")
        .limits(limits(&context.settings.admin_limits))
        .program(administration.clone())
        .programs(std::mem::take(&mut services.admin_programs))
        .admit(move |peer| peer.uid == own);
    let servers = vec![main.build(), admin.build()];
    administration.serve(&servers);
    servers
}

fn limits(settings: &settings::Limits) -> rpc::Limits {
    let interval = u64::try_from(settings.keepalive_interval).unwrap_or(0);
    let anonymous = match settings.max_anonymous_clients {
        0 => settings.max_clients,
        count => count,
    };
    rpc::Limits {
        clients_max: settings.max_clients as usize,
        anonymous_clients_max: anonymous as usize,
        client_requests_max: settings.max_client_requests as usize,
        keepalive_interval: Duration::from_secs(interval),
        keepalive_count: settings.keepalive_count,
        ..rpc::Limits::default()
    }
}

fn auth(settings: &Settings, role: Role) -> Auth {
    let configured = match role {
        Role::Main => settings.auth_unix_rw,
        Role::ReadOnly => settings.auth_unix_ro,
        Role::Admin => settings::Auth::None,
        Role::Tcp => settings.ip.auth_tcp,
        Role::Tls => settings.ip.auth_tls,
    };
    match configured {
        settings::Auth::None => Auth::None,
        settings::Auth::Sasl => Auth::Sasl,
        settings::Auth::Polkit => Auth::Polkit,
    }
}

fn start(context: &Context, servers: &[Server], role: Role, name: String, fd: OwnedFd) -> std::io::Result<()> {
    if matches!(role, Role::Tcp | Role::Tls) {
        return refuse_all(name, fd);
    }
    let listener = Listener::new(name, UnixListener::from(fd))
        .read_only(role == Role::ReadOnly)
        .auth(auth(&context.settings, role));
    let server = if role == Role::Admin { &servers[1] } else { &servers[0] };
    server.serve(listener).map(drop)
}

/// Network transports are not built yet: clients are told so by a closed connection, at once, not by silence.
fn refuse_all(name: String, fd: OwnedFd) -> std::io::Result<()> {
    tracing::warn!(socket = name, "TCP and TLS transports are not supported; their clients are turned away");
    let listener = TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        loop {
            if listener.accept().await.is_err() {
                // Out of descriptors, most likely; that passes.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    Ok(())
}

/// Copies of the listening sockets for a program that may follow.
fn duplicates(inherited: &Inherited, wanted: bool) -> std::io::Result<Vec<(String, OwnedFd)>> {
    if !wanted {
        return Ok(Vec::new());
    }
    inherited.sockets.iter().map(|(_, name, fd)| Ok((name.clone(), host::descriptor::duplicate(fd)?))).collect()
}

/// Serves until there is a reason to end; `true`: to be executed anew.
async fn wait(context: &Context, servers: &[Server], signals: &mut Signals, may_reexec: bool) -> bool {
    let counts = || servers.iter().map(Server::client_count).collect::<Vec<_>>();
    let idle = context.idle.expired(counts());
    let trim = trim_when_quiet(counts());
    tokio::pin!(idle, trim);
    let Signals { ends, reload, again } = signals;
    loop {
        tokio::select! {
            () = end(ends) => {
                tracing::info!("ending by a signal");
                return false;
            }
            () = &mut idle => {
                tracing::info!("ending: idle");
                return false;
            }
            () = context.shutdown.requested() => return false,
            () = next(reload) => {
                tracing::info!("reloading");
                context.manager.reloading();
                context.reload.run().await;
                context.manager.ready();
            }
            () = next_of(again) => {
                if may_reexec {
                    return true;
                }
                tracing::warn!("this daemon cannot be executed anew; the signal is ignored");
            }
            () = &mut trim => {}
        }
    }
}

/// Gives free memory back some time after the last client has gone.
async fn trim_when_quiet(mut counts: Vec<tokio::sync::watch::Receiver<usize>>) {
    loop {
        any_change(&mut counts).await;
        if counts.iter().all(|count| *count.borrow() == 0)
            && tokio::time::timeout(TRIM_DELAY, any_change(&mut counts)).await.is_err()
        {
            host::system::trim_memory();
        }
    }
}

struct Signals {
    ends: [Signal; 3],
    reload: Signal,
    /// Only for daemons that can be executed anew; others keep the default action.
    again: Option<Signal>,
}

impl Signals {
    fn new(kind: Kind) -> std::io::Result<Signals> {
        let again = match kind {
            Kind::Helper => Some(signal(SignalKind::user_defined1())?),
            Kind::Driver | Kind::Proxy => None,
        };
        Ok(Signals {
            ends: [signal(SignalKind::interrupt())?, signal(SignalKind::quit())?, signal(SignalKind::terminate())?],
            reload: signal(SignalKind::hangup())?,
            again,
        })
    }
}

async fn end(signals: &mut [Signal; 3]) {
    let [interrupt, quit, terminate] = signals;
    tokio::select! {
        () = next(interrupt) => {}
        () = next(quit) => {}
        () = next(terminate) => {}
    }
}

async fn next(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // The runtime is going away.
        std::future::pending::<()>().await;
    }
}

async fn next_of(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => next(signal).await,
        None => std::future::pending().await,
    }
}
