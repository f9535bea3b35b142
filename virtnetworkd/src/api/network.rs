//! Networks: the service that clients call.

use std::sync::Arc;

use conf::network::FormatFlags;
use error::{Code, Domain, Error, Result};
use host::run_blocking;
use protocol::constants::{
    VIR_CONNECT_LIST_NETWORKS_ACTIVE, VIR_CONNECT_LIST_NETWORKS_AUTOSTART, VIR_CONNECT_LIST_NETWORKS_INACTIVE,
    VIR_CONNECT_LIST_NETWORKS_NO_AUTOSTART, VIR_CONNECT_LIST_NETWORKS_PERSISTENT, VIR_CONNECT_LIST_NETWORKS_TRANSIENT,
    VIR_IP_ADDR_TYPE_IPV4, VIR_IP_ADDR_TYPE_IPV6, VIR_NETWORK_EVENT_ID_LAST, VIR_NETWORK_UPDATE_AFFECT_CONFIG,
    VIR_NETWORK_UPDATE_AFFECT_LIVE, VIR_NETWORK_XML_INACTIVE,
};
use protocol::remote;
use uuid::Uuid;

use super::{check_flags, count, port, wire};
use crate::driver::Driver;
use crate::lease;
use crate::network::{Affect, MetadataChange, Network, View};

/// Both `AFFECT` flags.
const AFFECT: u32 = VIR_NETWORK_UPDATE_AFFECT_LIVE | VIR_NETWORK_UPDATE_AFFECT_CONFIG;

/// The service of class network.
#[derive(Clone)]
pub struct Service(pub Arc<Driver>);

impl Service {
    fn find(&self, net: &remote::NonnullNetwork) -> Result<Network> {
        self.0.by_uuid(&net.uuid, Some(&net.name))
    }

    /// Names of active or of inactive networks, at most `max`.
    fn names(&self, active: bool, max: i32) -> Vec<String> {
        let max = usize::try_from(max).unwrap_or(0);
        let found = self.0.list().into_iter().filter(|n| n.view().active() == active);
        found.take(max).map(|n| n.name().to_owned()).collect()
    }

    fn number(&self, active: bool) -> i32 {
        i32::try_from(self.0.list().iter().filter(|n| n.view().active() == active).count()).unwrap_or(i32::MAX)
    }
}

/// Whether a network passes the filter of `virConnectListAllNetworks`: within each pair of flags, one set means it must hold.
fn passes(view: &View, flags: u32) -> bool {
    let pairs = [
        (VIR_CONNECT_LIST_NETWORKS_ACTIVE, VIR_CONNECT_LIST_NETWORKS_INACTIVE, view.active()),
        (VIR_CONNECT_LIST_NETWORKS_PERSISTENT, VIR_CONNECT_LIST_NETWORKS_TRANSIENT, view.persistent.is_some()),
        (VIR_CONNECT_LIST_NETWORKS_AUTOSTART, VIR_CONNECT_LIST_NETWORKS_NO_AUTOSTART, view.autostart),
    ];
    pairs.iter().all(|(yes, no, holds)| flags & (yes | no) == 0 || flags & (if *holds { yes } else { no }) != 0)
}

fn affect(flags: u32) -> Affect {
    Affect { live: flags & VIR_NETWORK_UPDATE_AFFECT_LIVE != 0, config: flags & VIR_NETWORK_UPDATE_AFFECT_CONFIG != 0 }
}

impl remote::Network<rpc::Call> for Service {
    async fn connect_num_of_networks(&self, _: &rpc::Call) -> Result<remote::ConnectNumOfNetworksRet> {
        Ok(remote::ConnectNumOfNetworksRet { num: self.number(true) })
    }

    async fn connect_num_of_defined_networks(&self, _: &rpc::Call) -> Result<remote::ConnectNumOfDefinedNetworksRet> {
        Ok(remote::ConnectNumOfDefinedNetworksRet { num: self.number(false) })
    }

    async fn connect_list_networks(
        &self,
        _: &rpc::Call,
        args: remote::ConnectListNetworksArgs,
    ) -> Result<remote::ConnectListNetworksRet> {
        Ok(remote::ConnectListNetworksRet { names: self.names(true, args.maxnames) })
    }

    async fn connect_list_defined_networks(
        &self,
        _: &rpc::Call,
        args: remote::ConnectListDefinedNetworksArgs,
    ) -> Result<remote::ConnectListDefinedNetworksRet> {
        Ok(remote::ConnectListDefinedNetworksRet { names: self.names(false, args.maxnames) })
    }

