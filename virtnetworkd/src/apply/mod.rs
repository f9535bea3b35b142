//! Effects on the host: short, each with its way back.

pub mod bridge;
pub mod companion;
pub mod dnsmasq;
pub mod nft;
pub mod process;
pub mod route;
pub mod scratch;
pub mod sysctl;
pub mod traffic;
