//! How a network comes up, follows changes, and is taken down.
//!
//! Before the first effect the state file says what is about to exist, marked as unfinished; the mark goes with the last effect. So whoever finds the mark
//! knows that everything named there is ours to remove, wherever we were killed.

use conf::network::NetworkDef;
use conf::network::bridge::MacTableManager;
use error::{Domain, Error, Result};
use host::run_blocking;

use super::actor::State;
use super::files;
use crate::apply::bridge::Links;
use crate::apply::{companion, dnsmasq, nft, route, sysctl, traffic};
use crate::plan;
use crate::plan::dnsmasq::Files;

impl State {
    /// Name of the bridge; the driver has given every network of its own one.
    fn bridge(def: &NetworkDef) -> &str {
        def.bridge.name.as_deref().unwrap_or_default()
    }

    /// Brings the network up; on failure nothing is left.
    pub(super) async fn bring_up(&mut self, def: &NetworkDef) -> Result<()> {
        self.rules.clear();
        if !def.has_own_bridge() {
            return self.save_status(def, false).await;
        }
        let bridge = Self::bridge(def).to_owned();
        if bridge.is_empty() {
            let detail = format!("network '{}' has no bridge name defined", self.name);
            return Err(Error::new(Domain::Network, error::Code::InternalError, detail));
        }
        plan::dnsmasq::check(def)?;
        route::check(def, &bridge)?;
        let links = Links::open()?;
        if links.index(&bridge).await?.is_some() {
            let taken = std::io::Error::from_raw_os_error(nix::libc::EEXIST);
            return Err(Error::system(Domain::None, &taken, format_args!("error creating bridge interface {bridge}")));
        }
        self.save_status(def, true).await?;
        let result = self.make(def, &bridge, &links).await;
        if let Err((cause, made_bridge)) = result {
            // the bridge is the first thing made: without it there is nothing to remove
            let cleared = if made_bridge { self.unmake(def, &bridge).await } else { Ok(()) };
            let cleared = cleared.and_then(|()| files::remove_status(&self.shared.folders, &self.name));
            if let Err(e) = cleared {
                tracing::error!(network = %self.name, "after a failed start something is left: {e}");
            }
            return Err(cause);
        }
        if let Err(cause) = self.save_status(def, false).await {
            // without a state file the network would be lost at our next start
            self.unmake(def, &bridge).await?;
            return Err(cause);
        }
        Ok(())
    }

    /// The steps; the flag beside an error says whether the bridge is ours.
    async fn make(&mut self, def: &NetworkDef, bridge: &str, links: &Links) -> std::result::Result<(), (Error, bool)> {
        links.create_bridge(def, bridge).await.map_err(|e| (e, false))?;
        self.furnish(def, bridge, links).await.map_err(|e| (e, true))
    }

    async fn furnish(&mut self, def: &NetworkDef, bridge: &str, links: &Links) -> Result<()> {
        let index = links.finish_bridge(def, bridge).await?;
        let v6 = def.ips.iter().any(|ip| ip.is_v6());
        sysctl::bridge_ipv6(bridge, v6)?;
        links.add_addresses(def, index, bridge).await?;
        links.set_up(index, bridge).await?;
        links.add_routes(def, index, bridge).await?;
        if def.mode().is_some() {
            sysctl::enable_forwarding(v6)?;
        }
        companion::join_zone(&self.shared.folders, def, bridge).await?;
        self.apply_rules(def).await?;
        if def.mode().is_some() && self.shared.firewall {
            self.warn_of_other_firewalls().await;
        }
        let limited = match &def.bandwidth {
            Some(bandwidth) => traffic::limit(bridge, bandwidth).await?,
            None => false,
        };
        if !plan::dnsmasq::is_open(def) {
            traffic::fill_dhcp_checksums(bridge, limited).await;
        }
        if plan::dnsmasq::is_needed(def) {
            self.start_dnsmasq(def).await?;
        }
        if def.bridge.mac_table_manager == Some(MacTableManager::Libvirt) {
            tracing::warn!(network = %self.name, "macTableManager='libvirt' is not supported: the kernel learns addresses as usual");
        }
        companion::register_domain(&self.shared.folders, def, bridge).await
    }

    /// Puts the network's packet filter rules in place of those it has.
    pub(super) async fn apply_rules(&mut self, def: &NetworkDef) -> Result<()> {
        let bridge = Self::bridge(def);
        let rules = plan::firewall::plan(def, bridge);
        if rules.is_empty() || !self.shared.firewall {
            return Ok(());
        }
        let known = self.live.is_some().then_some(self.rules.as_slice());
        self.rules = nft::replace(&self.mark(), known, &rules).await?;
        Ok(())
    }

    /// Says which chains of others keep guests from the world; they are not ours to change.
    async fn warn_of_other_firewalls(&self) {
        match nft::dropping_chains().await {
            Ok(chains) => {
                for chain in chains {
                    tracing::warn!(network = %self.name, chain, "another firewall drops forwarded packets: it has to accept those of this network");
                }
            }
            Err(e) => tracing::debug!("cannot list chains: {e}"),
        }
    }

