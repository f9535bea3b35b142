//! The actor: the only writer of a network's state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use conf::network::status::RuleHandle;
use conf::network::{NetworkDef, NetworkPortDef, NetworkStatus};
use error::{Code, Domain, Error, Result};
use host::{Pid, run_blocking};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Recovered, Request, View, files, invalid};
use crate::apply::dnsmasq;
use crate::driver::{Event, Shared};

/// First wait before a dnsmasq that died is started again; it doubles each time.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A dnsmasq that lived this long is well again.
const STEADY: Duration = Duration::from_secs(60);

/// What the actor knows.
pub(super) struct State {
    pub name: String,
    pub uuid: Uuid,
    pub shared: Arc<Shared>,
    pub live: Option<Arc<NetworkDef>>,
    pub persistent: Option<Arc<NetworkDef>>,
    pub autostart: bool,
    pub ports: BTreeMap<Uuid, NetworkPortDef>,
    pub rules: Vec<RuleHandle>,
    pub dnsmasq: Option<Pid>,
    pub taints: Vec<String>,
    /// When a dnsmasq that died is started again.
    retry: Option<Instant>,
    backoff: Duration,
    started: Instant,
    /// Keeps an idle daemon from ending while the network is active.
    inhibitor: Option<Box<dyn std::any::Any + Send + Sync>>,
    published: Arc<ArcSwap<View>>,
    gone: bool,
}

impl State {
    pub(super) fn new(
        name: String,
        uuid: Uuid,
        view: View,
        published: Arc<ArcSwap<View>>,
        recovered: Option<Recovered>,
        shared: Arc<Shared>,
    ) -> Self {
        let recovered = recovered.unwrap_or_default();
        let mut state = Self {
            name,
            uuid,
            live: view.live,
            persistent: view.persistent,
            autostart: view.autostart,
            ports: (*view.ports).clone(),
            rules: recovered.rules,
            dnsmasq: recovered.dnsmasq,
            taints: recovered.taints,
            retry: None,
            backoff: BACKOFF_MIN,
            started: Instant::now(),
            inhibitor: None,
            published,
            gone: false,
            shared,
        };
        if let Some(def) = &state.live {
            state.inhibitor = Some((state.shared.inhibit)());
            if state.dnsmasq.is_none() && crate::plan::dnsmasq::is_needed(def) && def.has_own_bridge() {
                state.retry = Some(Instant::now());
            }
        }
        state
    }

    /// Shows the state to readers.
    pub(super) fn publish(&mut self) {
        self.published.store(Arc::new(View {
            live: self.live.clone(),
            persistent: self.persistent.clone(),
            autostart: self.autostart,
            ports: Arc::new(self.ports.clone()),
        }));
        match (&self.live, &self.inhibitor) {
            (Some(_), None) => self.inhibitor = Some((self.shared.inhibit)()),
            (None, Some(_)) => self.inhibitor = None,
            _ => {}
        }
    }

    pub(super) fn emit(&self, event: Event) {
        self.shared.emit(&self.name, &self.uuid, event);
    }

    /// The state file as it should be now.
    pub(super) fn status(&self, def: &NetworkDef, unfinished: bool) -> NetworkStatus {
        NetworkStatus {
            def: def.clone(),
            taints: self.taints.clone(),
            rules: self.rules.clone(),
            unfinished,
            ..NetworkStatus::default()
        }
    }

    pub(super) async fn save_status(&self, def: &NetworkDef, unfinished: bool) -> Result<()> {
        let (folders, status) = (self.shared.folders.clone(), self.status(def, unfinished));
        run_blocking(move || files::write_status(&folders, &status)).await
    }

    async fn start(&mut self, def: Arc<NetworkDef>) -> Result<()> {
        if self.live.is_some() {
            return Err(invalid("network is already active"));
        }
        let def = Arc::new(with_nat_ports((*def).clone()));
        self.bring_up(&def).await?;
        self.started = Instant::now();
        self.backoff = BACKOFF_MIN;
        self.live = Some(def);
        self.publish();
        self.emit(Event::Started);
        Ok(())
    }

    async fn start_transient(&mut self, def: NetworkDef) -> Result<()> {
        if self.live.is_some() {
            return Err(invalid(format!("network is already active as '{}'", self.name)));
        }
        let result = self.start(Arc::new(def)).await;
        if result.is_err() && self.persistent.is_none() {
            self.vanish();
        }
        result
    }

    async fn destroy(&mut self) -> Result<()> {
        let Some(def) = self.live.clone() else {
            return Err(invalid(format!("network '{}' is not active", self.name)));
        };
        self.take_down(&def).await?;
        self.live = None;
        self.ports.clear();
        self.taints.clear();
        self.retry = None;
        self.publish();
        self.emit(Event::Stopped);
        if self.persistent.is_none() {
            self.vanish();
        }
        Ok(())
    }

    /// Leaves the registry; the actor ends after this request.
    fn vanish(&mut self) {
        self.shared.registry.remove(&self.uuid);
        self.gone = true;
    }

    async fn define(&mut self, def: NetworkDef) -> Result<()> {
        let (folders, text) = (self.shared.folders.clone(), def.clone());
        let written = run_blocking(move || files::write_definition(&folders, &text)).await;
        if let Err(e) = written {
            if self.persistent.is_none() && self.live.is_none() {
                self.vanish();
            }
            return Err(e);
        }
        self.persistent = Some(Arc::new(def));
        self.publish();
        self.emit(Event::Defined);
        Ok(())
    }

