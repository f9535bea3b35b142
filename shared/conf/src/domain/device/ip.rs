//! Addresses and routes given to interfaces.

use std::net::IpAddr;

/// `<ip address= family= prefix= peer=/>`
#[derive(Clone, Debug, PartialEq)]
pub struct GuestIp {
    pub address: IpAddr,
    pub prefix: Option<u32>,
    pub peer: Option<IpAddr>,
}

/// `<route>`
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub family: String,
    pub address: IpAddr,
    pub netmask: Option<IpAddr>,
    pub prefix: Option<u32>,
    pub gateway: IpAddr,
    pub metric: Option<u32>,
}
