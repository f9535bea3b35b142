//! The host's end of a guest's network card: a tap interface on a bridge.

use std::io;
use std::os::fd::OwnedFd;

use conf::domain::device::interface::InterfaceDef;
use error::{Domain, Error};
use host::{bridge, tap};

/// Name that lets the kernel number the interface, as libvirt names them.
const TEMPLATE: &str = "vnet%d";

/// An open tap.
#[derive(Debug)]
pub struct Tap {
    /// One descriptor for each queue.
    pub queues: Vec<OwnedFd>,
    /// Its name.
    pub name: String,
}

/// Makes the tap, puts it on the bridge and turns it on. Closing the descriptors removes it. Blocks.
///
/// # Errors
/// SYSTEM_ERROR with what the kernel says.
pub fn make(interface: &InterfaceDef, bridge: &str) -> error::Result<Tap> {
    let queue_count = interface.driver.queues.unwrap_or(1).max(1);
    // A name that we gave earlier is not the user's choice.
    let wanted = interface.target.as_deref().filter(|name| !name.starts_with("vnet")).unwrap_or(TEMPLATE);
    let options = tap::Options { vnet_header: interface.is_virtio(), multi_queue: queue_count > 1, persistent: false };
    let failed = |what: String| move |e: io::Error| Error::system(Domain::Qemu, &e, what);
    let (first, name) = tap::open(wanted, options).map_err(failed(format!("Unable to create tap device {wanted}")))?;
    let mut queues = vec![first];
    for _ in 1..queue_count {
        queues.push(tap::open(&name, options).map_err(failed(format!("Unable to create tap device {name}")))?.0);
    }
    // A bridge takes the lowest address of its ports: with fe first it never becomes a guest's.
    let mut address = interface.mac.0;
    address[0] = 0xfe;
    bridge::set_hardware_address(&name, address).map_err(failed(format!("Cannot set interface MAC on '{name}'")))?;
    bridge::attach(&name, bridge).map_err(failed(format!("Unable to add bridge {bridge} port {name}")))?;
    bridge::set_up(&name).map_err(failed(format!("Cannot set interface flags on '{name}'")))?;
    Ok(Tap { queues, name })
}
