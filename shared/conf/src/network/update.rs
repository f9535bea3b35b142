//! `virNetworkUpdate`: changes one element of a definition.

use error::{Code, Domain, Error, Result};
use xml::Node;

use super::dhcp::{DhcpHost, DhcpRange};
use super::forward::{Device, Forward, ForwardMode};
use super::ip::Ip;
use super::{NetworkDef, PortGroup, xml_error};

/// What to do with the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Replace the one it matches.
    Modify,
    /// Remove the one it matches.
    Delete,
    /// Append.
    AddLast,
    /// Prepend.
    AddFirst,
}

impl Command {
    /// From the number of `virNetworkUpdateCommand`.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Modify, Self::Delete, Self::AddLast, Self::AddFirst]
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
            .copied()
    }
}

/// Which kind of element changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the elements")]
pub enum Section {
    Bridge,
    Domain,
    Ip,
    IpDhcpHost,
    IpDhcpRange,
    Forward,
    ForwardInterface,
    ForwardPf,
    PortGroup,
    DnsHost,
    DnsTxt,
    DnsSrv,
}

impl Section {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Bridge, "bridge"),
        (Self::Domain, "domain"),
        (Self::Ip, "ip"),
        (Self::IpDhcpHost, "ip-dhcp-host"),
        (Self::IpDhcpRange, "ip-dhcp-range"),
        (Self::Forward, "forward"),
        (Self::ForwardInterface, "forward-interface"),
        (Self::ForwardPf, "forward pf"),
        (Self::PortGroup, "portgroup"),
        (Self::DnsHost, "dns-host"),
        (Self::DnsTxt, "dns-txt"),
        (Self::DnsSrv, "dns-srv"),
    ];

    /// From the number of `virNetworkUpdateSection`.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).map(|(s, _)| *s)
    }

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(s, _)| *s == self).map_or("", |(_, w)| w)
    }
}

pub(super) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Domain::Network, Code::OperationInvalid, detail)
}

pub(super) fn impossible(detail: impl Into<String>) -> Error {
    Error::new(Domain::Network, Code::OperationUnsupported, detail)
}

impl NetworkDef {
    /// Applies one change. `parent` is the index of the `<ip>` element meant, negative for "find it".
    ///
    /// # Errors
    /// libvirt's codes and texts; the definition is then unchanged.
    pub fn update(&mut self, command: u32, section: u32, parent: i32, text: &str) -> Result<()> {
        let Some(section) = Section::from_number(section) else {
            return Err(impossible("can't update unrecognized section of network"));
        };
        let mut changed = self.clone();
        let document = super::document(text)?;
        changed.apply(command, section, parent, document.root())?;
        changed.check_lines()?;
        *self = changed;
        Ok(())
    }

    fn apply(&mut self, command: u32, section: Section, parent: i32, node: Node<'_>) -> Result<()> {
        let element = match section {
            Section::IpDhcpHost => "host",
            Section::IpDhcpRange => "range",
            Section::ForwardInterface => "interface",
            Section::PortGroup => "portgroup",
            Section::DnsHost => "host",
            Section::DnsTxt => "txt",
            Section::DnsSrv => "srv",
            Section::Bridge | Section::Domain | Section::Ip | Section::Forward | Section::ForwardPf => {
                let detail = format!("can't update '{}' section of network '{}'", section.word(), self.name);
                return Err(impossible(detail));
            }
        };
        if node.name() != element {
            return Err(xml_error(format!(
                "unexpected element <{}>, expecting <{element}>, while updating network '{}'",
                node.name(),
                self.name
            )));
        }
        let Some(command) = Command::from_number(command) else {
            return Err(impossible(format!("unrecognized network update command code {command}")));
        };
        match section {
            Section::IpDhcpHost => self.update_dhcp_host(command, parent, node),
            Section::IpDhcpRange => self.update_dhcp_range(command, parent, node),
            Section::ForwardInterface => self.update_interface(command, node),
            Section::PortGroup => self.update_portgroup(command, node),
            Section::DnsHost => self.update_dns_host(command, node),
            Section::DnsTxt => self.update_dns_txt(command, node),
            _ => self.update_dns_srv(command, node),
        }
    }

