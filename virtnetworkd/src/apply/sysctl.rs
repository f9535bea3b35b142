//! The kernel's switches for forwarding and for IPv6 on a bridge.

use std::io;
use std::path::Path;

use error::{Code, Domain, Error, Result};

fn read(path: &str) -> io::Result<String> {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned())
}

/// Sets a switch unless it has the value already; a folder that is read-only then does no harm.
fn set(path: &str, value: &str) -> io::Result<()> {
    if read(path)? == value {
        return Ok(());
    }
    std::fs::write(path, format!("{value}\n"))
}

/// Lets the host forward packets.
///
/// # Errors
/// SYSTEM_ERROR when IPv4 forwarding cannot be had; IPv6 likewise if `v6`.
pub fn enable_forwarding(v6: bool) -> Result<()> {
    let failed = |e: io::Error| Error::system(Domain::Network, &e, "failed to enable IP forwarding");
    set("/proc/sys/net/ipv4/ip_forward", "1").map_err(failed)?;
    if v6 {
        set("/proc/sys/net/ipv6/conf/all/forwarding", "1").map_err(failed)?;
    }
    Ok(())
}

/// Sets the bridge's IPv6 switches: no IPv6 at all without an address, and never autoconfiguration: guests must not steer the host.
///
/// # Errors
/// A host without IPv6 is fine as long as the network needs none.
pub fn bridge_ipv6(bridge: &str, needed: bool) -> Result<()> {
    let folder = format!("/proc/sys/net/ipv6/conf/{bridge}");
    if !Path::new(&folder).exists() {
        if needed {
            let detail = format!("IPv6 is disabled on this host, but network bridge {bridge} has an IPv6 address");
            return Err(Error::new(Domain::Network, Code::InternalError, detail));
        }
        return Ok(());
    }
    for (name, value) in [("disable_ipv6", if needed { "0" } else { "1" }), ("accept_ra", "0"), ("autoconf", "0")] {
        let path = format!("{folder}/{name}");
        set(&path, value).map_err(|e| {
            Error::system(Domain::Network, &e, format_args!("cannot write to '{path}' on bridge '{bridge}'"))
        })?;
    }
    Ok(())
}
