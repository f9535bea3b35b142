//! All networks of this host.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use conf::network::NetworkDef;
use conf::network::address::Mac;
use error::{Code, Domain, Error, Result};
use object::events::{Style, Subscriptions};
use object::{Clash, Registry};
use protocol::{constants, remote};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::apply::bridge::Links;
use crate::folders::Folders;
use crate::network::{Network, Recovered, View, invalid, read_definition, recover, write_definition};

/// Bridges that are tried for a network that names none: virbr0 to virbr255.
const BRIDGES_MAX: u32 = 256;

/// Something that happened to a network.
#[derive(Clone, Debug)]
pub enum Event {
    /// A definition was kept.
    Defined,
    /// The definition was forgotten.
    Undefined,
    /// It runs.
    Started,
    /// It does not run any more.
    Stopped,
    /// Title, description or a custom element changed.
    Metadata {
        /// `VIR_NETWORK_METADATA_*`.
        kind: i32,
        /// Namespace of the custom element.
        uri: Option<String>,
    },
}

/// Makes a guard that keeps an idle daemon from ending.
pub type Inhibit = Box<dyn Fn() -> Box<dyn Any + Send + Sync> + Send + Sync>;

/// What the networks share.
pub struct Shared {
    /// Where files are.
    pub folders: Folders,
    /// All networks.
    pub registry: Registry<Network>,
    /// Who hears of events.
    pub subscriptions: Subscriptions<Arc<rpc::Client>>,
    /// Whether packet filter rules are made (network.conf: `firewall_backend` is not `none`).
    pub firewall: bool,
    /// Keeps the daemon from ending while a network is active.
    pub inhibit: Inhibit,
}

impl Shared {
    /// Tells the clients that asked.
    pub(crate) fn emit(&self, name: &str, uuid: &Uuid, event: Event) {
        let net = remote::NonnullNetwork { name: name.to_owned(), uuid: *uuid.as_bytes() };
        let id = match event {
            Event::Metadata { .. } => constants::VIR_NETWORK_EVENT_ID_METADATA_CHANGE,
            _ => constants::VIR_NETWORK_EVENT_ID_LIFECYCLE,
        };
        for (client, style) in self.subscriptions.receivers(id, uuid) {
            // events of networks exist in the new style only
            let Style::Callback(callback_id) = style else { continue };
            let detail = match &event {
                Event::Defined => constants::VIR_NETWORK_EVENT_DEFINED,
                Event::Undefined => constants::VIR_NETWORK_EVENT_UNDEFINED,
                Event::Started => constants::VIR_NETWORK_EVENT_STARTED,
                Event::Stopped => constants::VIR_NETWORK_EVENT_STOPPED,
                Event::Metadata { kind, uri } => {
                    let message = remote::NetworkEventCallbackMetadataChangeMsg {
                        callback_id,
                        net: net.clone(),
                        type_: *kind,
                        nsuri: uri.clone(),
                    };
                    client.send_event(remote::PROGRAM, remote::proc::NETWORK_EVENT_CALLBACK_METADATA_CHANGE, &message);
                    continue;
                }
            };
            let message = remote::NetworkEventLifecycleMsg { callback_id, net: net.clone(), event: detail, detail: 0 };
            client.send_event(remote::PROGRAM, remote::proc::NETWORK_EVENT_LIFECYCLE, &message);
        }
    }
}

/// The network driver.
pub struct Driver {
    pub(crate) shared: Arc<Shared>,
    /// Held while names, uuids and bridges are given out, so that no two networks get the same.
    admission: Mutex<()>,
}

impl Driver {
    /// Loads what is on disk: active networks first, then definitions.
    ///
    /// # Errors
    /// The folders cannot be made. Broken documents are reported and passed over.
    pub async fn load(folders: Folders, firewall: bool, inhibit: Inhibit) -> Result<Arc<Self>> {
        for (path, mode) in [(&folders.state, 0o755), (&folders.pid, 0o755), (&folders.dnsmasq, 0o755)] {
            object::file::create_folder(path, mode).map_err(|e| {
                Error::system(Domain::Network, &e, format_args!("cannot create directory {}", path.display()))
            })?;
        }
        for folder in [&folders.state, &folders.dnsmasq, &folders.config] {
            if let Err(e) = object::file::sweep(folder) {
                tracing::warn!(folder = %folder.display(), "cannot remove what an earlier run left: {e}");
            }
        }
        let shared = Arc::new(Shared {
            folders,
            registry: Registry::new(),
            subscriptions: Subscriptions::new("network"),
            firewall,
            inhibit,
        });
        let driver = Arc::new(Self { shared, admission: Mutex::new(()) });
        let active = driver.recover_active().await;
        driver.load_definitions(active);
        driver.restore_rules().await;
        Ok(driver)
    }

