//! Keeps the record of DHCP leases; run by dnsmasq.

fn main() {
    std::process::exit(virtnetworkd::lease::helper::main());
}