    async fn undefine(&mut self) -> Result<()> {
        if self.persistent.is_none() {
            return Err(invalid("can't undefine transient network"));
        }
        let (folders, name) = (self.shared.folders.clone(), self.name.clone());
        run_blocking(move || files::remove_definition(&folders, &name)).await?;
        self.persistent = None;
        self.autostart = false;
        self.publish();
        self.emit(Event::Undefined);
        if self.live.is_none() {
            self.vanish();
        }
        Ok(())
    }

    async fn set_autostart(&mut self, on: bool) -> Result<()> {
        if self.persistent.is_none() {
            return Err(invalid("cannot set autostart for transient network"));
        }
        if on != self.autostart {
            let (link, definition) =
                (self.shared.folders.autostart_link(&self.name), self.shared.folders.definition(&self.name));
            let (shown_link, shown) = (link.clone(), definition.clone());
            run_blocking(move || object::autostart::set(&link, &definition, on)).await.map_err(|e| {
                let text = if on {
                    format!("Failed to create symlink '{}' to '{}'", shown_link.display(), shown.display())
                } else {
                    format!("Failed to delete symlink '{}'", shown_link.display())
                };
                Error::system(Domain::Network, &e, text)
            })?;
            self.autostart = on;
            self.publish();
        }
        Ok(())
    }

    /// dnsmasq has ended without being told to.
    fn dnsmasq_died(&mut self) {
        self.dnsmasq = None;
        if self.started.elapsed() > STEADY {
            self.backoff = BACKOFF_MIN;
        }
        tracing::error!(network = %self.name, retry_ms = self.backoff.as_millis(), "dnsmasq ended; starting it again");
        self.retry = Some(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    async fn restart_dnsmasq(&mut self) {
        self.retry = None;
        let Some(def) = self.live.clone() else { return };
        match self.start_dnsmasq(&def).await {
            Ok(()) => {
                self.started = Instant::now();
                tracing::info!(network = %self.name, "dnsmasq runs again");
            }
            Err(e) => {
                tracing::error!(network = %self.name, "cannot start dnsmasq: {e}");
                self.retry = Some(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
            }
        }
    }

    async fn reload(&mut self) -> Result<()> {
        let Some(def) = self.live.clone() else { return Ok(()) };
        if !def.has_own_bridge() {
            return Ok(());
        }
        self.apply_rules(&def).await?;
        self.save_status(&def, false).await?;
        if let Some(pid) = &self.dnsmasq {
            dnsmasq::reload(pid).map_err(|e| Error::system(Domain::Network, &e, "cannot signal dnsmasq"))?;
        }
        Ok(())
    }

    async fn serve(&mut self, request: Request) {
        // the caller may have gone; the work is done all the same
        match request {
            Request::Start(reply) => {
                let def = self.persistent.clone().or_else(|| self.live.clone());
                let result = match def {
                    Some(def) => self.start(def).await,
                    None => Err(Error::new(Domain::Network, Code::InternalError, "network has no definition")),
                };
                let _ = reply.send(result);
            }
            Request::StartTransient(def, reply) => {
                let result = self.start_transient(*def).await;
                let _ = reply.send(result);
            }
            Request::Destroy(reply) => {
                let result = self.destroy().await;
                let _ = reply.send(result);
            }
            Request::Define(def, reply) => {
                let result = self.define(*def).await;
                let _ = reply.send(result);
            }
            Request::Undefine(reply) => {
                let result = self.undefine().await;
                let _ = reply.send(result);
            }
            Request::Autostart(on, reply) => {
                let result = self.set_autostart(on).await;
                let _ = reply.send(result);
            }
            Request::Update { command, section, parent, xml, flags, reply } => {
                let result = self.update(command, section, parent, &xml, flags).await;
                let _ = reply.send(result);
            }
            Request::Metadata(change, reply) => {
                let result = self.set_metadata(change).await;
                let _ = reply.send(result);
            }
            Request::PortCreate(port, reclaim, reply) => {
                let result = self.create_port(*port, reclaim).await;
                let _ = reply.send(result);
            }
            Request::PortDelete(uuid, reply) => {
                let result = self.delete_port(uuid).await;
                let _ = reply.send(result);
            }
            Request::PortBandwidth(uuid, bandwidth, reply) => {
                let result = self.set_port_bandwidth(uuid, bandwidth).await;
                let _ = reply.send(result);
            }
            Request::Reload(reply) => {
                let result = self.reload().await;
                let _ = reply.send(result);
            }
        }
    }
}

/// The definition as it runs: a NAT network that names no source ports takes those above the privileged ones.
fn with_nat_ports(mut def: NetworkDef) -> NetworkDef {
    if let Some(forward) = def.forward.as_mut().filter(|f| f.mode == conf::network::ForwardMode::Nat) {
        forward.nat.ports.get_or_insert((1024, 65535));
    }
    def
}

/// Serves a network until it is gone.
pub(super) async fn run(mut state: State, mut requests: mpsc::Receiver<Request>) {
    while !state.gone {
        let pid = state.dnsmasq.clone();
        let died = async {
            match &pid {
                Some(pid) => pid.exited().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        let retry = state.retry;
        let due = async {
            match retry {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => state.serve(request).await,
                None => return,
            },
            _ = died => state.dnsmasq_died(),
            () = due => state.restart_dnsmasq().await,
        }
    }
}
