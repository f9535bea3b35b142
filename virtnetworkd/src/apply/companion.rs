//! firewalld and systemd-resolved, where the host has them: told of a network by their own tools.
//!
//! Both are the host's: an instance below a root of its own, such as a test, never speaks to them.

use std::path::Path;

use conf::network::{ForwardMode, NetworkDef};
use error::{Code, Domain, Error, Result};

use super::process::{run, tool};
use crate::folders::Folders;

/// Puts the bridge into its firewalld zone: the one that the definition names, else libvirt's.
///
/// # Errors
/// The definition names a zone and there is no firewalld, or it refuses.
pub async fn join_zone(folders: &Folders, def: &NetworkDef, bridge: &str) -> Result<()> {
    let active = folders.root.is_none() && Path::new("/run/firewalld.pid").exists();
    if !active {
        return match &def.bridge.zone {
            None => Ok(()),
            Some(zone) => {
                let detail = format!("zone {zone} requested for network {} but firewalld is not active", def.name);
                Err(Error::new(Domain::None, Code::InternalError, detail))
            }
        };
    }
    let usual = if def.mode() == Some(ForwardMode::Route) { "libvirt-routed" } else { "libvirt" };
    let zone = def.bridge.zone.as_deref().unwrap_or(usual);
    let mut command = tool("firewall-cmd");
    command.arg(format!("--zone={zone}")).arg(format!("--change-interface={bridge}"));
    match run(command, None).await {
        Err(cause) if def.bridge.zone.is_none() => {
            tracing::warn!(network = def.name, zone, "firewalld has not taken the bridge: {cause}");
            Ok(())
        }
        other => other.map(drop),
    }
}

/// Lets the host's resolver ask dnsmasq for names of the network's domain, if the definition wants it.
///
/// # Errors
/// There is no systemd-resolved, or it refuses.
pub async fn register_domain(folders: &Folders, def: &NetworkDef, bridge: &str) -> Result<()> {
    let Some(domain) = def.domain.as_ref().filter(|d| d.register == Some(true)) else { return Ok(()) };
    let failed = |cause: &str| {
        let detail = format!("failed to register name server: {cause}");
        Error::new(Domain::Network, Code::OperationInvalid, detail)
    };
    if folders.root.is_some() || !Path::new("/run/systemd/resolve").exists() {
        return Err(failed("systemd-resolved is not available"));
    }
    let Some(server) = def.ips.first() else { return Ok(()) };
    let words = [["dns", bridge, &server.address.to_string()], ["domain", bridge, &format!("~{}", domain.name)]];
    for line in words {
        let mut command = tool("resolvectl");
        command.args(line);
        run(command, None).await.map_err(|e| failed(&e.message))?;
    }
    Ok(())
}
