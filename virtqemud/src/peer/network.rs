//! virtnetworkd: ports on its networks, and the leases its guests got.

use conf::domain::DomainDef;
use conf::domain::device::interface::{InterfaceDef, InterfaceKind, InterfaceSource};
use conf::network::port::{NetworkPortDef, Plug};
use error::{Code, Domain, Error};
use protocol::remote::{self, NonnullNetwork, NonnullNetworkPort, proc};
use rpc::ClientConnection;

use crate::driver::Driver;

/// Where a network lets an interface attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Identity of the port.
    pub port: [u8; 16],
    /// Bridge for the tap.
    pub bridge: String,
    /// The bridge belongs to the network driver (else to the administrator).
    pub own_bridge: bool,
    /// `kernel` or `libvirt`.
    pub mac_table_manager: Option<String>,
}

/// Makes a port for the interface.
///
/// # Errors
/// What virtnetworkd answers: no such network, network not active; CONFIG_UNSUPPORTED for a plug that is no bridge.
pub async fn attach(
    driver: &Driver,
    def: &DomainDef,
    interface: &InterfaceDef,
    name: &str,
) -> error::Result<Attachment> {
    let connection = connect(driver).await?;
    let net = lookup(&connection, name).await?;
    let group = match &interface.source {
        InterfaceSource::Network { portgroup, .. } => portgroup.clone(),
        _ => None,
    };
    let request = NetworkPortDef {
        uuid: Some(uuid::Uuid::new_v4().into_bytes()),
        owner_name: def.name.clone(),
        owner_uuid: def.uuid,
        group,
        mac: interface.mac,
        virtualport: None,
        bandwidth: None,
        class_id: None,
        vlan: None,
        isolated: interface.port_isolated,
        trust_guest_rx_filters: interface.trust_guest_rx_filters,
        plug: Plug::None,
    };
    let args = remote::NetworkPortCreateXmlArgs { network: net, xml: request.format(), flags: 0 };
    let ret: remote::NetworkPortCreateXmlRet =
        connection.call(remote::PROGRAM, proc::NETWORK_PORT_CREATE_XML, &args).await?;
    let made = describe(&connection, ret.port.clone()).await;
    if made.is_err() {
        delete(&connection, ret.port).await?;
    }
    made
}

async fn describe(connection: &ClientConnection, port: NonnullNetworkPort) -> error::Result<Attachment> {
    let uuid = port.uuid;
    let args = remote::NetworkPortGetXmlDescArgs { port, flags: 0 };
    let ret: remote::NetworkPortGetXmlDescRet =
        connection.call(remote::PROGRAM, proc::NETWORK_PORT_GET_XML_DESC, &args).await?;
    let port = NetworkPortDef::parse(&ret.xml)?;
    match port.plug {
        Plug::Network { bridge, mac_table_manager } => Ok(Attachment {
            port: uuid,
            bridge,
            own_bridge: true,
            mac_table_manager: mac_table_manager.map(|m| m.to_string()),
        }),
        Plug::Bridge { bridge, mac_table_manager } => Ok(Attachment {
            port: uuid,
            bridge,
            own_bridge: false,
            mac_table_manager: mac_table_manager.map(|m| m.to_string()),
        }),
        _ => Err(Error::new(Domain::Qemu, Code::ConfigUnsupported, "the network does not attach guests to a bridge")),
    }
}

/// Deletes the port that the interface of a run got; does nothing for others.
///
/// # Errors
/// What virtnetworkd answers; that network or port are gone is fine.
pub async fn release(driver: &Driver, interface: &InterfaceDef) -> error::Result<()> {
    let InterfaceSource::Network { name, portid: Some(uuid), .. } = &interface.source else { return Ok(()) };
    if interface.kind != InterfaceKind::Network {
        return Ok(());
    }
    let connection = connect(driver).await?;
    let released = async {
        let net = lookup(&connection, name).await?;
        delete(&connection, NonnullNetworkPort { net, uuid: *uuid }).await
    };
    match released.await {
        Err(e) if matches!(e.code(), Some(Code::NoNetwork | Code::NoNetworkPort)) => Ok(()),
        done => done,
    }
}

/// DHCP leases of the interface's address on a network.
///
/// # Errors
/// What virtnetworkd answers.
pub async fn leases(driver: &Driver, name: &str, mac: &str) -> error::Result<Vec<remote::NetworkDhcpLease>> {
    let connection = connect(driver).await?;
    let net = lookup(&connection, name).await?;
    let args = remote::NetworkGetDhcpLeasesArgs { net, mac: Some(mac.to_owned()), need_results: 1, flags: 0 };
    let ret: remote::NetworkGetDhcpLeasesRet =
        connection.call(remote::PROGRAM, proc::NETWORK_GET_DHCP_LEASES, &args).await?;
    Ok(ret.leases)
}

async fn connect(driver: &Driver) -> error::Result<ClientConnection> {
    let connection = ClientConnection::connect(&driver.paths.run_dir.join("virtnetworkd-sock")).await?;
    let uri = if driver.paths.privileged { "network:///system" } else { "network:///session" };
    connection.open(uri, 0).await?;
    Ok(connection)
}

/// Whether virtnetworkd knows the network.
///
/// # Errors
/// What virtnetworkd answers; that there is no such network when it cannot be asked.
pub async fn known(driver: &Driver, name: &str) -> error::Result<()> {
    let Ok(connection) = connect(driver).await else { return Err(unknown(name)) };
    lookup(&connection, name).await.map(drop)
}

/// The answer for a network that nobody knows.
pub fn unknown(name: &str) -> Error {
    Error::new(Domain::Network, Code::NoNetwork, format!("no network with matching name '{name}'"))
}

async fn lookup(connection: &ClientConnection, name: &str) -> error::Result<NonnullNetwork> {
    let args = remote::NetworkLookupByNameArgs { name: name.to_owned() };
    let ret: remote::NetworkLookupByNameRet =
        connection.call(remote::PROGRAM, proc::NETWORK_LOOKUP_BY_NAME, &args).await?;
    Ok(ret.net)
}

async fn delete(connection: &ClientConnection, port: NonnullNetworkPort) -> error::Result<()> {
    connection.call(remote::PROGRAM, proc::NETWORK_PORT_DELETE, &remote::NetworkPortDeleteArgs { port, flags: 0 }).await
}
