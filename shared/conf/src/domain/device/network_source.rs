//! The network part of a disk source: hosts, credentials and what single protocols add.

use error::{Code, Domain, Error, Result};
use xml::{Node, Vocabulary, Writer};

use super::source::{
    Auth, AuthKind, NetworkHost, Protocol, Reconnect, Reservations, SecretRef, SshSource, StorageSource, Transport,
};
use crate::FormatFlags;
use crate::domain::fault::{unsupported, xml_error};

impl NetworkHost {
    /// Reads all `<host>` children of `node`.
    pub fn parse_all(node: Node<'_>) -> Result<Vec<Self>> {
        node.children("host").map(Self::parse).collect()
    }

    fn parse(node: Node<'_>) -> Result<Self> {
        let transport = match node.attr("transport") {
            None => Transport::Tcp,
            Some(_) => node.required_word("transport")?,
        };
        let (name, socket) = (node.string("name"), node.string("socket"));
        match (transport, &socket) {
            (Transport::Unix, None) => return Err(xml_error("missing socket for unix transport")),
            (Transport::Tcp | Transport::Rdma, Some(_)) => {
                return Err(xml_error(format!("transport '{transport}' does not support socket attribute")));
            }
            _ => {}
        }
        if transport != Transport::Unix && name.is_none() {
            return Err(xml_error("missing name for host"));
        }
        let port = match node.attr("port") {
            None => None,
            Some(text) => {
                let number = xml::parse_u64(text, 10)
                    .ok_or_else(|| xml_error(format!("failed to parse port number '{text}'")))?;
                let out = || Error::new(Domain::None, Code::InvalidArg, format!("port '{text}' out of range"));
                Some(u16::try_from(number).map(u32::from).map_err(|_| out())?)
            }
        };
        Ok(Self {
            transport,
            name: name.filter(|_| transport != Transport::Unix),
            port: port.filter(|_| transport != Transport::Unix),
            socket,
        })
    }

    fn format(&self, w: &mut Writer) {
        w.element("host", |w| {
            w.attr_opt("name", self.name.as_deref());
            w.attr_opt("port", self.port.filter(|p| *p > 0));
            w.attr_opt("transport", (self.transport != Transport::Tcp).then_some(self.transport));
            w.attr_opt("socket", self.socket.as_deref());
        });
    }

    /// Writes all hosts.
    pub fn format_all(w: &mut Writer, hosts: &[Self]) {
        hosts.iter().for_each(|h| h.format(w));
    }
}

impl Auth {
    /// Reads `<auth>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let storage = |text: &str| Error::new(Domain::Storage, Code::XmlError, text);
        let username = node.string("username").ok_or_else(|| storage("missing username for auth"))?;
        let kind = match node.attr("type") {
            None => None,
            Some(word) => {
                Some(AuthKind::from_word(word).ok_or_else(|| unsupported(format!("unknown auth type '{word}'")))?)
            }
        };
        let secret = node.child("secret").ok_or_else(|| storage("Missing <secret> element in auth"))?;
        const TYPES: [&str; 6] = ["none", "volume", "ceph", "iscsi", "tls", "vtpm"];
        if let Some(word) = secret.attr("type").filter(|t| !TYPES.contains(t)) {
            return Err(unsupported(format!("unknown secret type '{word}'")));
        }
        Ok(Self { username, kind, secret_type: secret.string("type"), secret: SecretRef::parse(secret)? })
    }

    /// Writes `<auth>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("auth", |w| {
            w.attr_opt("type", self.kind);
            w.attr("username", &self.username);
            w.element("secret", |w| {
                w.attr_opt("type", self.secret_type.as_deref());
                self.secret.format(w);
            });
        });
    }
}

impl Reconnect {
    /// Reads `<reconnect>`.
    pub fn parse(node: Option<Node<'_>>) -> Result<Self> {
        let Some(node) = node else { return Ok(Self::default()) };
        let enabled = node.yes_no("enabled")?;
        let timeout = if enabled == Some(true) { node.u32("timeout")? } else { None };
        Ok(Self { enabled, timeout })
    }

    /// Writes `<reconnect>` when something was said.
    pub fn format(&self, w: &mut Writer) {
        w.element_if_any("reconnect", |w| {
            w.yes_no("enabled", self.enabled);
            w.attr_opt("timeout", self.timeout.filter(|_| self.enabled == Some(true)));
        });
    }
}

impl Reservations {
    /// Reads `<reservations>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let managed = node.yes_no("managed")?;
        let source = node.child("source");
        let attr = |name| source.and_then(|s| s.string(name));
        if managed != Some(true) {
            let missing = |what| xml_error(format!("missing connection {what} for <reservations/>"));
            let kind = attr("type").ok_or_else(|| missing("type"))?;
            let path = attr("path").ok_or_else(|| missing("path"))?;
            let mode = attr("mode").ok_or_else(|| missing("mode"))?;
            if kind != "unix" {
                return Err(unsupported(format!("unsupported connection type for <reservations/>: {kind}")));
            }
            if mode != "client" {
                return Err(unsupported(format!("unsupported connection mode for <reservations/>: {mode}")));
            }
            return Ok(Self { managed, path: Some(path), mode: Some(mode) });
        }
        Ok(Self { managed, path: attr("path"), mode: attr("mode") })
    }

    /// Writes `<reservations>`; the socket of a managed one is private to the running guest.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("reservations", |w| {
            w.yes_no("managed", self.managed);
            let hide = self.managed == Some(true) && (flags.inactive || flags.migratable);
            if let Some(path) = self.path.as_deref().filter(|_| !hide) {
                w.element("source", |w| {
                    w.attr("type", "unix");
                    w.attr("path", path);
                    w.attr("mode", "client");
                });
            }
        });
    }
}

