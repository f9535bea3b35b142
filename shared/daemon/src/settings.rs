//! The settings that all daemons share, from the daemon's configuration file, with libvirt's defaults.

use crate::config::{File, Result};
use crate::spec::Kind;

/// How a client of a socket proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The permissions of the socket are enough.
    None,
    /// By SASL.
    Sasl,
    /// By polkit, unless the client is root.
    Polkit,
}

/// Limits of one server object ("virtqemud" or "admin").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Workers that libvirt would start at once; reported, no threads stand behind it.
    pub min_workers: u32,
    /// Most calls served at a time for ordinary procedures.
    pub max_workers: u32,
    /// As before, for procedures of high priority.
    pub prio_workers: u32,
    /// Most connected clients.
    pub max_clients: u32,
    /// Most clients that have not authenticated yet; 0 = as `max_clients`.
    pub max_anonymous_clients: u32,
    /// Backlog of a listening socket.
    pub max_queued_clients: u32,
    /// Most calls of one client in progress.
    pub max_client_requests: u32,
    /// Seconds of silence before a client is asked for a sign of life; -1 = never.
    pub keepalive_interval: i32,
    /// How often it is asked in vain.
    pub keepalive_count: u32,
}

/// What the daemon's file said, or would have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Group of the sockets the daemon makes itself.
    pub unix_sock_group: Option<String>,
    /// Mode of the read-only socket.
    pub unix_sock_ro_perms: u32,
    /// Mode of the main socket.
    pub unix_sock_rw_perms: u32,
    /// Mode of the admin socket.
    pub unix_sock_admin_perms: u32,
    /// Folder of the sockets, when not the usual one.
    pub unix_sock_dir: Option<String>,
    /// Authentication on the read-only socket.
    pub auth_unix_ro: Auth,
    /// Authentication on the main socket.
    pub auth_unix_rw: Auth,
    /// Access control drivers: none or "polkit".
    pub access_drivers: Vec<String>,
    /// SASL names that may enter; `None` = all.
    pub sasl_allowed_username_list: Option<Vec<String>>,
    /// Limits of the main server.
    pub limits: Limits,
    /// Limits of the admin server.
    pub admin_limits: Limits,
    /// Lowest level that is logged: 1 debug, 2 info, 3 warning, 4 error. `None` = 3.
    pub log_level: Option<u32>,
    /// Levels by source, `LEVEL:MATCH` separated by blanks.
    pub log_filters: Option<String>,
    /// Where the log goes.
    pub log_outputs: Option<String>,
    /// UUID of the host, when set by hand.
    pub host_uuid: Option<String>,
    /// Where the UUID of the host comes from: "smbios" or "machine-id".
    pub host_uuid_source: String,
    /// Settings of the TCP and TLS sockets (virtproxyd).
    pub ip: IpSettings,
}

/// Settings of TCP and TLS sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the configuration keys")]
pub struct IpSettings {
    pub listen_tls: bool,
    pub listen_tcp: bool,
    pub tls_port: String,
    pub tcp_port: String,
    pub listen_addr: Option<String>,
    pub auth_tcp: Auth,
    pub auth_tls: Auth,
    pub tcp_min_ssf: u32,
    pub key_file: Option<String>,
    pub cert_file: Option<String>,
    pub ca_file: Option<String>,
    pub crl_file: Option<String>,
    pub tls_no_sanity_certificate: bool,
    pub tls_no_verify_certificate: bool,
    pub tls_allowed_dn_list: Option<Vec<String>>,
    pub tls_priority: Option<String>,
}