    /// The `<ip>` meant: by index, else the first that already has a DHCP service, else the first of IPv4, else the first of IPv6.
    fn dhcp_parent(&mut self, parent: i32) -> Result<&mut Ip> {
        let name = self.name.clone();
        let at = if parent >= 0 {
            let missing = || {
                invalid(format!(
                    "couldn't update dhcp host entry - no <ip> element found at index {parent} in network '{name}'"
                ))
            };
            usize::try_from(parent).ok().filter(|at| *at < self.ips.len()).ok_or_else(missing)?
        } else {
            let has_service = |ip: &Ip| !(ip.dhcp.ranges.is_empty() && ip.dhcp.hosts.is_empty());
            let found = self.ips.iter().position(has_service).or_else(|| self.ips.iter().position(|ip| !ip.is_v6()));
            let found = found.or(if self.ips.is_empty() { None } else { Some(0) });
            found.ok_or_else(|| {
                invalid(format!("couldn't update dhcp host entry - no <ip> element found in network '{name}'"))
            })?
        };
        Ok(&mut self.ips[at])
    }

    fn update_dhcp_host(&mut self, command: Command, parent: i32, node: Node<'_>) -> Result<()> {
        let name = self.name.clone();
        let ip = self.dhcp_parent(parent)?;
        let host = DhcpHost::parse(node, ip.address, &name, command == Command::Delete)?;
        if command != Command::Delete && host.ip.is_some_and(|a| a.is_ipv6() != ip.is_v6()) {
            let text =
                "the address family of a host entry IP must match the address family of the dhcp element's parent";
            return Err(invalid(text));
        }
        let hosts = &mut ip.dhcp.hosts;
        let show = |text: &Option<String>| text.clone().unwrap_or_default();
        let shown_ip = host.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let same_mac = |other: &DhcpHost| match (&host.mac, &other.mac) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        };
        match command {
            Command::Modify => {
                let same_name = |other: &DhcpHost| host.name.is_some() && host.name == other.name;
                let same_id = |other: &DhcpHost| host.id.is_some() && host.id == other.id;
                let found = hosts
                    .iter_mut()
                    .find(|o| same_mac(o) || same_id(o) || same_name(o) || host.ip.is_some() && host.ip == o.ip);
                let missing = || {
                    invalid(format!(
                        "couldn't locate an existing dhcp host entry with \"mac='{}'\" \"name='{}'\" \"ip='{shown_ip}'\" in network '{name}'",
                        show(&host.mac),
                        show(&host.name)
                    ))
                };
                *found.ok_or_else(missing)? = host.clone();
            }
            Command::AddFirst | Command::AddLast => {
                let conflict = hosts.iter().any(|o| {
                    same_mac(o) || host.name.is_some() && host.name == o.name || host.ip.is_some() && host.ip == o.ip
                });
                if conflict {
                    return Err(invalid(format!(
                        "there is an existing dhcp host entry in network '{name}' that matches \"<host mac='{}' name='{}' ip='{shown_ip}'/>\"",
                        show(&host.mac),
                        show(&host.name)
                    )));
                }
                insert(hosts, command, host);
            }
            Command::Delete => {
                let matches = |o: &DhcpHost| {
                    (host.mac.is_none() || same_mac(o))
                        && (host.id.is_none() || host.id == o.id)
                        && (host.name.is_none() || host.name == o.name)
                        && (host.ip.is_none() || host.ip == o.ip)
                };
                let missing = || invalid(format!("couldn't locate a matching dhcp host entry in network '{name}'"));
                let at = hosts.iter().position(matches).ok_or_else(missing)?;
                hosts.remove(at);
            }
        }
        Ok(())
    }

    fn update_dhcp_range(&mut self, command: Command, parent: i32, node: Node<'_>) -> Result<()> {
        let name = self.name.clone();
        if command == Command::Modify {
            return Err(impossible("dhcp ranges cannot be modified, only added or deleted"));
        }
        let ip = self.dhcp_parent(parent)?;
        let range = DhcpRange::parse(node, ip.address, ip.effective_prefix(), &name)?;
        if range.start.is_ipv6() != ip.is_v6() {
            return Err(xml_error(
                "the address family of a dhcp range must match the address family of the dhcp element's parent",
            ));
        }
        let (v6, adds) = (ip.is_v6(), matches!(command, Command::AddFirst | Command::AddLast));
        if adds && ip.dhcp.ranges.is_empty() && ip.dhcp.hosts.is_empty() {
            let address = ip.address;
            let other = self.ips.iter().any(|o| {
                o.is_v6() == v6 && o.address != address && !(o.dhcp.ranges.is_empty() && o.dhcp.hosts.is_empty())
            });
            if other {
                let family = if v6 { "IPv6" } else { "IPv4" };
                return Err(invalid(format!("dhcp is supported only for a single {family} address on each network")));
            }
        }
        let ranges = &mut self.dhcp_parent(parent)?.dhcp.ranges;
        let at = ranges.iter().position(|o| o.start == range.start && o.end == range.end);
        match (adds, at) {
            (true, Some(_)) => Err(invalid(format!(
                "there is an existing dhcp range entry in network '{name}' that matches \"<range start='{}' end='{}'/>\"",
                range.start, range.end
            ))),
            (true, None) => {
                insert(ranges, command, range);
                Ok(())
            }
            (false, Some(at)) => {
                ranges.remove(at);
                Ok(())
            }
            (false, None) => Err(invalid(format!("couldn't locate a matching dhcp range entry in network '{name}'"))),
        }
    }

    fn update_interface(&mut self, command: Command, node: Node<'_>) -> Result<()> {
        let name = self.name.clone();
        if command == Command::Modify {
            return Err(impossible("forward interface entries cannot be modified, only added or deleted"));
        }
        let missing = || xml_error("missing dev attribute in <interface> element");
        let device = Device::Interface(node.non_empty("dev").ok_or_else(missing)?);
        let Device::Interface(dev) = &device else { return Ok(()) };
        let absent = || {
            invalid(format!("couldn't find an interface entry in network '{name}' matching <interface dev='{dev}'>"))
        };
        let Some(Forward { mode, devices, .. }) = &mut self.forward else { return Err(absent()) };
        let at = devices.iter().position(|d| *d == device);
        if command == Command::Delete {
            devices.remove(at.ok_or_else(absent)?);
        } else {
            if at.is_some() {
                return Err(invalid(format!(
                    "there is an existing interface entry in network '{name}' that matches \"<interface dev='{dev}'>\""
                )));
            }
            insert(devices, command, device.clone());
            if matches!(mode, ForwardMode::Nat | ForwardMode::Route | ForwardMode::Open) {
                self.check_forward_mode()?;
            }
        }
        Ok(())
    }

    fn update_portgroup(&mut self, command: Command, node: Node<'_>) -> Result<()> {
        let name = self.name.clone();
        let group = PortGroup::parse(node)?;
        let at = self.portgroups.iter().position(|g| g.name == group.name);
        let adds = matches!(command, Command::AddFirst | Command::AddLast);
        if at.is_none() && !adds {
            let detail = format!(
                "couldn't find a portgroup entry in network '{name}' matching <portgroup name='{}'>",
                group.name
            );
            return Err(invalid(detail));
        }
        if at.is_some() && adds {
            let detail = format!(
                "there is an existing portgroup entry in network '{name}' that matches \"<portgroup name='{}'>\"",
                group.name
            );
            return Err(invalid(detail));
        }
        let other_default = self.portgroups.iter().any(|g| g.default && g.name != group.name);
        if group.default && other_default && command != Command::Delete {
            let detail = format!(
                "a different portgroup entry in network '{name}' is already set as the default. Only one default is allowed."
            );
            return Err(invalid(detail));
        }
        match (command, at) {
            (Command::Modify, Some(at)) => self.portgroups[at] = group,
            (Command::Delete, Some(at)) => {
                self.portgroups.remove(at);
            }
            _ => insert(&mut self.portgroups, command, group),
        }
        Ok(())
    }
}

pub(super) fn insert<T>(list: &mut Vec<T>, command: Command, item: T) {
    if command == Command::AddFirst {
        list.insert(0, item);
    } else {
        list.push(item);
    }
}
