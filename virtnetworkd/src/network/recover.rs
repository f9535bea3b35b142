//! After a restart of the daemon: which networks are still active.

use std::collections::HashMap;
use std::sync::Arc;

use conf::network::status::RuleHandle;
use conf::network::{NetworkDef, NetworkStatus};
use error::Result;
use host::Pid;
use uuid::Uuid;

use super::files;
use super::start::{mark, unmake};
use crate::apply::bridge::Links;
use crate::apply::dnsmasq;
use crate::driver::Shared;

/// What was found of an active network.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Its rules, as the state file numbers them.
    pub rules: Vec<RuleHandle>,
    /// Its dnsmasq, if that still runs.
    pub dnsmasq: Option<Pid>,
    /// Taints.
    pub taints: Vec<String>,
    /// Ports on disk.
    pub ports: Vec<(Uuid, conf::network::NetworkPortDef)>,
}

/// Reads the state file of network `name` and looks whether it is true. `None`: the network is not active, and nothing of it is left.
///
/// # Errors
/// The file cannot be read, or what is left cannot be removed.
pub async fn recover(shared: &Arc<Shared>, name: &str) -> Result<Option<(NetworkDef, Recovered)>> {
    let folders = &shared.folders;
    let status = NetworkStatus::parse(&files::read(&folders.status(name))?)?;
    let def = status.def;
    let bridge = def.bridge.name.clone().unwrap_or_default();
    let own = def.has_own_bridge();
    let present = !own || Links::open()?.index(&bridge).await?.is_some();
    if status.unfinished || !present {
        tracing::warn!(
            network = name,
            "a start or stop was cut short, or the bridge has vanished: removing what is left"
        );
        if own {
            let mark = def.uuid.filter(|_| shared.firewall).map(|uuid| mark(&Uuid::from_bytes(uuid)));
            unmake(shared, name, mark.as_deref(), &status.rules, None, &bridge).await?;
        }
        files::remove_port_folder(folders, name);
        files::remove_status(folders, name)?;
        return Ok(None);
    }
    let recovered = Recovered {
        rules: status.rules,
        dnsmasq: if own { dnsmasq::find(folders, name) } else { None },
        taints: status.taints,
        ports: files::read_ports(folders, name),
    };
    Ok(Some((def, recovered)))
}

/// Whether the rules of an active network are as they were left, `counts` being what nft has: another firewall may have flushed them.
pub fn rules_are_there(def: &NetworkDef, uuid: &Uuid, counts: &HashMap<String, usize>) -> bool {
    let wanted = crate::plan::firewall::plan(def, def.bridge.name.as_deref().unwrap_or_default()).len();
    !def.has_own_bridge() || counts.get(&mark(uuid)).copied().unwrap_or(0) == wanted
}
