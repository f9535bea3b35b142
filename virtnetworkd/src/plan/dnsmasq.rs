//! dnsmasq's configuration of a network: the same lines in the same order as libvirt writes them.

use std::fmt::Write;
use std::path::Path;

use conf::network::address::{netmask, reverse_domain};
use conf::network::dhcp::DhcpHost;
use conf::network::dns::Forwarder;
use conf::network::ip::Ip;
use conf::network::{ForwardMode, NetworkDef};
use error::{Code, Domain, Error, Result};

/// Where dnsmasq finds its files.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// Where it writes its pid.
    pub pid: Option<&'a Path>,
    /// Static DHCP hosts.
    pub hosts: &'a Path,
    /// DNS hosts.
    pub addn_hosts: &'a Path,
}

/// What dnsmasq reads.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsmasqPlan {
    /// NAME.conf.
    pub conf: String,
    /// NAME.hostsfile.
    pub hosts: String,
    /// NAME.addnhosts.
    pub addn_hosts: String,
    /// Addresses that may be given, summed over the ranges.
    pub leases_max: u32,
    /// Whether DHCP is served at all.
    pub dhcp: bool,
    /// Remarks for the log.
    pub warnings: Vec<String>,
}

const HEADER: [&str; 2] = [
    "##WARNING:  THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE",
    "##OVERWRITTEN AND LOST.  Changes to this configuration should be made using:",
];

/// Whether a network has a use for dnsmasq: it has addresses, and serves DHCP or DNS on them.
pub fn is_needed(def: &NetworkDef) -> bool {
    let dhcp = def.ips.iter().any(serves_dhcp);
    let dns = def.dns.enable != Some(false);
    !def.ips.is_empty() && (dns || dhcp)
}

/// Refuses what dnsmasq cannot be told.
///
/// # Errors
/// CONFIG_UNSUPPORTED: a network whose reverse names no domain covers.
pub fn check(def: &NetworkDef) -> Result<()> {
    for ip in def.ips.iter().filter(|ip| ip.local_ptr == Some(true)) {
        let prefix = ip.effective_prefix().unwrap_or(0);
        if reverse_domain(ip.address, prefix).is_none() {
            let family = if ip.is_v6() { "IPv6" } else { "IPv4" };
            let detail =
                format!("PTR domain for {family} network with prefix {prefix} cannot be automatically created");
            return Err(Error::new(Domain::Network, Code::ConfigUnsupported, detail));
        }
    }
    Ok(())
}

fn serves_dhcp(ip: &Ip) -> bool {
    !(ip.dhcp.ranges.is_empty() && ip.dhcp.hosts.is_empty())
}

/// Lays the files out.
pub fn plan(def: &NetworkDef, bridge: &str, files: Files<'_>) -> DnsmasqPlan {
    let mut out = Lines::default();
    for line in HEADER {
        out.line(line);
    }
    out.line(format_args!("##    virsh net-edit {}", def.name));
    out.line("## or other application using the libvirt API.");
    out.line("##");
    out.line("## dnsmasq conf file created by libvirt");
    out.line("strict-order");
    dns(&mut out, def);
    if let Some(pid) = files.pid {
        out.line(format_args!("pid-file={}", pid.display()));
    }
    out.line("except-interface=lo");
    out.line("bind-dynamic");
    out.line(format_args!("interface={bridge}"));
    isolation(&mut out, def);
    records(&mut out, def);
    let mut warnings = Vec::new();
    let (v4, v6) = (dhcp_parent(def, false), dhcp_parent(def, true));
    let mut leases_max = 0;
    if let Some(root) = def.ips.iter().find_map(|ip| ip.tftp_root.as_deref()) {
        out.line("enable-tftp");
        out.line(format_args!("tftp-root={root}"));
    }
    if let Some(ip) = v4 {
        leases_max += dhcp(&mut out, ip);
        if serves_dhcp(ip) {
            out.line("dhcp-no-override");
            out.line("dhcp-authoritative");
        }
        if let Some(bootp) = &ip.dhcp.bootp {
            match bootp.server {
                Some(server) => out.line(format_args!("dhcp-boot={},,{server}", bootp.file)),
                None => out.line(format_args!("dhcp-boot={}", bootp.file)),
            }
        }
    }
    if let Some(ip) = v6 {
        leases_max += dhcp(&mut out, ip);
    }
    let serves = v4.is_some_and(serves_dhcp) || v6.is_some_and(serves_dhcp);
    if leases_max > 0 {
        out.line(format_args!("dhcp-lease-max={leases_max}"));
    }
    if serves {
        out.line(format_args!("dhcp-hostsfile={}", files.hosts.display()));
    }
    if def.dns.enable != Some(false) {
        out.line(format_args!("addn-hosts={}", files.addn_hosts.display()));
    }
    if let Some(mtu) = def.mtu {
        out.line(format_args!("dhcp-option=option:mtu,{mtu}"));
    }
    router_advertisements(&mut out, def, v6, &mut warnings);
    for option in &def.dnsmasq_options {
        out.line(option);
    }
    DnsmasqPlan { conf: out.0, hosts: hosts(def), addn_hosts: addn_hosts(def), leases_max, dhcp: serves, warnings }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, text: impl std::fmt::Display) {
        // writing into a string cannot fail
        let _ = writeln!(self.0, "{text}");
    }
}