impl Settings {
    /// Reads the settings of a daemon of this kind.
    pub fn read(file: &File, kind: Kind, privileged: bool) -> Result<Settings> {
        let helper = kind == Kind::Helper;
        let standard_auth = if privileged && !helper { Auth::Polkit } else { Auth::None };
        let auth_unix_rw = auth(file, "auth_unix_rw", standard_auth)?;
        let rw_perms = if auth_unix_rw == Auth::Polkit { 0o777 } else { 0o700 };
        let requests = if helper { 1 } else { 5 };
        Ok(Settings {
            unix_sock_group: file.string("unix_sock_group")?,
            unix_sock_ro_perms: perms(file, "unix_sock_ro_perms", 0o777)?,
            unix_sock_rw_perms: perms(file, "unix_sock_rw_perms", rw_perms)?,
            unix_sock_admin_perms: perms(file, "unix_sock_admin_perms", 0o700)?,
            unix_sock_dir: file.string("unix_sock_dir")?,
            auth_unix_ro: auth(file, "auth_unix_ro", standard_auth)?,
            auth_unix_rw,
            access_drivers: access_drivers(file)?,
            sasl_allowed_username_list: file.list_or_string("sasl_allowed_username_list")?,
            limits: Limits {
                min_workers: file.uint("min_workers")?.unwrap_or(if helper { 0 } else { 5 }),
                max_workers: file.uint("max_workers")?.unwrap_or(if helper { 0 } else { 20 }),
                prio_workers: file.uint("prio_workers")?.unwrap_or(if helper { 0 } else { 5 }),
                max_clients: at_least_one(file, "max_clients", if helper { 1024 } else { 5000 })?,
                max_anonymous_clients: file.uint("max_anonymous_clients")?.unwrap_or(if helper { 0 } else { 20 }),
                max_queued_clients: file.uint("max_queued_clients")?.unwrap_or(1000),
                max_client_requests: at_least_one(file, "max_client_requests", requests)?,
                keepalive_interval: file.int("keepalive_interval")?.unwrap_or(5),
                keepalive_count: file.uint("keepalive_count")?.unwrap_or(5),
            },
            admin_limits: Limits {
                min_workers: file.uint("admin_min_workers")?.unwrap_or(5),
                max_workers: file.uint("admin_max_workers")?.unwrap_or(20),
                prio_workers: 0,
                max_clients: at_least_one(file, "admin_max_clients", 5000)?,
                max_anonymous_clients: 0,
                max_queued_clients: file.uint("admin_max_queued_clients")?.unwrap_or(20),
                max_client_requests: at_least_one(file, "admin_max_client_requests", 5)?,
                keepalive_interval: file.int("admin_keepalive_interval")?.unwrap_or(5),
                keepalive_count: file.uint("admin_keepalive_count")?.unwrap_or(5),
            },
            log_level: file.uint("log_level")?,
            log_filters: file.string("log_filters")?,
            log_outputs: file.string("log_outputs")?,
            host_uuid: file.string("host_uuid")?,
            host_uuid_source: file.string("host_uuid_source")?.unwrap_or_else(|| "smbios".into()),
            ip: IpSettings::read(file)?,
        })
    }
}

impl IpSettings {
    fn read(file: &File) -> Result<IpSettings> {
        let settings = IpSettings {
            listen_tls: file.bool("listen_tls")?.unwrap_or(false),
            listen_tcp: file.bool("listen_tcp")?.unwrap_or(false),
            tls_port: file.string("tls_port")?.unwrap_or_else(|| "16514".into()),
            tcp_port: file.string("tcp_port")?.unwrap_or_else(|| "16509".into()),
            listen_addr: file.string("listen_addr")?,
            auth_tcp: auth(file, "auth_tcp", Auth::Sasl)?,
            auth_tls: auth(file, "auth_tls", Auth::None)?,
            tcp_min_ssf: file.uint("tcp_min_ssf")?.unwrap_or(56),
            key_file: file.string("key_file")?,
            cert_file: file.string("cert_file")?,
            ca_file: file.string("ca_file")?,
            crl_file: file.string("crl_file")?,
            tls_no_sanity_certificate: file.bool("tls_no_sanity_certificate")?.unwrap_or(false),
            tls_no_verify_certificate: file.bool("tls_no_verify_certificate")?.unwrap_or(false),
            tls_allowed_dn_list: file.list_or_string("tls_allowed_dn_list")?,
            tls_priority: file.string("tls_priority")?,
        };
        if settings.tcp_min_ssf < 56 {
            // libvirt's own floor: less could be had by a typing error.
            return Err(file.invalid("tcp_min_ssf", "minimum must be 56 or more"));
        }
        Ok(settings)
    }
}

