//! Connection URIs as clients send them: scheme, path, query.

use error::{Code, Domain, Error};

/// A parsed connection URI, such as `qemu:///system?socket=/run/x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectUri {
    /// Driver scheme, without a transport suffix.
    pub scheme: String,
    /// Path, with its leading slash; empty when absent.
    pub path: String,
}

/// The text names no driver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("URI '{0}' does not include a driver name")]
pub struct UriError(String);

impl From<UriError> for Error {
    fn from(error: UriError) -> Error {
        Error::new(Domain::None, Code::NoConnect, error.to_string())
    }
}

impl ConnectUri {
    /// Takes a URI apart; host and query do not matter to a daemon.
    pub fn parse(text: &str) -> Result<ConnectUri, UriError> {
        let bad = || UriError(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(bad)?;
        let scheme = scheme.split('+').next().unwrap_or_default();
        let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.chars().all(letters) {
            return Err(bad());
        }
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let path = match rest.strip_prefix("//") {
            Some(authority) => authority.find('/').map_or("", |at| &authority[at..]),
            None => rest,
        };
        Ok(ConnectUri { scheme: scheme.to_ascii_lowercase(), path: path.to_owned() })
    }

    /// Refuses paths that a daemon does not serve. `both`: the system's daemon serves `/session` too.
    pub fn check_path(&self, privileged: bool, both: bool) -> error::Result<()> {
        let own = if privileged { "/system" } else { "/session" };
        if self.path == own || (both && privileged && self.path == "/session") {
            return Ok(());
        }
        let ConnectUri { scheme, path } = self;
        let text = format!("unexpected {scheme} URI path '{path}', try {scheme}://{own}");
        Err(Error::new(Domain::None, Code::InternalError, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart() {
        let rows = [
            ("qemu:///system", "qemu", "/system"),
            ("qemu+unix:///session?socket=/a/b", "qemu", "/session"),
            ("xen://host/system", "xen", "/system"),
            ("QEMU://host", "qemu", ""),
            ("test:/default", "test", "/default"),
        ];
        for (text, scheme, path) in rows {
            let uri = ConnectUri::parse(text).unwrap();
            assert_eq!((uri.scheme.as_str(), uri.path.as_str()), (scheme, path), "{text}");
        }
        for text in ["", "qemu", ":///system", "9p:///x", "a b:///x"] {
            assert!(ConnectUri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_checked() {
        let check = |path: &str, privileged, both| {
            ConnectUri::parse(&format!("qemu://{path}")).unwrap().check_path(privileged, both).map_err(|e| e.message)
        };
        assert!(check("/system", true, false).is_ok());
        assert!(check("/session", true, true).is_ok());
        assert!(check("/session", false, true).is_ok());
        let text = "internal error: unexpected qemu URI path '/x', try qemu:///system";
        assert_eq!(check("/x", true, true).unwrap_err(), text);
        let text = "internal error: unexpected qemu URI path '/system', try qemu:///session";
        assert_eq!(check("/system", false, true).unwrap_err(), text);
    }
}