/// The address of a family that DHCP belongs to: the one with ranges or hosts, else the first one.
fn dhcp_parent(def: &NetworkDef, v6: bool) -> Option<&Ip> {
    let mut family = def.ips.iter().filter(|ip| ip.is_v6() == v6);
    family.clone().find(|ip| serves_dhcp(ip)).or_else(|| if v6 { None } else { family.next() })
}

/// Which names are answered here, which are asked elsewhere.
fn dns(out: &mut Lines, def: &NetworkDef) {
    if def.dns.enable == Some(false) {
        out.line("port=0");
    }
    for Forwarder { domain, address } in &def.dns.forwarders {
        let mut server = String::from("server=");
        if let Some(domain) = domain {
            server.push_str(&format!("/{domain}/"));
        }
        if let Some(address) = address {
            server.push_str(&address.to_string());
        } else {
            server.push('#');
        }
        out.line(server);
    }
    // only unconditional forwarders replace the host's resolvers
    if def.dns.forwarders.iter().any(|f| f.domain.is_none()) {
        out.line("no-resolv");
    }
    if let Some(domain) = &def.domain {
        if domain.local_only == Some(true) {
            out.line(format_args!("local=/{}/", domain.name));
        }
        out.line(format_args!("domain={}", domain.name));
        out.line("expand-hosts");
    }
    for ip in def.ips.iter().filter(|ip| ip.local_ptr == Some(true)) {
        if let Some(name) = ip.effective_prefix().and_then(|prefix| reverse_domain(ip.address, prefix)) {
            out.line(format_args!("local=/{name}/"));
        }
    }
    // every plain name is ours
    if def.dns.forward_plain_names == Some(false) {
        out.line("domain-needed");
        out.line("local=//");
    }
}

/// Guests of an isolated network get no default route and no upstream names.
fn isolation(out: &mut Lines, def: &NetworkDef) {
    if def.mode().is_some() {
        return;
    }
    out.line("dhcp-option=3");
    out.line("no-resolv");
    out.line("ra-param=*,0,0");
}

fn records(out: &mut Lines, def: &NetworkDef) {
    for txt in &def.dns.txts {
        let value = txt.value.as_deref().unwrap_or_default();
        // a quote, a backslash and " #" mean something to dnsmasq outside quotes
        if value.contains(['"', '\\', '#']) {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            out.line(format_args!("txt-record={},\"{quoted}\"", txt.name));
        } else {
            out.line(format_args!("txt-record={},{value}", txt.name));
        }
    }
    for srv in &def.dns.srvs {
        let mut line = format!(
            "srv-host=_{}._{}",
            srv.service.as_deref().unwrap_or_default(),
            srv.protocol.as_deref().unwrap_or_default()
        );
        if let Some(domain) = &srv.domain {
            line.push_str(&format!(".{domain}"));
        }
        if let Some(target) = &srv.target {
            line.push_str(&format!(",{target}"));
            // later fields need the earlier ones
            if srv.port > 0 || srv.priority > 0 || srv.weight > 0 {
                line.push_str(&format!(",{}", if srv.port > 0 { srv.port } else { 1 }));
            }
            if srv.priority > 0 || srv.weight > 0 {
                line.push_str(&format!(",{}", srv.priority));
            }
            if srv.weight > 0 {
                line.push_str(&format!(",{}", srv.weight));
            }
        }
        out.line(line);
    }
}

