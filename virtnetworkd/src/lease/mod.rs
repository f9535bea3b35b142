//! DHCP leases: the record in libvirt's JSON form, one file a bridge.

pub mod helper;

use std::io;
use std::net::IpAddr;
use std::path::Path;

use conf::network::NetworkDef;
use conf::network::address::contains;
use serde::{Deserialize, Serialize};

/// Largest record that is read; a /16 full of leases has some 15 MiB.
const RECORD_MAX: u64 = 32 << 20;

/// One lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lease {
    /// IPv6: identity association.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iaid: Option<String>,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// DHCP client id, IPv6: DUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// IPv6: DUID of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_duid: Option<String>,
    /// End of the lease in seconds since 1970; 0 is never.
    #[serde(default)]
    pub expiry_time: i64,
}

impl Lease {
    /// Whether the lease holds at `now` (seconds since 1970).
    pub fn is_valid(&self, now: i64) -> bool {
        self.expiry_time == 0 || self.expiry_time >= now
    }
}

/// Reads a record. None is an empty one.
///
/// # Errors
/// What the file system says; `InvalidData` for what is no record.
pub fn read(path: &Path) -> io::Result<Vec<Lease>> {
    let bytes = match object::file::read_limited(path, RECORD_MAX) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

/// Replaces a record in one step.
///
/// # Errors
/// What the file system says.
pub fn write(path: &Path, leases: &[Lease]) -> io::Result<()> {
    object::file::write_atomic(path, json(&leases).as_bytes(), 0o644)
}

/// Pretty JSON with a line end, as libvirt's.
pub fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    // libvirt's writer breaks the line of an empty list too
    if text == "[]" { "[\n]\n".to_owned() } else { text + "\n" }
}

/// Prefix length of the network that `ip` belongs to.
pub fn prefix(def: &NetworkDef, ip: IpAddr) -> u32 {
    let of = |v6: bool| def.ips.iter().filter(move |i| i.is_v6() == v6);
    let inside = of(ip.is_ipv6()).find(|i| i.effective_prefix().is_some_and(|p| contains(i.address, p, ip)));
    inside.or_else(|| of(ip.is_ipv6()).next()).and_then(|i| i.effective_prefix()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_libvirts_form_and_comes_back() {
        let lease = Lease {
            ip_address: Some("192.168.9.7".into()),
            mac_address: Some("52:54:00:00:00:01".into()),
            hostname: Some("a\"b\\;$(x)\n".into()),
            expiry_time: 1_800_000_000,
            ..Lease::default()
        };
        let text = json(&std::slice::from_ref(&lease));
        let expected = "[\n  {\n    \"ip-address\": \"192.168.9.7\",\n    \"mac-address\": \"52:54:00:00:00:01\",\n    \
            \"hostname\": \"a\\\"b\\\\;$(x)\\n\",\n    \"expiry-time\": 1800000000\n  }\n]\n";
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Vec<Lease>>(&text).unwrap(), [lease]);
        assert_eq!(json(&Vec::<Lease>::new()), "[\n]\n");
    }

    #[test]
    fn a_missing_or_empty_record_has_no_leases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("br0.status");
        assert!(read(&path).unwrap().is_empty());
        std::fs::write(&path, "").unwrap();
        assert!(read(&path).unwrap().is_empty());
        std::fs::write(&path, "{ not a list").unwrap();
        assert!(read(&path).is_err());
    }
}
