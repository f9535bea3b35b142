//! What a driver gets from its daemon, and what it gives back.

use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use rpc::Program;
use tokio::sync::watch;

use crate::config;
use crate::idle::{Idle, Inhibitor};
use crate::notify::Manager;
use crate::paths::Paths;
use crate::settings::Settings;
use crate::spec::Spec;

/// Everything around a driver; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The fixed facts of the daemon.
    pub spec: Spec,
    /// Where everything is.
    pub paths: Arc<Paths>,
    /// The settings that all daemons share.
    pub settings: Arc<Settings>,
    /// The daemon's configuration file, for keys of its own.
    pub config: Arc<config::File>,
    /// Reasons to stay.
    pub idle: Idle,
    /// What happens on SIGHUP.
    pub reload: Reload,
    /// The end of the daemon.
    pub shutdown: Shutdown,
    /// The service manager.
    pub manager: Manager,
    /// By which sibling daemons know each other.
    pub token: Arc<str>,
    pub(crate) stored: Arc<Mutex<Vec<(String, OwnedFd)>>>,
}

impl Context {
    /// A reason for the daemon to stay, while held.
    pub fn inhibit(&self) -> Inhibitor {
        self.idle.inhibit()
    }

    /// The descriptors that the service manager, or the program before a re-execution, kept for us. Only once.
    pub fn take_stored(&self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut *self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another configuration file of the suite ("qemu.conf"); a missing one is empty.
    pub fn config_file(&self, name: &str) -> config::Result<config::File> {
        config::File::load_optional(&self.paths.config_dir.join(name))
    }

    /// The file that a driver locks so that no second daemon uses its state folder.
    ///
    /// # Errors
    /// Another daemon, ours or libvirt's, holds it.
    pub fn lock_driver(&self, driver: &str) -> anyhow::Result<host::pid_file::PidFile> {
        use anyhow::Context as _;
        let folder: PathBuf = self.paths.driver(driver).state;
        object::file::create_folder(&folder, 0o755)
            .with_context(|| format!("cannot create state directory '{}'", folder.display()))?;
        let path = folder.join("driver.pid");
        host::pid_file::PidFile::acquire(&path)
            .with_context(|| format!("Failed to acquire pid file '{}'", path.display()))
    }
}

type Hook = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What happens on SIGHUP; cheap to clone.
#[derive(Clone, Default)]
pub struct Reload {
    hooks: Arc<Mutex<Vec<Arc<Hook>>>>,
}

impl Reload {
    /// Runs `hook` at each reload; the service manager waits for its end.
    pub fn on_reload<F, Fut>(&self, hook: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let hook: Hook = Box::new(move || Box::pin(hook()));
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(hook));
    }

    pub(crate) async fn run(&self) {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for hook in hooks {
            hook().await;
        }
    }
}

/// The end of the daemon; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown { requested: watch::Sender::new(false) }
    }
}

impl Shutdown {
    /// Ends the daemon: no new clients, running calls finish, then it exits with status 0.
    pub fn begin(&self) {
        self.requested.send_replace(true);
    }

    /// Whether the end has begun.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Returns once the end has begun.
    pub async fn requested(&self) {
        let mut requested = self.requested.subscribe();
        // The sender is in `self`, so this cannot fail.
        let _ = requested.wait_for(|requested| *requested).await;
    }
}

type ReexecHook = Box<dyn FnOnce() -> anyhow::Result<Vec<(String, OwnedFd)>> + Send>;
type CloseHook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
type Builder = Box<dyn FnOnce(rpc::server::ServerBuilder) -> rpc::server::ServerBuilder + Send>;

/// What a driver gives back once it is loaded: what is to be served.
#[derive(Default)]
pub struct Services {
    pub(crate) programs: Vec<Arc<dyn Program>>,
    pub(crate) admin_programs: Vec<Arc<dyn Program>>,
    pub(crate) adjust: Option<Builder>,
    pub(crate) reexec: Option<ReexecHook>,
    pub(crate) close: Option<CloseHook>,
    pub(crate) on_servers: Option<Box<dyn FnOnce(&[rpc::Server]) + Send>>,
}

impl Services {
    /// Nothing yet.
    pub fn new() -> Services {
        Services::default()
    }

    /// A program on the main and read-only sockets.
    pub fn program(mut self, program: Arc<dyn Program>) -> Self {
        self.programs.push(program);
        self
    }

    /// A program on the admin socket.
    pub fn admin_program(mut self, program: Arc<dyn Program>) -> Self {
        self.admin_programs.push(program);
        self
    }

    /// Last changes to the main server before it is built.
    pub fn adjust_server(
        mut self,
        adjust: impl FnOnce(rpc::server::ServerBuilder) -> rpc::server::ServerBuilder + Send + 'static,
    ) -> Self {
        self.adjust = Some(Box::new(adjust));
        self
    }

    /// Called with the servers (main, admin) before they accept clients; the admin program wants to know them.
    pub fn on_servers(mut self, hook: impl FnOnce(&[rpc::Server]) + Send + 'static) -> Self {
        self.on_servers = Some(Box::new(hook));
        self
    }

    /// Makes SIGUSR1 execute the program anew in the same process. The hook writes down the state and returns the
    /// descriptors that shall live on, by name; the new program finds them in [`Context::take_stored`].
    pub fn on_reexec(mut self, hook: impl FnOnce() -> anyhow::Result<Vec<(String, OwnedFd)>> + Send + 'static) -> Self {
        self.reexec = Some(Box::new(hook));
        self
    }

    /// Runs `hook` when the last client is gone, before the process ends.
    pub fn on_close<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.close = Some(Box::new(move || Box::pin(hook())));
        self
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("programs", &self.programs.len())
            .field("admin_programs", &self.admin_programs.len())
            .finish_non_exhaustive()
    }
}
