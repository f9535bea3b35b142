//! The virtual network driver: bridges, their DHCP and DNS servers, their packet filter rules, the ports that guests attach to.
//!
//! ```text
//! virsh ─▶ api ─▶ driver ─▶ network ──▶ plan ──▶ apply
//!          wire   find      actor       pure     netlink, nft, dnsmasq, files
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`api`] | the calls of class network, as libvirt's clients make them |
//! | [`driver`] | all networks: found, defined, loaded, started with the host |
//! | [`network`] | one network: handle, actor, how it starts, stops and is taken back after a restart |
//! | [`port`] | which device a guest's interface is given |
//! | [`lease`] | the record of DHCP leases, and the helper that dnsmasq runs to keep it |
//! | [`plan`] | dnsmasq's files and nft's batch as text; pure |
//! | [`apply`] | netlink, sysctl, nft, tc, dnsmasq: short, undoable |
//! | [`folders`] | where the files are |
//!
//! An actor is the only writer of its network; readers use the view it publishes. The host's own interfaces and rules are never touched: every rule
//! carries the network's uuid, and a bridge is removed only by the network that made it.

pub mod api;
pub mod apply;
pub mod driver;
pub mod folders;
pub mod lease;
pub mod network;
pub mod plan;
pub mod port;
