//! Attaches a guest's interfaces to the host: ports on networks, taps on bridges.

use std::os::fd::OwnedFd;

use conf::domain::DomainDef;
use conf::domain::device::interface::{ActualInterface, InterfaceKind, InterfaceSource};
use error::{Code, Domain, Error};
use host::run_blocking;

use crate::driver::Driver;
use crate::peer;

use super::tap;

/// Connects every interface and enters in the definition what it got; the tap descriptors come back by interface. What
/// was made before a failure is in the definition, for the way back.
///
/// # Errors
/// What the network's daemon or the kernel says.
pub async fn connect(driver: &Driver, def: &mut DomainDef) -> error::Result<Vec<Vec<OwnedFd>>> {
    let mut all = Vec::new();
    for index in 0..def.devices.interfaces.len() {
        let bridge = match &def.devices.interfaces[index].source {
            InterfaceSource::Network { name, .. } => {
                let name = name.clone();
                Some(join(driver, def, index, &name).await?)
            }
            InterfaceSource::Bridge { name } => Some(name.clone()),
            InterfaceSource::Direct { .. } | InterfaceSource::Vdpa { .. } | InterfaceSource::Hostdev { .. } => {
                let text = format!("interface type {} is not supported yet", def.devices.interfaces[index].kind);
                return Err(Error::new(Domain::Qemu, Code::ConfigUnsupported, text));
            }
            _ => None,
        };
        let Some(bridge) = bridge else {
            all.push(Vec::new());
            continue;
        };
        let interface = def.devices.interfaces[index].clone();
        let made = run_blocking(move || tap::make(&interface, &bridge)).await?;
        def.devices.interfaces[index].target = Some(made.name);
        all.push(made.queues);
    }
    Ok(all)
}

/// Asks the network's daemon for a port; returns the bridge.
async fn join(driver: &Driver, def: &mut DomainDef, index: usize, name: &str) -> error::Result<String> {
    let got = peer::network::attach(driver, def, &def.devices.interfaces[index], name).await?;
    let interface = &mut def.devices.interfaces[index];
    if let InterfaceSource::Network { portid, bridge, .. } = &mut interface.source {
        *portid = Some(got.port);
        *bridge = Some(got.bridge.clone());
    }
    interface.actual = Some(Box::new(ActualInterface {
        kind: if got.own_bridge { InterfaceKind::Network } else { InterfaceKind::Bridge },
        bridge: Some(got.bridge.clone()),
        direct: None,
        hostdev: None,
        mac_table_manager: got.mac_table_manager,
        virtual_port: None,
        vlan: None,
        bandwidth: None,
        trust_guest_rx_filters: None,
        class_id: None,
        port_isolated: None,
    }));
    Ok(got.bridge)
}
