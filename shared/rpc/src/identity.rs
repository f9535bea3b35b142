//! Who calls: what the kernel, a login or a sibling daemon says about a client.

use protocol::remote::{TypedParam, TypedParamValue};

/// The process at the other end of a UNIX socket, as the kernel noted it at connect.
pub use host::socket::PeerCredentials;

/// Names of the parts of an identity.
pub mod field {
    /// Login name of the user.
    pub const USER_NAME: &str = "user-name";
    /// User id.
    pub const UNIX_USER_ID: &str = "unix-user-id";
    /// Name of the group.
    pub const GROUP_NAME: &str = "group-name";
    /// Group id.
    pub const UNIX_GROUP_ID: &str = "unix-group-id";
    /// Process id.
    pub const PROCESS_ID: &str = "process-id";
    /// Start time of the process, in clock ticks since boot.
    pub const PROCESS_TIME: &str = "process-time";
    /// Name of a SASL login.
    pub const SASL_USER_NAME: &str = "sasl-user-name";
    /// Distinguished name of a TLS client's certificate.
    pub const X509_DISTINGUISHED_NAME: &str = "x509-distinguished-name";
    /// SELinux label of the process.
    pub const SELINUX_CONTEXT: &str = "selinux-context";
    /// Proof of being one of the host's daemons.
    pub const SYSTEM_TOKEN: &str = "system.token";
}

/// Name and value type of each known part, as libvirt sends them.
const KNOWN: [(&str, Kind); 10] = [
    (field::USER_NAME, Kind::Text),
    (field::UNIX_USER_ID, Kind::Unsigned),
    (field::GROUP_NAME, Kind::Text),
    (field::UNIX_GROUP_ID, Kind::Unsigned),
    (field::PROCESS_ID, Kind::Signed),
    (field::PROCESS_TIME, Kind::Unsigned),
    (field::SASL_USER_NAME, Kind::Text),
    (field::X509_DISTINGUISHED_NAME, Kind::Text),
    (field::SELINUX_CONTEXT, Kind::Text),
    (field::SYSTEM_TOKEN, Kind::Text),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Signed,
    Unsigned,
}

/// What is known about a caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identity {
    parts: Vec<TypedParam>,
}

impl Identity {
    /// The identity of a local process.
    pub fn of_peer(peer: &PeerCredentials, start_time: Option<u64>) -> Self {
        let mut parts = vec![
            TypedParam::ullong(field::UNIX_USER_ID, peer.uid.into()),
            TypedParam::ullong(field::UNIX_GROUP_ID, peer.gid.into()),
            TypedParam::llong(field::PROCESS_ID, peer.pid.into()),
        ];
        parts.extend(start_time.map(|time| TypedParam::ullong(field::PROCESS_TIME, time)));
        Identity { parts }
    }

    /// An identity that a sibling daemon hands over; `Err` names a part that is unknown, of the wrong type, or there twice.
    pub fn from_params(params: Vec<TypedParam>) -> Result<Self, String> {
        for (at, param) in params.iter().enumerate() {
            let kind = match &param.value {
                TypedParamValue::String(_) => Kind::Text,
                TypedParamValue::Llong(_) => Kind::Signed,
                TypedParamValue::Ullong(_) => Kind::Unsigned,
                _ => return Err(param.field.clone()),
            };
            let known = KNOWN.iter().any(|(name, of)| *name == param.field && *of == kind);
            if !known || params[..at].iter().any(|other| other.field == param.field) {
                return Err(param.field.clone());
            }
        }
        Ok(Identity { parts: params })
    }

    /// The parts as they travel between daemons.
    pub fn params(&self) -> &[TypedParam] {
        &self.parts
    }

    /// A part that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|part| part.field == name).and_then(|part| match &part.value {
            TypedParamValue::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A part that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.parts.iter().find(|part| part.field == name).and_then(|part| match part.value {
            TypedParamValue::Ullong(number) => Some(number),
            TypedParamValue::Llong(number) => u64::try_from(number).ok(),
            _ => None,
        })
    }

    /// The caller's user id.
    pub fn user_id(&self) -> Option<u32> {
        self.number(field::UNIX_USER_ID).and_then(|id| u32::try_from(id).ok())
    }

    /// The token by which a daemon of this host proves itself.
    pub fn system_token(&self) -> Option<&str> {
        self.text(field::SYSTEM_TOKEN)
    }

    /// The same identity with a text part added or replaced.
    pub fn with_text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parts.retain(|part| part.field != name);
        self.parts.push(TypedParam::string(name, value));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_checked() {
        let good = Identity::of_peer(&PeerCredentials { pid: 7, uid: 1000, gid: 100 }, Some(99));
        assert_eq!(Identity::from_params(good.params().to_vec()).unwrap(), good);
        assert_eq!((good.user_id(), good.number(field::PROCESS_ID)), (Some(1000), Some(7)));
        let rows = [
            vec![TypedParam::string("shoe-size", "44")],
            vec![TypedParam::string(field::UNIX_USER_ID, "0")],
            vec![TypedParam::int(field::PROCESS_ID, 1)],
            vec![TypedParam::string(field::USER_NAME, "a"), TypedParam::string(field::USER_NAME, "b")],
        ];
        for row in rows {
            let name = row[0].field.clone();
            assert_eq!(Identity::from_params(row).unwrap_err(), name);
        }
    }

    #[test]
    fn the_token_is_a_text() {
        let identity = Identity::default().with_text(field::SYSTEM_TOKEN, "a").with_text(field::SYSTEM_TOKEN, "b");
        assert_eq!(identity.system_token(), Some("b"));
        assert_eq!(identity.params().len(), 1);
    }
}