/// Writes the ranges; returns how many addresses they hold.
fn dhcp(out: &mut Lines, ip: &Ip) -> u32 {
    let prefix = ip.effective_prefix().unwrap_or(0);
    let mut count = 0;
    for range in &ip.dhcp.ranges {
        let size = if ip.is_v6() { prefix.to_string() } else { netmask(prefix).to_string() };
        let lease = range.lease.map(|l| format!(",{l}")).unwrap_or_default();
        out.line(format_args!("dhcp-range={},{},{size}{lease}", range.start, range.end));
        count += conf::network::address::range_size(range.start, range.end, None).unwrap_or(0);
    }
    // static hosts alone still need a range that dnsmasq serves them from
    if ip.dhcp.ranges.is_empty() && !ip.dhcp.hosts.is_empty() {
        if ip.is_v6() {
            out.line(format_args!("dhcp-range={},static,{prefix}", ip.address));
        } else {
            out.line(format_args!("dhcp-range={},static", ip.address));
        }
    }
    count
}

/// With DHCPv6 the advertisements say so; without, they tell guests to make their own addresses.
fn router_advertisements(out: &mut Lines, def: &NetworkDef, dhcp6: Option<&Ip>, warnings: &mut Vec<String>) {
    if !def.ips.iter().any(Ip::is_v6) {
        return;
    }
    if dhcp6.is_some() {
        out.line("enable-ra");
        if def.ips.iter().filter(|ip| ip.is_v6()).count() > 1 {
            let remark = "For IPv6, when DHCP is specified for one address, then state-full Router Advertising will occur; the other IPv6 addresses need guests that are configured by hand";
            warnings.push(format!("network {}: {remark}", def.name));
        }
        return;
    }
    for ip in def.ips.iter().filter(|ip| ip.is_v6()) {
        out.line(format_args!("dhcp-range={},ra-only", ip.address));
    }
}

fn hosts(def: &NetworkDef) -> String {
    let mut out = Lines::default();
    for ip in &def.ips {
        for host in &ip.dhcp.hosts {
            out.line(host_line(host, ip.is_v6()));
        }
    }
    out.0
}

/// One static host: who, which name, which address, how long.
fn host_line(host: &DhcpHost, v6: bool) -> String {
    let mut fields: Vec<String> = Vec::new();
    let address = host.ip.map(|ip| if v6 { format!("[{ip}]") } else { ip.to_string() });
    if v6 {
        fields.extend(host.id.as_ref().map(|id| format!("id:{id}")));
        fields.extend(host.name.clone());
        fields.extend(address);
    } else if host.mac.is_some() {
        fields.extend(host.mac.clone());
        fields.extend(address);
        fields.extend(host.name.clone());
    } else {
        fields.extend(host.name.clone());
        fields.extend(address);
    }
    fields.extend(host.lease.map(|l| l.to_string()));
    fields.join(",")
}

fn addn_hosts(def: &NetworkDef) -> String {
    let mut out = Lines::default();
    for host in &def.dns.hosts {
        if let Some(ip) = host.ip {
            let mut line = format!("{ip}\t");
            for name in &host.names {
                line.push_str(name);
                line.push('\t');
            }
            out.line(line);
        }
    }
    out.0
}

/// Whether guests reach each other through the host only when nothing forwards: no rules at all then.
pub fn is_open(def: &NetworkDef) -> bool {
    def.mode() == Some(ForwardMode::Open)
}
