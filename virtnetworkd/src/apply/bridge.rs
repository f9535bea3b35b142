//! The host's bridge, by rtnetlink.

use std::net::IpAddr;

use conf::network::NetworkDef;
use error::{Domain, Error, Result};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::BridgeStpState;
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use conf::network::address::broadcast_of;

/// Clock ticks in a second, the unit of the kernel's bridge timers (USER_HZ).
const TICKS: u64 = 100;

/// A netlink socket of the network namespace that we run in.
pub struct Links {
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn errno(cause: &rtnetlink::Error) -> std::io::Error {
    match cause {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => std::io::Error::other(other.to_string()),
    }
}

fn failed(cause: &rtnetlink::Error, text: impl std::fmt::Display) -> Error {
    Error::system(Domain::None, &errno(cause), text)
}

impl Links {
    /// Opens a socket.
    ///
    /// # Errors
    /// SYSTEM_ERROR.
    pub fn open() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|e| Error::system(Domain::Network, &e, "cannot open netlink socket"))?;
        Ok(Self { handle, task: tokio::spawn(connection) })
    }

    /// Index of an interface, `None` when there is none of that name.
    ///
    /// # Errors
    /// SYSTEM_ERROR.
    pub async fn index(&self, name: &str) -> Result<Option<u32>> {
        // the kernel calls a name that cannot be an error, not an absence
        if name.len() >= nix::libc::IFNAMSIZ {
            return Ok(None);
        }
        let mut links = self.handle.link().get().match_name(name.to_owned()).execute();
        match links.try_next().await {
            Ok(link) => Ok(link.map(|l| l.header.index)),
            Err(e) if errno(&e).raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
            Err(e) => Err(failed(&e, format_args!("unable to get interface index for {name}"))),
        }
    }

    /// Names of all interfaces.
    ///
    /// # Errors
    /// SYSTEM_ERROR.
    pub async fn names(&self) -> Result<Vec<String>> {
        use rtnetlink::packet_route::link::LinkAttribute;
        let links: Vec<_> =
            self.handle.link().get().execute().try_collect().await.map_err(|e| failed(&e, "cannot list interfaces"))?;
        let name = |attribute: LinkAttribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        };
        Ok(links.into_iter().filter_map(|l| l.attributes.into_iter().find_map(name)).collect())
    }

    /// Makes the bridge with the definition's address and timers: one request, which does all or nothing.
    ///
    /// # Errors
    /// SYSTEM_ERROR; `EEXIST` when the name is taken.
    pub async fn create_bridge(&self, def: &NetworkDef, bridge: &str) -> Result<()> {
        let stp = if def.bridge.stp != Some(false) { BridgeStpState::KernelStp } else { BridgeStpState::Disabled };
        let mut message = LinkMessageBuilder::<LinkBridge>::new(bridge)
            .stp_state(stp)
            .forward_delay(u32::try_from(def.bridge.delay.saturating_mul(TICKS)).unwrap_or(u32::MAX));
        if let Some(mac) = def.mac {
            message = message.address(mac.0.to_vec());
        }
        let add = self.handle.link().add(message.build()).execute().await;
        add.map_err(|e| failed(&e, format_args!("error creating bridge interface {bridge}")))?;
        Ok(())
    }

    /// Index of the bridge just made, with its MTU set.
    ///
    /// # Errors
    /// SYSTEM_ERROR; somebody has removed it.
    pub async fn finish_bridge(&self, def: &NetworkDef, bridge: &str) -> Result<u32> {
        let index = self.index(bridge).await?.ok_or_else(|| {
            let detail = format!("bridge {bridge} vanished after it was made");
            Error::new(Domain::Network, error::Code::InternalError, detail)
        })?;
        if let Some(mtu) = def.mtu {
            let set = self.handle.link().set(LinkUnspec::new_with_index(index).mtu(mtu).build()).execute().await;
            set.map_err(|e| failed(&e, format_args!("Cannot set interface MTU on '{bridge}'")))?;
        }
        Ok(index)
    }

    /// Turns an interface on.
    ///
    /// # Errors
    /// SYSTEM_ERROR.
    pub async fn set_up(&self, index: u32, bridge: &str) -> Result<()> {
        let set = self.handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await;
        set.map_err(|e| failed(&e, format_args!("Cannot set interface '{bridge}' up")))
    }

    /// Gives the bridge its addresses.
    ///
    /// # Errors
    /// SYSTEM_ERROR.
    pub async fn add_addresses(&self, def: &NetworkDef, index: u32, bridge: &str) -> Result<()> {
        for ip in &def.ips {
            let Some(prefix) = ip.effective_prefix() else {
                let detail = format!("bridge '{bridge}' has an invalid netmask or IP address");
                return Err(Error::new(Domain::Network, error::Code::InternalError, detail));
            };
            let size = u8::try_from(prefix).unwrap_or(128);
            let mut request = self.handle.address().add(index, ip.address, size);
            if ip.address.is_ipv4()
                && prefix < 31
                && let IpAddr::V4(broadcast) = broadcast_of(ip.address, prefix)
            {
                let attributes = &mut request.message_mut().attributes;
                attributes.retain(|a| !matches!(a, AddressAttribute::Broadcast(_)));
                attributes.push(AddressAttribute::Broadcast(broadcast));
            }
            let text = format!("Failed to add IP address {}/{prefix} to {bridge}", ip.address);
            request.execute().await.map_err(|e| failed(&e, text))?;
        }
        Ok(())
    }

    /// Adds the static routes.
    ///
    /// # Errors
    /// SYSTEM_ERROR.
    pub async fn add_routes(&self, def: &NetworkDef, index: u32, bridge: &str) -> Result<()> {
        for route in &def.routes {
            let prefix = u8::try_from(route.effective_prefix()).unwrap_or(128);
            // libvirt's default when none is given
            let metric = route.metric.unwrap_or(1);
            let message = match (route.address, route.gateway) {
                (IpAddr::V4(to), IpAddr::V4(via)) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                    .destination_prefix(to, prefix)
                    .gateway(via)
                    .output_interface(index)
                    .priority(metric)
                    .build(),
                (IpAddr::V6(to), IpAddr::V6(via)) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                    .destination_prefix(to, prefix)
                    .gateway(via)
                    .output_interface(index)
                    .priority(metric)
                    .build(),
                _ => continue,
            };
            let text = format!("Failed to add route {}/{prefix} via {} to {bridge}", route.address, route.gateway);
            self.handle.route().add(message).execute().await.map_err(|e| failed(&e, text))?;
        }
        Ok(())
    }

    /// Removes the bridge; that it is gone already is fine.
    ///
    /// # Errors
    /// SYSTEM_ERROR.
    pub async fn delete_bridge(&self, bridge: &str) -> Result<()> {
        let Some(index) = self.index(bridge).await? else { return Ok(()) };
        match self.handle.link().del(index).execute().await {
            Ok(()) => Ok(()),
            Err(e) if errno(&e).raw_os_error() == Some(nix::libc::ENODEV) => Ok(()),
            Err(e) => Err(failed(&e, format_args!("Unable to delete bridge {bridge}"))),
        }
    }
}
