//! Attachments of guests' interfaces.

use std::collections::BTreeMap;

use conf::network::{Bandwidth, NetworkPortDef, Plug};
use error::{Code, Domain, Error, Result};
use host::run_blocking;
use serde::Serialize;
use uuid::Uuid;

use super::actor::State;
use super::{files, invalid};
use crate::lease::json;
use crate::port::allocate;

/// A row of BRIDGE.macs.
#[derive(Serialize)]
struct MacRow<'a> {
    domain: &'a str,
    macs: Vec<String>,
}

fn no_port(uuid: &Uuid) -> Error {
    let detail = format!("Network port with UUID {uuid} does not exist");
    Error::new(Domain::Network, Code::NoNetworkPort, detail)
}

impl State {
    pub(super) async fn create_port(&mut self, mut port: NetworkPortDef, reclaim: bool) -> Result<Uuid> {
        let Some(def) = self.live.clone() else {
            return Err(invalid(format!("network '{}' is not active", self.name)));
        };
        let bytes =
            port.uuid.ok_or_else(|| Error::new(Domain::Network, Code::InternalError, "network port has no uuid"))?;
        let uuid = Uuid::from_bytes(bytes);
        match (reclaim, &port.plug) {
            (false, Plug::None) => {
                if self.ports.contains_key(&uuid) {
                    let detail = format!("Network port with UUID {uuid} already exists");
                    return Err(Error::new(Domain::Network, Code::NetworkPortExist, detail));
                }
                allocate(&def, &self.ports, &mut port)?;
            }
            (false, _) => {
                let detail = "Port reclaim not requested but plug type is not none";
                return Err(Error::new(Domain::Network, Code::InvalidArg, detail));
            }
            (true, Plug::None) => {
                let detail = "Port reclaim requested but plug type is none";
                return Err(Error::new(Domain::Network, Code::InvalidArg, detail));
            }
            (true, _) => {}
        }
        let (folders, name, copy) = (self.shared.folders.clone(), self.name.clone(), port.clone());
        run_blocking(move || files::write_port(&folders, &name, &uuid, &copy)).await?;
        self.ports.insert(uuid, port);
        self.save_macs().await;
        self.publish();
        Ok(uuid)
    }

    pub(super) async fn delete_port(&mut self, uuid: Uuid) -> Result<()> {
        if !self.ports.contains_key(&uuid) {
            return Err(no_port(&uuid));
        }
        let (folders, name) = (self.shared.folders.clone(), self.name.clone());
        run_blocking(move || files::remove_port(&folders, &name, &uuid)).await?;
        self.ports.remove(&uuid);
        self.save_macs().await;
        self.publish();
        Ok(())
    }

    pub(super) async fn set_port_bandwidth(&mut self, uuid: Uuid, bandwidth: Bandwidth) -> Result<()> {
        let mut port = self.ports.get(&uuid).cloned().ok_or_else(|| no_port(&uuid))?;
        port.bandwidth = (bandwidth != Bandwidth::default()).then_some(bandwidth);
        let (folders, name, copy) = (self.shared.folders.clone(), self.name.clone(), port.clone());
        run_blocking(move || files::write_port(&folders, &name, &uuid, &copy)).await?;
        self.ports.insert(uuid, port);
        self.publish();
        Ok(())
    }

    /// Writes who has which addresses; the name service module lives on it, the network does not.
    async fn save_macs(&self) {
        let bridge = self.live.as_ref().filter(|def| def.has_own_bridge()).and_then(|def| def.bridge.name.clone());
        let Some(bridge) = bridge else { return };
        let mut by_domain: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for port in self.ports.values() {
            by_domain.entry(&port.owner_name).or_default().push(port.mac.to_string());
        }
        let rows: Vec<_> = by_domain.into_iter().map(|(domain, macs)| MacRow { domain, macs }).collect();
        let (path, text) = (self.shared.folders.macs(&bridge), json(&rows));
        let shown = path.clone();
        if let Err(e) = run_blocking(move || crate::apply::scratch::replace(&path, text.as_bytes(), 0o644)).await {
            tracing::warn!(path = %shown.display(), "cannot write the record of domains' addresses: {e}");
        }
    }
}