    /// Networks with a state file, by name.
    async fn recover_active(&self) -> BTreeMap<String, (NetworkDef, Recovered)> {
        let files = object::file::with_suffix(&self.shared.folders.state, ".xml").unwrap_or_default();
        let mut active = BTreeMap::new();
        for (name, path) in files {
            match recover(&self.shared, &name).await {
                Ok(Some((def, recovered))) if def.name == name && def.uuid.is_some() => {
                    active.insert(name, (def, recovered));
                }
                Ok(Some(_)) => {
                    tracing::error!(path = %path.display(), "state file is not that of the network it is named after")
                }
                Ok(None) => {}
                Err(e) => tracing::error!(path = %path.display(), "cannot take the network back: {e}"),
            }
        }
        active
    }

    fn load_definitions(&self, mut active: BTreeMap<String, (NetworkDef, Recovered)>) {
        let folders = &self.shared.folders;
        for (name, path) in object::file::with_suffix(&folders.config, ".xml").unwrap_or_default() {
            let def = match read_definition(&path, &name) {
                Ok(def) => def,
                Err(e) => {
                    tracing::error!(path = %path.display(), "cannot read network definition: {e}");
                    continue;
                }
            };
            let autostart = object::autostart::is_set(&folders.autostart_link(&name), &path);
            let mut view = View { persistent: None, autostart, ..View::default() };
            // an administrator's file may lack the identity; the running network has one
            let live_uuid = active.get(&name).and_then(|(d, _)| d.uuid);
            let uuid = def.uuid.or(live_uuid).map_or_else(Uuid::new_v4, Uuid::from_bytes);
            let mut def = def;
            // what an administrator's file leaves out is kept, so that it is the same at the next start
            let incomplete = def.uuid.is_none() || def.has_own_bridge() && def.mac.is_none();
            def.uuid = Some(*uuid.as_bytes());
            if def.has_own_bridge() {
                def.mac.get_or_insert_with(random_mac);
            }
            if incomplete && let Err(e) = write_definition(folders, &def) {
                tracing::warn!(path = %path.display(), "cannot complete the definition: {e}");
            }
            view.persistent = Some(Arc::new(def));
            let found = if live_uuid == Some(*uuid.as_bytes()) { active.remove(&name) } else { None };
            self.enter(&name, uuid, view, found);
        }
        // what is left is transient
        for (name, (def, recovered)) in active {
            let uuid = def.uuid.map(Uuid::from_bytes).unwrap_or_default();
            self.enter(&name, uuid, View::default(), Some((def, recovered)));
        }
    }

    fn enter(&self, name: &str, uuid: Uuid, mut view: View, found: Option<(NetworkDef, Recovered)>) {
        let recovered = found.map(|(def, recovered)| {
            view.ports = Arc::new(recovered.ports.iter().cloned().collect());
            view.live = Some(Arc::new(def));
            recovered
        });
        let made = self
            .shared
            .registry
            .insert_with(uuid, name, || Network::spawn(name, uuid, view, recovered, self.shared.clone()));
        if let Err(clash) = made {
            tracing::error!(network = name, "definition passed over: network {clash}");
        }
    }

    /// Puts the rules of active networks back where another firewall has flushed them while we were away.
    async fn restore_rules(&self) {
        let active: Vec<_> =
            self.list().into_iter().filter_map(|n| n.view().live.clone().map(|def| (n, def))).collect();
        if active.is_empty() || !self.shared.firewall {
            return;
        }
        let counts = match crate::apply::nft::marked().await {
            Ok(counts) => counts,
            Err(e) => {
                tracing::error!("cannot look at the packet filter rules of active networks: {e}");
                return;
            }
        };
        for (network, def) in active {
            if !crate::network::rules_are_there(&def, &network.uuid(), &counts)
                && let Err(e) = network.reload().await
            {
                tracing::error!(network = network.name(), "cannot put its packet filter rules back: {e}");
            }
        }
    }

