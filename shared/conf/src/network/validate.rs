//! Rules that need the whole definition.
//!
//! Those of the document are applied when it is read ([`NetworkDef::parse`]), those of the driver before it is stored ([`NetworkDef::validate`]).

use error::Result;

use super::forward::{Device, ForwardMode, PciAddress};
use super::virtualport::VirtualPortKind;
use super::{NetworkDef, unsupported, xml_error};

impl NetworkDef {
    /// Which elements go with the forward mode.
    pub(super) fn check_forward_mode(&self) -> Result<()> {
        let (name, mode) = (&self.name, self.mode());
        let word = self.mode_word();
        let devices = self.forward.as_ref().map_or(0, |f| f.devices.len());
        let pf = self.forward.as_ref().is_some_and(|f| f.pf.is_some());
        match mode {
            None => {}
            Some(ForwardMode::Nat | ForwardMode::Route) => {
                if self.ips.is_empty() {
                    let detail =
                        format!("{word} forwarding requested, but no IP address provided for network '{name}'");
                    return Err(xml_error(detail));
                }
                if devices > 1 {
                    let detail =
                        format!("multiple forwarding interfaces specified for network '{name}', only one is supported");
                    return Err(xml_error(detail));
                }
            }
            Some(ForwardMode::Open) if devices > 0 => {
                return Err(xml_error(format!(
                    "forward dev not allowed for network '{name}' with forward mode='{word}'"
                )));
            }
            Some(ForwardMode::Open) => {}
            Some(_) => self.check_unmanaged(devices > 0 || pf)?,
        }
        if self.mtu.is_some() && !self.has_own_bridge() {
            let detail = format!(
                "mtu size only allowed in open, route, nat, and isolated mode, not in {word} (network '{name}')"
            );
            return Err(xml_error(detail));
        }
        if let Some(domain) = &self.domain
            && domain.register == Some(true)
            && domain.local_only != Some(true)
        {
            let detail =
                format!("attribute 'register=yes' in <domain> element requires 'localOnly=yes' in network {name}");
            return Err(unsupported(detail));
        }
        Ok(())
    }

    /// Networks whose bridge, if any, is the administrator's.
    fn check_unmanaged(&self, has_devices: bool) -> Result<()> {
        let (name, word, bridge) = (&self.name, self.mode_word(), &self.bridge);
        if self.mode() != Some(ForwardMode::Bridge) {
            if bridge.name.is_some() {
                return Err(xml_error(format!("bridge name not allowed in {word} mode (network '{name}')")));
            }
            if bridge.zone.is_some() {
                return Err(xml_error(format!("bridge zone not allowed in {word} mode (network '{name}')")));
            }
            if bridge.mac_table_manager.is_some() {
                let detail = format!("bridge macTableManager setting not allowed in {word} mode (network '{name}')");
                return Err(xml_error(detail));
            }
        }
        if bridge.delay > 0 || bridge.stp.is_some() || bridge.zone.is_some() {
            let detail = format!(
                "bridge delay/stp/zone options only allowed in open, route, nat, and isolated mode, not in {word} (network '{name}')"
            );
            return Err(xml_error(detail));
        }
        if bridge.name.is_some() && has_devices {
            let detail = format!(
                "A network with forward mode='{word}' can specify a bridge name or a forward dev, but not both (network '{name}')"
            );
            return Err(xml_error(detail));
        }
        Ok(())
    }

    /// Every gateway must be reachable over one of the bridge's addresses.
    pub(super) fn check_gateways(&self) -> Result<()> {
        for route in &self.routes {
            let reachable = self.ips.iter().any(|ip| {
                ip.effective_prefix().is_some_and(|prefix| super::address::contains(ip.address, prefix, route.gateway))
            });
            if !reachable {
                let detail = format!(
                    "unreachable static route gateway '{}' specified for network '{}'",
                    route.gateway, self.name
                );
                return Err(unsupported(detail));
            }
        }
        Ok(())
    }

