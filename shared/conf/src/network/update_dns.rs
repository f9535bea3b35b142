//! `virNetworkUpdate` of DNS records.

use error::Result;
use xml::Node;

use super::NetworkDef;
use super::dns::{DnsHost, Srv, Txt};
use super::update::{Command, impossible, insert, invalid};

impl NetworkDef {
    pub(super) fn update_dns_host(&mut self, command: Command, node: Node<'_>) -> Result<()> {
        let name = self.name.clone();
        let host = DnsHost::parse(node, &name, matches!(command, Command::Delete | Command::Modify))?;
        if command == Command::Modify && host.names.is_empty() {
            return Err(super::detail(format!("Missing hostname in network '{name}' DNS HOST record")));
        }
        let adds = matches!(command, Command::AddFirst | Command::AddLast);
        let hosts = &mut self.dns.hosts;
        // a name may have several addresses, so only records about the same address stand against a new one
        let matches = |o: &DnsHost| {
            host.ip.is_some() && host.ip == o.ip || !adds && host.names.iter().any(|n| o.names.contains(n))
        };
        let mut found = hosts.iter().enumerate().filter(|(_, o)| matches(o));
        let (first, more) = (found.next().map(|(at, _)| at), found.next().is_some());
        match (command, first) {
            (Command::AddFirst | Command::AddLast, Some(_)) => Err(invalid(format!(
                "there is already at least one DNS HOST record with a matching field in network {name}"
            ))),
            (Command::AddFirst | Command::AddLast, None) => {
                insert(hosts, command, host);
                Ok(())
            }
            (_, None) => Err(invalid(format!("couldn't locate a matching DNS HOST record in network {name}"))),
            (_, Some(_)) if more => {
                Err(invalid(format!("multiple matching DNS HOST records were found in network {name}")))
            }
            (Command::Modify, Some(at)) => {
                hosts[at] = host;
                Ok(())
            }
            (Command::Delete, Some(at)) => {
                hosts.remove(at);
                Ok(())
            }
        }
    }

    pub(super) fn update_dns_txt(&mut self, command: Command, node: Node<'_>) -> Result<()> {
        let name = self.name.clone();
        let txt = Txt::parse(node, &name, matches!(command, Command::Delete | Command::Modify))?;
        let txts = &mut self.dns.txts;
        let at = txts.iter().position(|o| o.name == txt.name);
        match (command, at) {
            (Command::AddFirst | Command::AddLast, Some(_)) => {
                Err(invalid(format!("there is already a DNS TXT record with name '{}' in network {name}", txt.name)))
            }
            (Command::AddFirst | Command::AddLast, None) => {
                insert(txts, command, txt);
                Ok(())
            }
            (Command::Modify, Some(_)) if txt.value.is_none() => {
                Err(invalid(format!("missing value of modifying DNS TXT record in network {name}")))
            }
            (Command::Modify, Some(at)) => {
                txts[at] = txt;
                Ok(())
            }
            (Command::Delete, Some(at)) => {
                txts.remove(at);
                Ok(())
            }
            (_, None) => Err(invalid(format!("couldn't locate a matching DNS TXT record in network {name}"))),
        }
    }

    pub(super) fn update_dns_srv(&mut self, command: Command, node: Node<'_>) -> Result<()> {
        let name = self.name.clone();
        let srv = Srv::parse(node, &name, command == Command::Delete)?;
        if command == Command::Modify {
            return Err(impossible("DNS SRV records cannot be modified, only added or deleted"));
        }
        let srvs = &mut self.dns.srvs;
        let text = |mine: &Option<String>, other: &Option<String>| mine.is_none() || mine == other;
        let number = |mine: u16, other: u16| mine == 0 || mine == other;
        let mut found = srvs.iter().enumerate().filter(|(_, o)| {
            text(&srv.domain, &o.domain)
                && text(&srv.service, &o.service)
                && text(&srv.protocol, &o.protocol)
                && text(&srv.target, &o.target)
                && number(srv.port, o.port)
                && number(srv.priority, o.priority)
                && number(srv.weight, o.weight)
        });
        let (first, more) = (found.next().map(|(at, _)| at), found.next().is_some());
        match (command, first) {
            (Command::Delete, None) => {
                Err(invalid(format!("couldn't locate a matching DNS SRV record in network {name}")))
            }
            (Command::Delete, Some(_)) if more => Err(invalid(format!(
                "multiple DNS SRV records matching all specified fields were found in network {name}"
            ))),
            (Command::Delete, Some(at)) => {
                srvs.remove(at);
                Ok(())
            }
            (_, Some(_)) => Err(invalid(format!(
                "there is already at least one DNS SRV record matching all specified fields in network {name}"
            ))),
            (_, None) => {
                insert(srvs, command, srv);
                Ok(())
            }
        }
    }
}
