//! Which strings may reach a line of a generated file.
//!
//! A network's strings end in dnsmasq's files, nft's batch and file names, where a line end begins a new directive. Such characters are refused when the
//! document is read; libvirt takes them (CVE-2026-61477 shows where that leads).

use error::{Code, Domain, Error, Result};

use super::{NetworkDef, xml_error};

fn illegal(what: &str, c: char) -> Error {
    let message = format!("invalid char in {what}: {c}");
    Error::new(Domain::Xml, Code::XmlDetail, message)
}

fn check(what: &str, text: &str, more: &[char]) -> Result<()> {
    match text.chars().find(|c| c.is_control() || more.contains(c)) {
        Some(c) => Err(illegal(what, c)),
        None => Ok(()),
    }
}

/// Characters that end or split a field of dnsmasq's configuration.
const FIELD: &[char] = &[',', '/', '#', '"', '\\', ' '];

impl NetworkDef {
    /// Refuses strings that would not stay one field of one line.
    ///
    /// # Errors
    /// XML_ERROR naming the place.
    pub(super) fn check_lines(&self) -> Result<()> {
        check("name", &self.name, &['/'])?;
        if self.name == "." || self.name == ".." {
            return Err(xml_error(format!("invalid network name '{}'", self.name)));
        }
        if self.title.as_deref().is_some_and(|t| t.contains('\n')) {
            return Err(xml_error("Network title can't contain newlines"));
        }
        // a bridge name is a device name: the kernel takes neither '/' nor white space
        if let Some(name) = &self.bridge.name {
            check("bridge name", name, &['/', ' ', '"', '\\', '\'', '{', '}', ';', '#', ','])?;
        }
        if let Some(domain) = &self.domain {
            check("domain name", &domain.name, FIELD)?;
        }
        for device in self.forward.iter().flat_map(|f| &f.devices) {
            if let super::forward::Device::Interface(name) = device {
                check("forward dev", name, &['/', ' ', '"', '\\', '\'', '{', '}', ';', '#', ','])?;
            }
        }
        for forwarder in &self.dns.forwarders {
            check("forwarder domain", forwarder.domain.as_deref().unwrap_or_default(), FIELD)?;
        }
        for txt in &self.dns.txts {
            check("DNS TXT record name", &txt.name, &[',', '"', '\\', '#'])?;
            check("DNS TXT record value", txt.value.as_deref().unwrap_or_default(), &[])?;
        }
        for srv in &self.dns.srvs {
            check("DNS SRV record domain", srv.domain.as_deref().unwrap_or_default(), FIELD)?;
            check("DNS SRV record target", srv.target.as_deref().unwrap_or_default(), FIELD)?;
        }
        for name in self.dns.hosts.iter().flat_map(|h| &h.names) {
            check("DNS HOST record hostname", name, &['#', ' '])?;
        }
        for ip in &self.ips {
            check("tftp root", ip.tftp_root.as_deref().unwrap_or_default(), &[])?;
            for host in &ip.dhcp.hosts {
                check("dhcp host name", host.name.as_deref().unwrap_or_default(), FIELD)?;
            }
            if let Some(bootp) = &ip.dhcp.bootp {
                check("bootp file", &bootp.file, &[])?;
            }
        }
        for option in &self.dnsmasq_options {
            check("dnsmasq option", option, &[])?;
        }
        Ok(())
    }
}