    async fn connect_list_all_networks(
        &self,
        _: &rpc::Call,
        args: remote::ConnectListAllNetworksArgs,
    ) -> Result<remote::ConnectListAllNetworksRet> {
        let all = (VIR_CONNECT_LIST_NETWORKS_NO_AUTOSTART << 1) - 1;
        check_flags("networkConnectListAllNetworks", args.flags, all)?;
        let found: Vec<_> = self.0.list().into_iter().filter(|n| passes(&n.view(), args.flags)).collect();
        let nets = if args.need_results != 0 { found.iter().map(wire).collect() } else { Vec::new() };
        Ok(remote::ConnectListAllNetworksRet { nets, ret: count(found.len()) })
    }

    async fn network_lookup_by_name(
        &self,
        _: &rpc::Call,
        args: remote::NetworkLookupByNameArgs,
    ) -> Result<remote::NetworkLookupByNameRet> {
        Ok(remote::NetworkLookupByNameRet { net: wire(&self.0.by_name(&args.name)?) })
    }

    async fn network_lookup_by_uuid(
        &self,
        _: &rpc::Call,
        args: remote::NetworkLookupByUuidArgs,
    ) -> Result<remote::NetworkLookupByUuidRet> {
        Ok(remote::NetworkLookupByUuidRet { net: wire(&self.0.by_uuid(&args.uuid, None)?) })
    }

    async fn network_create_xml(
        &self,
        _: &rpc::Call,
        args: remote::NetworkCreateXmlArgs,
    ) -> Result<remote::NetworkCreateXmlRet> {
        Ok(remote::NetworkCreateXmlRet { net: wire(&self.0.create(&args.xml).await?) })
    }

    async fn network_create_xml_flags(
        &self,
        _: &rpc::Call,
        args: remote::NetworkCreateXmlFlagsArgs,
    ) -> Result<remote::NetworkCreateXmlFlagsRet> {
        check_flags("networkCreateXMLFlags", args.flags, protocol::constants::VIR_NETWORK_CREATE_VALIDATE)?;
        Ok(remote::NetworkCreateXmlFlagsRet { net: wire(&self.0.create(&args.xml).await?) })
    }

    async fn network_define_xml(
        &self,
        _: &rpc::Call,
        args: remote::NetworkDefineXmlArgs,
    ) -> Result<remote::NetworkDefineXmlRet> {
        Ok(remote::NetworkDefineXmlRet { net: wire(&self.0.define(&args.xml).await?) })
    }

    async fn network_define_xml_flags(
        &self,
        _: &rpc::Call,
        args: remote::NetworkDefineXmlFlagsArgs,
    ) -> Result<remote::NetworkDefineXmlFlagsRet> {
        check_flags("networkDefineXMLFlags", args.flags, protocol::constants::VIR_NETWORK_DEFINE_VALIDATE)?;
        Ok(remote::NetworkDefineXmlFlagsRet { net: wire(&self.0.define(&args.xml).await?) })
    }

    async fn network_undefine(&self, _: &rpc::Call, args: remote::NetworkUndefineArgs) -> Result<()> {
        self.find(&args.net)?.undefine().await
    }

    async fn network_update(&self, _: &rpc::Call, args: remote::NetworkUpdateArgs) -> Result<()> {
        check_flags("networkUpdate", args.flags, AFFECT)?;
        let network = self.find(&args.net)?;
        network.update(args.command, args.section, args.parent_index, args.xml, args.flags).await
    }

    async fn network_create(&self, _: &rpc::Call, args: remote::NetworkCreateArgs) -> Result<()> {
        self.find(&args.net)?.start().await
    }

    async fn network_destroy(&self, _: &rpc::Call, args: remote::NetworkDestroyArgs) -> Result<()> {
        self.find(&args.net)?.destroy().await
    }

    async fn network_get_xml_desc(
        &self,
        _: &rpc::Call,
        args: remote::NetworkGetXmlDescArgs,
    ) -> Result<remote::NetworkGetXmlDescRet> {
        check_flags("networkGetXMLDesc", args.flags, VIR_NETWORK_XML_INACTIVE)?;
        let network = self.find(&args.net)?;
        let view = network.view();
        let inactive = args.flags & VIR_NETWORK_XML_INACTIVE != 0;
        let def = if inactive { view.inactive() } else { view.current() };
        let flags = FormatFlags { inactive, connections: count(view.ports.len()) };
        let def = def.ok_or_else(|| network.not_found())?;
        Ok(remote::NetworkGetXmlDescRet { xml: def.format_with(flags, |device| port::connections(&view, device)) })
    }