    /// The comment by which nft's rules of this network are found.
    fn mark(&self) -> String {
        mark(&self.uuid)
    }

    /// Writes dnsmasq's files and starts it.
    pub(super) async fn start_dnsmasq(&mut self, def: &NetworkDef) -> Result<()> {
        let bridge = Self::bridge(def).to_owned();
        let folders = self.shared.folders.clone();
        let (name, def) = (self.name.clone(), def.clone());
        run_blocking(move || write_dnsmasq(&folders, &name, &def)).await?;
        self.dnsmasq = Some(dnsmasq::start(&self.shared.folders, &self.name, &bridge).await?);
        Ok(())
    }

    /// Lets the running network follow a changed definition.
    pub(super) async fn follow(&mut self, old: &NetworkDef, new: &NetworkDef) -> Result<()> {
        if !new.has_own_bridge() {
            return Ok(());
        }
        let bridge = Self::bridge(new).to_owned();
        if plan::firewall::plan(old, &bridge) != plan::firewall::plan(new, &bridge) {
            self.apply_rules(new).await?;
        }
        let folders = self.shared.folders.clone();
        let lay_out = |def: &NetworkDef| {
            let (pid, hosts, addn) =
                (folders.pid_file(&self.name), folders.hosts_file(&self.name), folders.addn_hosts(&self.name));
            plan::dnsmasq::plan(def, &bridge, Files { pid: Some(&pid), hosts: &hosts, addn_hosts: &addn })
        };
        let (before, after) = (lay_out(old), lay_out(new));
        match (plan::dnsmasq::is_needed(new), self.dnsmasq.clone()) {
            (false, None) => {}
            (false, Some(pid)) => {
                self.dnsmasq = None;
                dnsmasq::stop(&pid).await;
            }
            (true, Some(pid)) if before.conf == after.conf => {
                // host files are read again on SIGHUP
                if before != after {
                    dnsmasq::write_files(&folders, &self.name, &after)?;
                    dnsmasq::reload(&pid).map_err(|e| Error::system(Domain::Network, &e, "cannot signal dnsmasq"))?;
                }
            }
            (true, running) => {
                if let Some(pid) = running {
                    self.dnsmasq = None;
                    dnsmasq::stop(&pid).await;
                }
                self.start_dnsmasq(new).await?;
            }
        }
        Ok(())
    }

    /// Takes an active network down; nothing of it is left.
    pub(super) async fn take_down(&mut self, def: &NetworkDef) -> Result<()> {
        if def.has_own_bridge() {
            let bridge = Self::bridge(def).to_owned();
            self.save_status(def, true).await?;
            self.unmake(def, &bridge).await?;
        }
        let (folders, name) = (self.shared.folders.clone(), self.name.clone());
        run_blocking(move || {
            files::remove_port_folder(&folders, &name);
            files::remove_status(&folders, &name)
        })
        .await
    }

    /// Removes what a start makes, as far as it exists.
    async fn unmake(&mut self, def: &NetworkDef, bridge: &str) -> Result<()> {
        let firewall = self.shared.firewall && !plan::dnsmasq::is_open(def);
        let running = self.dnsmasq.take();
        unmake(&self.shared, &self.name, firewall.then(|| self.mark()).as_deref(), &self.rules, running, bridge)
            .await?;
        self.rules.clear();
        Ok(())
    }
}

/// The comment by which nft's rules of a network are found.
pub(super) fn mark(uuid: &uuid::Uuid) -> String {
    format!("libvirt {uuid}")
}

/// Lays dnsmasq's files out and writes them.
pub(super) fn write_dnsmasq(folders: &crate::folders::Folders, name: &str, def: &NetworkDef) -> Result<()> {
    let bridge = def.bridge.name.as_deref().unwrap_or_default();
    let (pid, hosts, addn_hosts) = (folders.pid_file(name), folders.hosts_file(name), folders.addn_hosts(name));
    let plan = plan::dnsmasq::plan(def, bridge, Files { pid: Some(&pid), hosts: &hosts, addn_hosts: &addn_hosts });
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    dnsmasq::write_files(folders, name, &plan)
}

/// Removes dnsmasq, rules, bridge and files of a network, whichever exist. All are tried; the first failure is returned. `mark` is `None` for a network
/// that has no rules.
pub(super) async fn unmake(
    shared: &crate::driver::Shared,
    name: &str,
    mark: Option<&str>,
    rules: &[conf::network::status::RuleHandle],
    running: Option<host::Pid>,
    bridge: &str,
) -> Result<()> {
    match running {
        Some(pid) => dnsmasq::stop(&pid).await,
        None => {
            for pid in dnsmasq::find_all(&shared.folders, name) {
                dnsmasq::stop(&pid).await;
            }
        }
    }
    let rules_gone = match mark {
        Some(mark) => nft::remove(mark, rules).await,
        None => Ok(()),
    };
    let bridge_gone = match Links::open() {
        Ok(links) => links.delete_bridge(bridge).await,
        Err(e) => Err(e),
    };
    dnsmasq::remove_files(&shared.folders, name, bridge);
    rules_gone.and(bridge_gone)
}