    /// Starts the networks that start with the host, once a boot.
    pub async fn autostart(&self) {
        match object::autostart::first_start_of_boot(&self.shared.folders.state.join("autostarted")) {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) => tracing::error!("cannot tell whether this is the first start of this boot: {e}"),
        }
        for network in self.shared.registry.list() {
            let view = network.view();
            if view.autostart
                && !view.active()
                && let Err(e) = network.start().await
            {
                tracing::error!(network = network.name(), "cannot autostart network: {e}");
            }
        }
    }

    /// Puts rules and dnsmasq of all active networks back as they should be (SIGHUP, a firewall that was reloaded).
    pub async fn reload(&self) {
        for network in self.shared.registry.list() {
            if let Err(e) = network.reload().await {
                tracing::error!(network = network.name(), "cannot reload: {e}");
            }
        }
    }

    /// All networks by name.
    pub fn list(&self) -> Vec<Network> {
        self.shared.registry.list()
    }

    /// The network `name`.
    ///
    /// # Errors
    /// NO_NETWORK.
    pub fn by_name(&self, name: &str) -> Result<Network> {
        self.shared.registry.by_name(name).ok_or_else(|| {
            Error::new(Domain::Network, Code::NoNetwork, format!("no network with matching name '{name}'"))
        })
    }

    /// The network with this identity; `name` only goes into the error.
    ///
    /// # Errors
    /// NO_NETWORK.
    pub fn by_uuid(&self, uuid: &[u8; 16], name: Option<&str>) -> Result<Network> {
        let uuid = Uuid::from_bytes(*uuid);
        self.shared.registry.by_uuid(&uuid).ok_or_else(|| crate::network::no_network(&uuid, name))
    }

    /// Keeps a definition.
    ///
    /// # Errors
    /// libvirt's.
    pub async fn define(&self, text: &str) -> Result<Network> {
        let mut def = NetworkDef::parse(text)?;
        let _admission = self.admission.lock().await;
        self.complete(&mut def).await?;
        let (uuid, existing) = self.admit(&mut def)?;
        let network = match existing {
            Some(network) => network,
            None => self.make(&def.name.clone(), uuid)?,
        };
        network.define(def).await?;
        Ok(network)
    }

    /// Starts a network by a definition that is not kept.
    ///
    /// # Errors
    /// libvirt's.
    pub async fn create(&self, text: &str) -> Result<Network> {
        let mut def = NetworkDef::parse(text)?;
        let _admission = self.admission.lock().await;
        self.complete(&mut def).await?;
        let (uuid, existing) = self.admit(&mut def)?;
        if let Some(network) = &existing
            && network.view().active()
        {
            return Err(invalid(format!("network is already active as '{}'", network.name())));
        }
        let network = match existing {
            Some(network) => network,
            None => self.make(&def.name.clone(), uuid)?,
        };
        network.start_transient(def).await?;
        Ok(network)
    }

    fn make(&self, name: &str, uuid: Uuid) -> Result<Network> {
        let spawn = || Network::spawn(name, uuid, View::default(), None, self.shared.clone());
        self.shared.registry.insert_with(uuid, name, spawn).map_err(clash)
    }

    /// Gives the definition an identity and checks it against those of others.
    fn admit(&self, def: &mut NetworkDef) -> Result<(Uuid, Option<Network>)> {
        let uuid = def.uuid.map_or_else(Uuid::new_v4, Uuid::from_bytes);
        def.uuid = Some(*uuid.as_bytes());
        let existing = self.shared.registry.admit(&uuid, &def.name).map_err(clash)?;
        Ok((uuid, existing))
    }

    /// Fills in what the driver decides (bridge, MAC) and checks what it supports.
    async fn complete(&self, def: &mut NetworkDef) -> Result<()> {
        if def.has_own_bridge() {
            self.name_bridge(def).await?;
            if def.mac.is_none() {
                def.mac = Some(random_mac());
            }
        }
        def.validate(crate::port::is_virtual_function)
    }

    /// Bridges of the other networks, running or not.
    fn taken_bridges(&self, but: &str) -> Vec<String> {
        let others = self.shared.registry.list().into_iter().filter(|n| n.name() != but);
        others
            .flat_map(|n| {
                let view = n.view();
                [view.live.clone(), view.persistent.clone()]
                    .into_iter()
                    .flatten()
                    .filter_map(|d| d.bridge.name.clone())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    async fn name_bridge(&self, def: &mut NetworkDef) -> Result<()> {
        let taken = self.taken_bridges(&def.name);
        let template = match &def.bridge.name {
            Some(name) if !name.contains("%d") => {
                if taken.contains(name) {
                    let detail = format!("bridge name '{name}' already in use.");
                    return Err(Error::new(Domain::Network, Code::InternalError, detail));
                }
                return Ok(());
            }
            Some(template) => template.clone(),
            None => "virbr%d".to_owned(),
        };
        let devices = Links::open()?.names().await?;
        let mut names = (0..BRIDGES_MAX).map(|n| template.replacen("%d", &n.to_string(), 1));
        let free = names.find(|n| !taken.contains(n) && !devices.contains(n));
        let full = || {
            Error::new(Domain::Network, Code::InternalError, format!("Bridge generation exceeded max id {BRIDGES_MAX}"))
        };
        def.bridge.name = Some(free.ok_or_else(full)?);
        Ok(())
    }
}

fn clash(clash: Clash) -> Error {
    let detail = match clash {
        Clash::Name { name, uuid } => format!("network '{name}' already exists with uuid {uuid}"),
        Clash::Uuid { name, uuid } => format!("network '{name}' is already defined with uuid {uuid}"),
        Clash::Same { name, .. } => format!("network {name} exists already"),
    };
    Error::new(Domain::Network, Code::OperationFailed, detail)
}

/// An address of the range that QEMU and KVM use.
fn random_mac() -> Mac {
    let random = Uuid::new_v4().into_bytes();
    Mac([0x52, 0x54, 0x00, random[0], random[1], random[2]])
}
