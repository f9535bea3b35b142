//! One network: the handle that everybody holds, and the actor behind it.
//!
//! ```text
//!            define            start
//!   (none) ─────────▶ inactive ─────▶ active
//!      ▲   undefine      ▲              │ destroy
//!      └──────────────── └──────────────┘   (a transient network ends with destroy)
//! ```
//!
//! `actor` serves the requests in turn and watches dnsmasq; `change` and `metadata` alter definitions, `ports` attaches guests; `start` brings a network up and takes it down; `recover` takes an active one back after a
//! restart of the daemon; `files` writes definitions, state and ports. Readers look at the [`View`] and wait for nobody.

mod actor;
mod change;
mod files;
mod metadata;
mod ports;
mod recover;
mod start;

pub use files::{read_definition, warning, write_definition};
pub use recover::{Recovered, recover, rules_are_there};

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use conf::network::{NetworkDef, NetworkPortDef};
use error::{Code, Domain, Error, Result};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::driver::Shared;

/// Requests that may wait for one network.
const MAILBOX: usize = 64;

/// What an outsider sees of a network.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Definition of the running network.
    pub live: Option<Arc<NetworkDef>>,
    /// Definition of the next start; `None` for a transient network.
    pub persistent: Option<Arc<NetworkDef>>,
    /// Starts with the host.
    pub autostart: bool,
    /// Attachments.
    pub ports: Arc<BTreeMap<Uuid, NetworkPortDef>>,
}

impl View {
    /// Whether it runs.
    pub fn active(&self) -> bool {
        self.live.is_some()
    }

    /// The definition in force.
    pub fn current(&self) -> Option<&Arc<NetworkDef>> {
        self.live.as_ref().or(self.persistent.as_ref())
    }

    /// The definition of the next start, for a transient network that of the running one.
    pub fn inactive(&self) -> Option<&Arc<NetworkDef>> {
        self.persistent.as_ref().or(self.live.as_ref())
    }
}

/// Which definition a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affect {
    /// The running network.
    pub live: bool,
    /// The next start.
    pub config: bool,
}

/// Change of a network's metadata.
#[derive(Clone, Debug)]
pub struct MetadataChange {
    /// `VIR_NETWORK_METADATA_*`.
    pub kind: i32,
    /// New text, `None` to remove.
    pub text: Option<String>,
    /// Prefix of a custom element.
    pub key: Option<String>,
    /// Namespace of a custom element.
    pub uri: Option<String>,
    /// Which definition.
    pub affect: Affect,
}

type Reply<T> = oneshot::Sender<Result<T>>;

enum Request {
    Start(Reply<()>),
    StartTransient(Box<NetworkDef>, Reply<()>),
    Destroy(Reply<()>),
    Define(Box<NetworkDef>, Reply<()>),
    Undefine(Reply<()>),
    Autostart(bool, Reply<()>),
    Update { command: u32, section: u32, parent: i32, xml: String, flags: u32, reply: Reply<()> },
    Metadata(MetadataChange, Reply<()>),
    PortCreate(Box<NetworkPortDef>, bool, Reply<Uuid>),
    PortDelete(Uuid, Reply<()>),
    PortBandwidth(Uuid, conf::network::Bandwidth, Reply<()>),
    Reload(Reply<()>),
}

/// A network. Clones name the same one.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    uuid: Uuid,
    view: Arc<ArcSwap<View>>,
    mailbox: mpsc::Sender<Request>,
}

impl Network {
    /// Makes a network and its actor. `recovered` is what was found of it, if it was active before.
    pub(crate) fn spawn(name: &str, uuid: Uuid, view: View, recovered: Option<Recovered>, shared: Arc<Shared>) -> Self {
        let (mailbox, requests) = mpsc::channel(MAILBOX);
        let published = Arc::new(ArcSwap::from_pointee(view.clone()));
        let inner = Arc::new(Inner { name: name.to_owned(), uuid, view: published.clone(), mailbox });
        tokio::spawn(actor::run(
            actor::State::new(name.to_owned(), uuid, view, published, recovered, shared),
            requests,
        ));
        Self { inner }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its identity.
    pub fn uuid(&self) -> Uuid {
        self.inner.uuid
    }

    /// What it looks like now.
    pub fn view(&self) -> Arc<View> {
        self.inner.view.load_full()
    }

    /// The error for a network that is no more.
    pub fn not_found(&self) -> Error {
        no_network(&self.inner.uuid, Some(&self.inner.name))
    }

    async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        // an actor that has ended has removed its network
        self.inner.mailbox.send(make(reply)).await.map_err(|_| self.not_found())?;
        answer.await.map_err(|_| self.not_found())?
    }

