//! Who calls: what the kernel, a login or a sibling daemon says about a client.

use error::{Code, Domain, Error};
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
const KNOWN: [(&str, &str); 10] = [
    (field::USER_NAME, "string"),
    (field::UNIX_USER_ID, "ullong"),
    (field::GROUP_NAME, "string"),
    (field::UNIX_GROUP_ID, "ullong"),
    (field::PROCESS_ID, "llong"),
    (field::PROCESS_TIME, "ullong"),
    (field::SASL_USER_NAME, "string"),
    (field::X509_DISTINGUISHED_NAME, "string"),
    (field::SELINUX_CONTEXT, "string"),
    (field::SYSTEM_TOKEN, "string"),
];

/// A value's type as libvirt's messages name it.
fn type_name(value: &TypedParamValue) -> &'static str {
    match value {
        TypedParamValue::Int(_) => "int",
        TypedParamValue::Uint(_) => "uint",
        TypedParamValue::Llong(_) => "llong",
        TypedParamValue::Ullong(_) => "ullong",
        TypedParamValue::Double(_) => "double",
        TypedParamValue::Boolean(_) => "boolean",
        TypedParamValue::String(_) => "string",
    }
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

    /// An identity that a sibling daemon hands over.
    ///
    /// # Errors
    /// libvirt's for parts that are unknown, of the wrong type, or there twice.
    pub fn from_params(params: Vec<TypedParam>) -> error::Result<Self> {
        for (at, param) in params.iter().enumerate() {
            let name = &param.field;
            let Some((_, wanted)) = KNOWN.iter().find(|(known, _)| known == name) else {
                let text = format!("parameter '{name}' not supported");
                return Err(Error::new(Domain::None, Code::ArgumentUnsupported, text));
            };
            let found = type_name(&param.value);
            if *wanted != found {
                let text = format!("invalid type '{found}' for parameter '{name}', expected '{wanted}'");
                return Err(Error::new(Domain::None, Code::InvalidArg, text));
            }
            if params[..at].iter().any(|other| other.field == *name) {
                let text = format!("parameter '{name}' occurs multiple times");
                return Err(Error::new(Domain::None, Code::InvalidArg, text));
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
            (TypedParam::string("shoe-size", "44"), "argument unsupported: parameter 'shoe-size' not supported"),
            (
                TypedParam::string(field::UNIX_USER_ID, "0"),
                "invalid argument: invalid type 'string' for parameter 'unix-user-id', expected 'ullong'",
            ),
            (
                TypedParam::int(field::PROCESS_ID, 1),
                "invalid argument: invalid type 'int' for parameter 'process-id', expected 'llong'",
            ),
        ];
        for (param, text) in rows {
            assert_eq!(Identity::from_params(vec![param]).unwrap_err().message, text);
        }
        let twice = vec![TypedParam::string(field::USER_NAME, "a"), TypedParam::string(field::USER_NAME, "b")];
        let text = "invalid argument: parameter 'user-name' occurs multiple times";
        assert_eq!(Identity::from_params(twice).unwrap_err().message, text);
    }

    #[test]
    fn the_token_is_a_text() {
        let identity = Identity::default().with_text(field::SYSTEM_TOKEN, "a").with_text(field::SYSTEM_TOKEN, "b");
        assert_eq!(identity.system_token(), Some("b"));
        assert_eq!(identity.params().len(), 1);
    }
}