    /// What the driver supports. `is_virtual_function` answers for PCI functions of this host.
    ///
    /// # Errors
    /// CONFIG_UNSUPPORTED with libvirt's texts.
    pub fn validate(&self, is_virtual_function: impl Fn(PciAddress) -> bool) -> Result<()> {
        let own = self.has_own_bridge();
        if !own {
            self.check_host_side()?;
        }
        self.check_device_kinds()?;
        let (name, word) = (&self.name, self.mode_word());
        for (v6, family) in [(false, "IPv4"), (true, "IPv6")] {
            let services = self
                .ips
                .iter()
                .filter(|ip| ip.is_v6() == v6 && !(ip.dhcp.ranges.is_empty() && ip.dhcp.hosts.is_empty()));
            if services.count() > 1 {
                let detail = format!(
                    "Multiple {family} dhcp sections found -- dhcp is supported only for a single {family} address on each network"
                );
                return Err(unsupported(detail));
            }
        }
        self.check_portgroups()?;
        if self.bandwidth.is_some() && !self.allows_bandwidth() {
            return Err(unsupported(format!(
                "Unsupported network-wide <bandwidth> element in network {name} with forward mode='{word}'"
            )));
        }
        if self.mode() == Some(ForwardMode::Hostdev) {
            for device in self.forward.iter().flat_map(|f| &f.devices) {
                if let Device::Pci(pci) = device
                    && !is_virtual_function(*pci)
                {
                    let detail = format!(
                        "device '/sys/bus/pci/devices/{pci}' in network '{name}' is not an SR-IOV Virtual Function"
                    );
                    return Err(unsupported(detail));
                }
            }
        }
        Ok(())
    }

    /// Rates can be limited on the host's bridges only.
    fn allows_bandwidth(&self) -> bool {
        self.has_own_bridge() || self.mode() == Some(ForwardMode::Bridge) && self.bridge.name.is_some()
    }

    /// The host has no interface of its own in these networks.
    fn check_host_side(&self) -> Result<()> {
        let present = [
            ("mac", self.mac.is_some()),
            ("ip", !self.ips.is_empty()),
            ("dns", !(self.dns.txts.is_empty() && self.dns.hosts.is_empty() && self.dns.srvs.is_empty())),
            ("domain", self.domain.is_some()),
        ];
        match present.iter().find(|(_, present)| *present) {
            Some((element, _)) => {
                let detail = format!(
                    "Unsupported <{element}> element in network {} with forward mode='{}'",
                    self.name,
                    self.mode_word()
                );
                Err(unsupported(detail))
            }
            None => Ok(()),
        }
    }

    fn check_device_kinds(&self) -> Result<()> {
        let Some(forward) = &self.forward else { return Ok(()) };
        for device in &forward.devices {
            match (forward.mode, device) {
                (ForwardMode::Hostdev, Device::Interface(dev)) => {
                    return Err(unsupported(format!(
                        "hostdev network '{}' lists '{dev}' in the device pool, but hostdev networks require all devices to be listed by PCI address, not network device name",
                        self.name
                    )));
                }
                (ForwardMode::Hostdev, Device::Pci(_)) | (_, Device::Interface(_)) => {}
                (mode, Device::Pci(_)) => {
                    return Err(unsupported(format!(
                        "network '{}' has forward mode '{mode}' but lists a device by PCI address in the device pool. This is only supported for networks with forward mode 'hostdev'",
                        self.name
                    )));
                }
            }
        }
        Ok(())
    }

    fn check_portgroups(&self) -> Result<()> {
        let (name, word, mode) = (&self.name, self.mode_word(), self.mode());
        let open_vswitch =
            |port: Option<&super::VirtualPort>| port.is_some_and(|p| p.kind == Some(VirtualPortKind::OpenVSwitch));
        // VLAN tags are possible on devices handed to guests whole and on the administrator's bridges
        let devices_whole = matches!(mode, Some(ForwardMode::Hostdev | ForwardMode::Passthrough));
        let vlan_ok = |port: Option<&super::VirtualPort>| {
            devices_whole
                || mode == Some(ForwardMode::Bridge) && (open_vswitch(port) || port.is_none_or(|p| p.kind.is_none()))
        };
        let allowed = vlan_ok(self.virtualport.as_ref());
        let mut default: Option<&str> = None;
        let mut default_bad_vlan = false;
        for (at, group) in self.portgroups.iter().enumerate() {
            if self.portgroups[..at].iter().any(|g| g.name == group.name) {
                let detail =
                    format!("multiple <portgroup> elements with the same name ({}) in network '{name}'", group.name);
                return Err(unsupported(detail));
            }
            if group.default {
                if let Some(first) = default {
                    return Err(unsupported(format!(
                        "network '{name}' has multiple default <portgroup> elements ({first} and {}), but only one default is allowed",
                        group.name
                    )));
                }
                default = Some(&group.name);
            }
            if group.vlan.is_some() && !allowed && !vlan_ok(group.virtualport.as_ref()) {
                default_bad_vlan = true;
            }
            if group.bandwidth.is_some() && !self.allows_bandwidth() {
                return Err(unsupported(format!(
                    "Unsupported <bandwidth> element in network '{name}' in portgroup '{}' with forward mode='{word}'",
                    group.name
                )));
            }
        }
        if default_bad_vlan || self.vlan.is_some() && !allowed && default.is_none() {
            let detail =
                format!("<vlan> element specified for network {name}, whose type doesn't support vlan configuration");
            return Err(unsupported(detail));
        }
        Ok(())
    }
}