impl StorageSource {
    /// Reads what `<source>` says about a network image.
    pub(super) fn parse_network(&mut self, node: Node<'_>) -> Result<()> {
        let protocol: Protocol = match node.attr("protocol") {
            None if node.attributes().next().is_none() => return Ok(()),
            None => return Err(xml_error("missing network source protocol type")),
            Some(_) => node.required_word("protocol")?,
        };
        self.protocol = Some(protocol);
        let name = node.string("name");
        if name.is_none() && protocol != Protocol::Nbd {
            return Err(xml_error("missing name for disk source"));
        }
        self.path = name;
        self.tls = node.yes_no("tls")?;
        self.tls_hostname = node.string("tlsHostname");
        if matches!(protocol, Protocol::Http | Protocol::Https) {
            self.query = node.string("query");
        }
        if matches!(protocol, Protocol::Https | Protocol::Ftps)
            && let Some(ssl) = node.child("ssl")
        {
            self.ssl_verify = ssl.yes_no("verify")?;
        }
        self.hosts = NetworkHost::parse_all(node)?;
        self.snapshot = node.child("snapshot").and_then(|n| n.string("name"));
        self.config_file = node.child("config").and_then(|n| n.string("file"));
        if let Some(initiator) = node.child("initiator") {
            self.initiator_iqn = initiator.child("iqn").and_then(|n| n.string("name"));
        }
        if matches!(protocol, Protocol::Http | Protocol::Https)
            && let Some(cookies) = node.child("cookies")
        {
            self.cookies =
                cookies.children("cookie").map(|c| (c.attr("name").unwrap_or("").to_owned(), c.text())).collect();
        }
        if let Some(readahead) = node.child("readahead") {
            self.readahead = readahead.u64_nonzero("size")?;
        }
        if let Some(timeout) = node.child("timeout") {
            self.timeout = timeout.u64_nonzero("seconds")?;
        }
        if protocol == Protocol::Nbd
            && let Some(reconnect) = node.child("reconnect")
        {
            self.reconnect_delay = reconnect.u32("delay")?;
        }
        let identity = node.child("identity");
        if protocol == Protocol::Nfs {
            self.nfs_user = identity.and_then(|n| n.string("user"));
            self.nfs_group = identity.and_then(|n| n.string("group"));
        }
        if protocol == Protocol::Ssh {
            self.ssh = SshSource {
                known_hosts: node.child("knownHosts").and_then(|n| n.string("path")),
                username: identity.and_then(|n| n.string("username")),
                keyfile: identity.and_then(|n| n.string("keyfile")),
                agent_sock: identity.and_then(|n| n.string("agentsock")),
            };
        }
        Ok(())
    }

    pub(super) fn format_network_attributes(&self, w: &mut Writer) {
        w.attr_opt("protocol", self.protocol);
        w.attr_opt("name", self.path.as_deref());
        w.attr_opt("query", self.query.as_deref());
        w.yes_no("tls", self.tls);
        w.attr_opt("tlsHostname", self.tls_hostname.as_deref());
    }

    pub(super) fn format_network_children(&self, w: &mut Writer, flags: FormatFlags) {
        NetworkHost::format_all(w, &self.hosts);
        w.element_if_any("snapshot", |w| w.attr_opt("name", self.snapshot.as_deref()));
        w.element_if_any("config", |w| w.attr_opt("file", self.config_file.as_deref()));
        if let Some(iqn) = &self.initiator_iqn {
            w.element("initiator", |w| w.element("iqn", |w| w.attr("name", iqn)));
        }
        w.element_if_any("ssl", |w| w.yes_no("verify", self.ssl_verify));
        if flags.secure && !self.cookies.is_empty() {
            w.element("cookies", |w| {
                for (name, value) in &self.cookies {
                    w.leaf_with("cookie", |w| w.attr("name", name), value);
                }
            });
        }
        w.element_if_any("readahead", |w| w.attr_opt("size", self.readahead));
        w.element_if_any("timeout", |w| w.attr_opt("seconds", self.timeout));
        w.element_if_any("reconnect", |w| w.attr_opt("delay", self.reconnect_delay.filter(|d| *d > 0)));
        w.element_if_any("knownHosts", |w| w.attr_opt("path", self.ssh.known_hosts.as_deref()));
        w.element_if_any("identity", |w| {
            w.attr_opt("user", self.nfs_user.as_deref());
            w.attr_opt("group", self.nfs_group.as_deref());
            w.attr_opt("username", self.ssh.username.as_deref());
            w.attr_opt("keyfile", self.ssh.keyfile.as_deref());
            w.attr_opt("agentsock", self.ssh.agent_sock.as_deref());
        });
    }
}