    /// Starts it.
    ///
    /// # Errors
    /// It is active; or what keeps it from starting, and then nothing is left behind.
    pub async fn start(&self) -> Result<()> {
        self.ask(Request::Start).await
    }

    /// Starts it by a definition that is not kept.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_transient(&self, def: NetworkDef) -> Result<()> {
        self.ask(|reply| Request::StartTransient(Box::new(def), reply)).await
    }

    /// Stops it.
    ///
    /// # Errors
    /// It is not active.
    pub async fn destroy(&self) -> Result<()> {
        self.ask(Request::Destroy).await
    }

    /// Keeps a definition for the next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn define(&self, def: NetworkDef) -> Result<()> {
        self.ask(|reply| Request::Define(Box::new(def), reply)).await
    }

    /// Forgets the definition of the next start.
    ///
    /// # Errors
    /// It has none.
    pub async fn undefine(&self) -> Result<()> {
        self.ask(Request::Undefine).await
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// It is transient.
    pub async fn set_autostart(&self, on: bool) -> Result<()> {
        self.ask(|reply| Request::Autostart(on, reply)).await
    }

    /// Changes one element (`virNetworkUpdate`).
    ///
    /// # Errors
    /// libvirt's; nothing is changed then.
    pub async fn update(&self, command: u32, section: u32, parent: i32, xml: String, flags: u32) -> Result<()> {
        self.ask(|reply| Request::Update { command, section, parent, xml, flags, reply }).await
    }

    /// Changes title, description or a custom element.
    ///
    /// # Errors
    /// libvirt's.
    pub async fn set_metadata(&self, change: MetadataChange) -> Result<()> {
        self.ask(|reply| Request::Metadata(change, reply)).await
    }

    /// The text of title, description or a custom element.
    ///
    /// # Errors
    /// There is none.
    pub fn metadata(&self, kind: i32, uri: Option<&str>, affect: Affect) -> Result<String> {
        metadata::get(&self.view(), kind, uri, affect)
    }

    /// Attaches; `reclaim` takes back the device that the port names.
    ///
    /// # Errors
    /// The network is not active, or has no device to give.
    pub async fn create_port(&self, port: NetworkPortDef, reclaim: bool) -> Result<Uuid> {
        self.ask(|reply| Request::PortCreate(Box::new(port), reclaim, reply)).await
    }

    /// Detaches.
    ///
    /// # Errors
    /// There is no such port.
    pub async fn delete_port(&self, uuid: Uuid) -> Result<()> {
        self.ask(|reply| Request::PortDelete(uuid, reply)).await
    }

    /// Changes the rates of a port.
    ///
    /// # Errors
    /// There is no such port.
    pub async fn set_port_bandwidth(&self, uuid: Uuid, bandwidth: conf::network::Bandwidth) -> Result<()> {
        self.ask(|reply| Request::PortBandwidth(uuid, bandwidth, reply)).await
    }

    /// Puts rules and dnsmasq back as they should be.
    ///
    /// # Errors
    /// What keeps them from it.
    pub async fn reload(&self) -> Result<()> {
        self.ask(Request::Reload).await
    }
}

/// libvirt's error for a uuid that no network has.
pub fn no_network(uuid: &Uuid, name: Option<&str>) -> Error {
    let detail = match name {
        Some(name) => format!("no network with matching uuid '{uuid}' ({name})"),
        None => format!("no network with matching uuid '{uuid}'"),
    };
    Error::new(Domain::Network, Code::NoNetwork, detail)
}

pub(crate) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Domain::Network, Code::OperationInvalid, detail)
}