    async fn network_get_bridge_name(
        &self,
        _: &rpc::Call,
        args: remote::NetworkGetBridgeNameArgs,
    ) -> Result<remote::NetworkGetBridgeNameRet> {
        let network = self.find(&args.net)?;
        let name = network.view().current().and_then(|def| def.bridge.name.clone());
        let missing = || {
            let detail = format!("network '{}' does not have a bridge name.", network.name());
            Error::new(Domain::Network, Code::InternalError, detail)
        };
        Ok(remote::NetworkGetBridgeNameRet { name: name.ok_or_else(missing)? })
    }

    async fn network_get_autostart(
        &self,
        _: &rpc::Call,
        args: remote::NetworkGetAutostartArgs,
    ) -> Result<remote::NetworkGetAutostartRet> {
        Ok(remote::NetworkGetAutostartRet { autostart: i32::from(self.find(&args.net)?.view().autostart) })
    }

    async fn network_set_autostart(&self, _: &rpc::Call, args: remote::NetworkSetAutostartArgs) -> Result<()> {
        self.find(&args.net)?.set_autostart(args.autostart != 0).await
    }

    async fn network_is_active(
        &self,
        _: &rpc::Call,
        args: remote::NetworkIsActiveArgs,
    ) -> Result<remote::NetworkIsActiveRet> {
        Ok(remote::NetworkIsActiveRet { active: i32::from(self.find(&args.net)?.view().active()) })
    }

    async fn network_is_persistent(
        &self,
        _: &rpc::Call,
        args: remote::NetworkIsPersistentArgs,
    ) -> Result<remote::NetworkIsPersistentRet> {
        Ok(remote::NetworkIsPersistentRet { persistent: i32::from(self.find(&args.net)?.view().persistent.is_some()) })
    }

    async fn network_get_dhcp_leases(
        &self,
        _: &rpc::Call,
        args: remote::NetworkGetDhcpLeasesArgs,
    ) -> Result<remote::NetworkGetDhcpLeasesRet> {
        check_flags("networkGetDHCPLeases", args.flags, 0)?;
        let network = self.find(&args.net)?;
        let view = network.view();
        let Some((def, bridge)) = view.live.as_ref().and_then(|d| d.bridge.name.clone().map(|b| (d.clone(), b))) else {
            return Ok(remote::NetworkGetDhcpLeasesRet { leases: Vec::new(), ret: 0 });
        };
        let path = self.0.shared.folders.leases(&bridge);
        let shown = path.clone();
        let found = run_blocking(move || lease::read(&path)).await.map_err(|e| {
            Error::new(
                Domain::Network,
                Code::InternalError,
                format!("Unable to read leases file: {}: {e}", shown.display()),
            )
        })?;
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        let wanted = args.mac.as_deref().map(str::to_ascii_lowercase);
        let leases: Vec<_> = found
            .into_iter()
            .filter(|l| l.is_valid(now))
            .filter(|l| wanted.is_none() || l.mac_address.as_deref().map(str::to_ascii_lowercase) == wanted)
            .filter_map(|l| {
                let ip: std::net::IpAddr = l.ip_address.as_deref()?.parse().ok()?;
                Some(remote::NetworkDhcpLease {
                    iface: bridge.clone(),
                    expirytime: l.expiry_time,
                    type_: if ip.is_ipv6() { VIR_IP_ADDR_TYPE_IPV6 } else { VIR_IP_ADDR_TYPE_IPV4 },
                    mac: l.mac_address,
                    iaid: l.iaid,
                    prefix: lease::prefix(&def, ip),
                    ipaddr: ip.to_string(),
                    hostname: l.hostname,
                    clientid: l.client_id,
                })
            })
            .collect();
        let ret = count(leases.len());
        Ok(remote::NetworkGetDhcpLeasesRet { leases: if args.need_results != 0 { leases } else { Vec::new() }, ret })
    }

    async fn network_set_metadata(&self, _: &rpc::Call, args: remote::NetworkSetMetadataArgs) -> Result<()> {
        check_flags("networkSetMetadata", args.flags, AFFECT)?;
        let network = self.find(&args.network)?;
        let change = MetadataChange {
            kind: args.type_,
            text: args.metadata,
            key: args.key,
            uri: args.uri,
            affect: affect(args.flags),
        };
        network.set_metadata(change).await
    }

