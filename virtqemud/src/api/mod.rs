//! The RPC face of the driver: each handler checks flags, finds the domain, makes one call, converts back.
//!
//! `hypervisor` lists which procedure is served where; the other files hold the handlers by subject. Procedures that
//! are not listed answer libvirt's "not supported". Wire types end here.

mod block;
mod connect;
mod console;
mod cpu;
mod define;
mod device;
mod events;
mod hypervisor;
mod idle;
mod info;
mod interface;
mod keymap;
mod life;
mod list;
mod metadata;
mod node;
mod parameters;
mod pin;
mod rename;
mod stats;
mod tune;
mod xml_desc;

pub use console::Sessions;
pub(crate) use metadata::Change as MetadataChange;

use std::sync::Arc;

use error::{Code, Domain as From, Error};
use protocol::remote::NonnullDomain;
use uuid::Uuid;

use crate::domain::handle::Domain;
use crate::driver::Driver;

/// The service that the RPC programs call.
#[derive(Debug, Clone)]
pub struct Api {
    driver: Arc<Driver>,
}

impl Api {
    /// The face of a driver.
    pub fn new(driver: Arc<Driver>) -> Api {
        Api { driver }
    }

    /// The domain that a call names; by uuid, a stale name does not matter.
    fn find(&self, dom: &NonnullDomain) -> error::Result<Domain> {
        let uuid = Uuid::from_bytes(dom.uuid);
        let missing =
            || Error::new(From::Qemu, Code::NoDomain, format!("no domain with matching uuid '{uuid}' ({})", dom.name));
        self.driver.domains.by_uuid(&uuid).ok_or_else(missing)
    }
}

/// Refuses flags that the driver's function does not know; `function` is libvirt's name of it, which its message has.
fn check_flags(function: &str, flags: u32, accepted: u32) -> error::Result<()> {
    error::check_flags(From::Qemu, function, flags, accepted)
}

/// OPERATION_INVALID with this detail.
fn invalid(detail: impl Into<String>) -> Error {
    Error::new(From::Qemu, Code::OperationInvalid, detail)
}

/// INVALID_ARG with this detail.
fn bad_argument(detail: impl Into<String>) -> Error {
    Error::new(From::Qemu, Code::InvalidArg, detail)
}

/// The error of calls that need a running guest; libvirt reports it from its domain code.
fn not_running() -> Error {
    Error::new(From::Domain, Code::OperationInvalid, "domain is not running")
}

/// The error of calls that need the guest agent, which is not served: not configured, or not answering.
fn no_agent(def: &conf::domain::DomainDef) -> Error {
    use conf::domain::device::chardev::ChannelTarget;
    let is_agent = |target: &ChannelTarget| matches!(target, ChannelTarget::Virtio { name: Some(name), .. } if name == AGENT_CHANNEL);
    if def.devices.channels.iter().any(|channel| is_agent(&channel.target)) {
        return Error::new(From::Qemu, Code::AgentUnresponsive, "QEMU guest agent is not connected");
    }
    Error::new(From::Qemu, Code::ArgumentUnsupported, "QEMU guest agent is not configured")
}

/// Name of the channel that the guest agent listens on.
pub(crate) const AGENT_CHANNEL: &str = "org.qemu.guest_agent.0";
