//! What a network needs from the host, as data. Pure: definitions in, text out.

pub mod dnsmasq;
pub mod firewall;

#[cfg(test)]
mod tests;