    async fn network_get_metadata(
        &self,
        _: &rpc::Call,
        args: remote::NetworkGetMetadataArgs,
    ) -> Result<remote::NetworkGetMetadataRet> {
        check_flags("networkGetMetadata", args.flags, AFFECT)?;
        let network = self.find(&args.network)?;
        let metadata = network.metadata(args.type_, args.uri.as_deref(), affect(args.flags))?;
        Ok(remote::NetworkGetMetadataRet { metadata })
    }

    async fn connect_network_event_register_any(
        &self,
        call: &rpc::Call,
        args: remote::ConnectNetworkEventRegisterAnyArgs,
    ) -> Result<remote::ConnectNetworkEventRegisterAnyRet> {
        if args.event_id < 0 || args.event_id >= VIR_NETWORK_EVENT_ID_LAST {
            let detail = format!("unsupported network event ID {}", args.event_id);
            return Err(Error::new(Domain::Rpc, Code::InternalError, detail));
        }
        let object = args.net.as_ref().map(|net| Uuid::from_bytes(net.uuid));
        let (client, subscriptions) = (call.client(), &self.0.shared.subscriptions);
        let failed = |e: object::events::Error| Error::new(Domain::Rpc, Code::InternalError, e.to_string());
        let callback_id = subscriptions.register(client.id(), client.clone(), args.event_id, object).map_err(failed)?;
        let (id, shared) = (client.id(), self.0.shared.clone());
        client.on_close(move || shared.subscriptions.remove_client(id));
        Ok(remote::ConnectNetworkEventRegisterAnyRet { callback_id })
    }

    async fn connect_network_event_deregister_any(
        &self,
        call: &rpc::Call,
        args: remote::ConnectNetworkEventDeregisterAnyArgs,
    ) -> Result<()> {
        let done = self.0.shared.subscriptions.deregister(call.client().id(), args.callback_id);
        done.map_err(|e| Error::new(Domain::Rpc, Code::InternalError, e.to_string()))
    }

    async fn network_list_all_ports(
        &self,
        _: &rpc::Call,
        args: remote::NetworkListAllPortsArgs,
    ) -> Result<remote::NetworkListAllPortsRet> {
        port::list(&self.find(&args.network)?, &args)
    }

    async fn network_port_lookup_by_uuid(
        &self,
        _: &rpc::Call,
        args: remote::NetworkPortLookupByUuidArgs,
    ) -> Result<remote::NetworkPortLookupByUuidRet> {
        let network = self.find(&args.network)?;
        port::find(&network, &args.uuid)?;
        Ok(remote::NetworkPortLookupByUuidRet { port: port::wire_port(&network, args.uuid) })
    }

    async fn network_port_create_xml(
        &self,
        _: &rpc::Call,
        args: remote::NetworkPortCreateXmlArgs,
    ) -> Result<remote::NetworkPortCreateXmlRet> {
        port::create(&self.find(&args.network)?, &args).await
    }

    async fn network_port_get_parameters(
        &self,
        _: &rpc::Call,
        args: remote::NetworkPortGetParametersArgs,
    ) -> Result<remote::NetworkPortGetParametersRet> {
        port::get_parameters(&self.find(&args.port.net)?, &args)
    }

    async fn network_port_set_parameters(
        &self,
        _: &rpc::Call,
        args: remote::NetworkPortSetParametersArgs,
    ) -> Result<()> {
        port::set_parameters(&self.find(&args.port.net)?, &args).await
    }

    async fn network_port_get_xml_desc(
        &self,
        _: &rpc::Call,
        args: remote::NetworkPortGetXmlDescArgs,
    ) -> Result<remote::NetworkPortGetXmlDescRet> {
        check_flags("networkPortGetXMLDesc", args.flags, 0)?;
        let port = port::find(&self.find(&args.port.net)?, &args.port.uuid)?;
        Ok(remote::NetworkPortGetXmlDescRet { xml: port.format() })
    }

    async fn network_port_delete(&self, _: &rpc::Call, args: remote::NetworkPortDeleteArgs) -> Result<()> {
        check_flags("networkPortDelete", args.flags, 0)?;
        self.find(&args.port.net)?.delete_port(Uuid::from_bytes(args.port.uuid)).await
    }
}