fn auth(file: &File, key: &str, default: Auth) -> Result<Auth> {
    match file.string(key)?.as_deref() {
        None => Ok(default),
        Some("none") => Ok(Auth::None),
        Some("sasl") => Ok(Auth::Sasl),
        Some("polkit") => Ok(Auth::Polkit),
        Some(other) => Err(file.invalid(key, format!("unsupported auth {other}"))),
    }
}

fn perms(file: &File, key: &str, default: u32) -> Result<u32> {
    let Some(text) = file.string(key)? else { return Ok(default) };
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(file.invalid(key, format!("Failed to parse mode '{text}'"))),
    }
}

fn access_drivers(file: &File) -> Result<Vec<String>> {
    let drivers = file.list("access_drivers")?.unwrap_or_default();
    match drivers.iter().find(|name| !matches!(name.as_str(), "none" | "polkit")) {
        Some(other) => Err(file.invalid("access_drivers", format!("Unsupported access driver '{other}'"))),
        None => Ok(drivers.into_iter().filter(|name| name != "none").collect()),
    }
}

/// A limit of 0 would lock everybody out.
fn at_least_one(file: &File, key: &str, default: u32) -> Result<u32> {
    match file.uint(key)? {
        Some(0) => Err(file.invalid(key, "must be greater than zero")),
        Some(number) => Ok(number),
        None => Ok(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, kind: Kind, privileged: bool) -> Result<Settings> {
        Settings::read(&File::parse_named(text, "t.conf").unwrap(), kind, privileged)
    }

    #[test]
    fn defaults_are_libvirts() {
        let system = read("", Kind::Driver, true).unwrap();
        assert_eq!((system.auth_unix_rw, system.auth_unix_ro), (Auth::Polkit, Auth::Polkit));
        assert_eq!((system.unix_sock_rw_perms, system.unix_sock_ro_perms), (0o777, 0o777));
        assert_eq!(system.limits.max_clients, 5000);
        assert_eq!(system.limits.max_client_requests, 5);
        assert_eq!(system.admin_limits.max_queued_clients, 20);
        let session = read("", Kind::Driver, false).unwrap();
        assert_eq!((session.auth_unix_rw, session.unix_sock_rw_perms), (Auth::None, 0o700));
        let helper = read("", Kind::Helper, true).unwrap();
        assert_eq!((helper.limits.max_clients, helper.limits.max_workers), (1024, 0));
        assert_eq!((helper.auth_unix_rw, helper.unix_sock_rw_perms), (Auth::None, 0o700));
    }

    #[test]
    fn values_are_taken_and_checked() {
        let set = read(
            "auth_unix_rw = \"none\"\nunix_sock_rw_perms = \"0770\"\nmax_clients = 7\naccess_drivers = [ \"polkit\" ]\n\
             keepalive_interval = -1",
            Kind::Driver,
            true,
        )
        .unwrap();
        assert_eq!((set.auth_unix_rw, set.unix_sock_rw_perms, set.limits.max_clients), (Auth::None, 0o770, 7));
        assert_eq!((set.limits.keepalive_interval, set.access_drivers), (-1, vec!["polkit".to_owned()]));
        for bad in [
            "auth_unix_rw = \"magic\"",
            "unix_sock_rw_perms = \"0999\"",
            "unix_sock_rw_perms = \"7777\"",
            "unix_sock_rw_perms = 7",
            "max_clients = 0",
            "max_clients = \"many\"",
            "access_drivers = [ \"x\" ]",
            "tcp_min_ssf = 1",
        ] {
            assert!(read(bad, Kind::Driver, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_files_that_are_installed_say_what_they_mean() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../etc");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                File::parse(&text).unwrap().keys().next().is_none(),
                "{}: all defaults are comments",
                path.display()
            );
            // Every commented default is a valid setting.
            let is_setting = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            let set: String = text
                .lines()
                .filter_map(|line| line.strip_prefix('#').filter(|rest| is_setting(rest)))
                .map(|line| format!("{line}\n"))
                .collect();
            let file = File::parse_named(&set, &path.display().to_string()).unwrap();
            assert!(file.keys().next().is_some(), "{}", path.display());
            Settings::read(&file, Kind::Driver, true).unwrap();
            seen += 1;
        }
        assert_eq!(seen, 9);
    }
}
