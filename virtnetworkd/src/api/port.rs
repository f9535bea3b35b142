//! Ports: what clients, above all virtqemud, ask of them.

use conf::network::bandwidth::Rate;
use conf::network::forward::Device;
use conf::network::{NetworkPortDef, Plug};
use error::{Code, Domain, Error, Result};
use protocol::constants::{
    VIR_NETWORK_PORT_BANDWIDTH_IN_AVERAGE, VIR_NETWORK_PORT_BANDWIDTH_IN_BURST, VIR_NETWORK_PORT_BANDWIDTH_IN_FLOOR,
    VIR_NETWORK_PORT_BANDWIDTH_IN_PEAK, VIR_NETWORK_PORT_BANDWIDTH_OUT_AVERAGE, VIR_NETWORK_PORT_BANDWIDTH_OUT_BURST,
    VIR_NETWORK_PORT_BANDWIDTH_OUT_PEAK, VIR_NETWORK_PORT_CREATE_RECLAIM, VIR_NETWORK_PORT_CREATE_VALIDATE,
};
use protocol::remote::{self, TypedParam, TypedParamValue};
use uuid::Uuid;

use super::{check_flags, count, wire};
use crate::network::{Network, View, invalid};

/// How many ports use a device of the pool.
pub(super) fn connections(view: &View, device: &Device) -> u32 {
    let uses = |port: &&NetworkPortDef| match (device, &port.plug) {
        (Device::Interface(name), Plug::Direct { dev, .. }) => name == dev,
        (Device::Pci(pci), Plug::HostdevPci { address, .. }) => pci == address,
        _ => false,
    };
    count(view.ports.values().filter(uses).count())
}

pub(super) fn wire_port(network: &Network, uuid: [u8; 16]) -> remote::NonnullNetworkPort {
    remote::NonnullNetworkPort { net: wire(network), uuid }
}

pub(super) fn find(network: &Network, uuid: &[u8; 16]) -> Result<NetworkPortDef> {
    let uuid = Uuid::from_bytes(*uuid);
    network.view().ports.get(&uuid).cloned().ok_or_else(|| {
        let detail = format!("Network port with UUID {uuid} does not exist");
        Error::new(Domain::Network, Code::NoNetworkPort, detail)
    })
}

pub(super) fn list(
    network: &Network,
    args: &remote::NetworkListAllPortsArgs,
) -> Result<remote::NetworkListAllPortsRet> {
    check_flags("networkListAllPorts", args.flags, 0)?;
    let view = network.view();
    let ports = if args.need_results != 0 {
        view.ports.keys().map(|uuid| wire_port(network, *uuid.as_bytes())).collect()
    } else {
        Vec::new()
    };
    Ok(remote::NetworkListAllPortsRet { ports, ret: count(view.ports.len()) })
}

pub(super) async fn create(
    network: &Network,
    args: &remote::NetworkPortCreateXmlArgs,
) -> Result<remote::NetworkPortCreateXmlRet> {
    check_flags(
        "networkPortCreateXML",
        args.flags,
        VIR_NETWORK_PORT_CREATE_RECLAIM | VIR_NETWORK_PORT_CREATE_VALIDATE,
    )?;
    if !network.view().active() {
        return Err(invalid(format!("network '{}' is not active", network.name())));
    }
    let port = NetworkPortDef::parse(&args.xml)?;
    let uuid = network.create_port(port, args.flags & VIR_NETWORK_PORT_CREATE_RECLAIM != 0).await?;
    Ok(remote::NetworkPortCreateXmlRet { port: wire_port(network, *uuid.as_bytes()) })
}

/// The rates with their parameter names; the flag says whether it is about the inbound direction.
const RATES: [(&str, bool, fn(&mut Rate) -> &mut u64); 7] = [
    (VIR_NETWORK_PORT_BANDWIDTH_IN_AVERAGE, true, |r| &mut r.average),
    (VIR_NETWORK_PORT_BANDWIDTH_IN_PEAK, true, |r| &mut r.peak),
    (VIR_NETWORK_PORT_BANDWIDTH_IN_FLOOR, true, |r| &mut r.floor),
    (VIR_NETWORK_PORT_BANDWIDTH_IN_BURST, true, |r| &mut r.burst),
    (VIR_NETWORK_PORT_BANDWIDTH_OUT_AVERAGE, false, |r| &mut r.average),
    (VIR_NETWORK_PORT_BANDWIDTH_OUT_PEAK, false, |r| &mut r.peak),
    (VIR_NETWORK_PORT_BANDWIDTH_OUT_BURST, false, |r| &mut r.burst),
];

pub(super) fn get_parameters(
    network: &Network,
    args: &remote::NetworkPortGetParametersArgs,
) -> Result<remote::NetworkPortGetParametersRet> {
    check_flags("networkPortGetParameters", args.flags, 0)?;
    let port = find(network, &args.port.uuid)?;
    let bandwidth = port.bandwidth.unwrap_or_default();
    let mut params = Vec::new();
    for (name, inbound, field) in RATES {
        if let Some(mut rate) = if inbound { bandwidth.inbound } else { bandwidth.outbound } {
            params.push(TypedParam::uint(name, u32::try_from(*field(&mut rate)).unwrap_or(u32::MAX)));
        }
    }
    let nparams = i32::try_from(params.len()).unwrap_or(0);
    // a client that asks with 0 wants to know how many there are
    let params = if args.nparams == 0 { Vec::new() } else { params };
    Ok(remote::NetworkPortGetParametersRet { params, nparams })
}

pub(super) async fn set_parameters(network: &Network, args: &remote::NetworkPortSetParametersArgs) -> Result<()> {
    check_flags("networkPortSetParameters", args.flags, 0)?;
    let port = find(network, &args.port.uuid)?;
    let mut bandwidth = port.bandwidth.unwrap_or_default();
    for param in &args.params {
        let Some((_, inbound, field)) = RATES.iter().find(|(name, ..)| *name == param.field) else {
            let detail = format!("parameter '{}' not supported", param.field);
            return Err(Error::new(Domain::None, Code::ArgumentUnsupported, detail));
        };
        let TypedParamValue::Uint(value) = param.value else {
            let detail = format!("invalid type of parameter '{}', expected 'uint'", param.field);
            return Err(Error::new(Domain::None, Code::InvalidArg, detail));
        };
        let side = if *inbound { &mut bandwidth.inbound } else { &mut bandwidth.outbound };
        *field(side.get_or_insert_default()) = u64::from(value);
    }
    // a direction without an average limits nothing
    for side in [&mut bandwidth.inbound, &mut bandwidth.outbound] {
        if side.is_some_and(|rate| rate.average == 0 && rate.floor == 0) {
            *side = None;
        }
    }
    network.set_port_bandwidth(Uuid::from_bytes(args.port.uuid), bandwidth).await
}
