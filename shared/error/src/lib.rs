//! libvirt's error: domain, code, level, message.
//!
//! Clients and scripts match on these numbers and texts, so both come from tables
//! (`shared/protocol/tables/errors.json`). Each daemon turns the errors of its crates into this
//! type in one place.

mod generated;

pub use generated::{Code, Domain};

use std::fmt;

/// Shorthand for results that reach a client.
pub type Result<T> = std::result::Result<T, Error>;

/// `VIR_ERR_ERROR`: the call failed.
pub const LEVEL_ERROR: i32 = 2;
/// `VIR_ERR_WARNING`: the call worked, with a remark.
pub const LEVEL_WARNING: i32 = 1;

/// What a client receives when a call fails.
///
/// The fields are those of libvirt's wire structure: for an error made from a template, `str1` is
/// the template in positional form and `str2` the detail. Numbers are kept raw so that an error
/// of a newer peer passes through unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// `virErrorNumber`.
    pub code: i32,
    /// `virErrorDomain`: the part of libvirt that speaks.
    pub domain: i32,
    /// `virErrorLevel`.
    pub level: i32,
    /// The whole text.
    pub message: String,
    /// First extra string.
    pub str1: Option<String>,
    /// Second extra string.
    pub str2: Option<String>,
    /// Third extra string.
    pub str3: Option<String>,
    /// First extra number; errno for system errors, -1 when unused.
    pub int1: i32,
    /// Second extra number, -1 when unused.
    pub int2: i32,
}

impl Error {
    /// An error from the code's template, filled with `detail`.
    pub fn new(domain: Domain, code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let template = code.template();
        Error {
            // a template that is all detail is not translated, and so stays in its plain form
            str1: Some(if template == "%s" { template.to_owned() } else { template.replacen("%s", "%1$s", 1) }),
            message: template.replacen("%s", &detail, 1),
            str2: Some(detail),
            ..Self::bare(domain, code)
        }
    }

    /// An error from the code's template for the case without a detail.
    pub fn plain(domain: Domain, code: Code) -> Self {
        let text = code.plain().to_owned();
        Error { str1: Some(text.clone()), message: text, ..Self::bare(domain, code) }
    }

    /// A failed system call: `TEXT: strerror`.
    pub fn system(domain: Domain, cause: &std::io::Error, text: impl fmt::Display) -> Self {
        let errno = cause.raw_os_error().unwrap_or(0);
        let message = format!("{text}: {}", reason(cause));
        Error {
            str1: Some("%s".into()),
            str2: Some(message.clone()),
            message,
            int1: errno,
            ..Self::bare(domain, Code::SystemError)
        }
    }

    /// An argument that a function refuses (`virReportInvalidArg`): the text stands alone, `function`
    /// and `argument` travel beside it.
    pub fn invalid_argument(domain: Domain, function: &str, argument: &str, text: impl Into<String>) -> Self {
        Error {
            message: text.into(),
            str1: Some(function.into()),
            str2: Some(argument.into()),
            int1: 0,
            int2: 0,
            ..Self::bare(domain, Code::InvalidArg)
        }
    }

    /// Flags outside the accepted set (`virCheckFlags`).
    pub fn unsupported_flags(domain: Domain, function: &str, unknown: u32) -> Self {
        let text = format!("unsupported flags (0x{unknown:x}) in function {function}");
        Self::invalid_argument(domain, function, "flags", text)
    }

    /// A procedure that this driver does not have; `api` is the public function's name.
    pub fn no_support(api: &str) -> Self {
        Self::new(Domain::of_api(api), Code::NoSupport, api)
    }

    /// The same error with another text; used where libvirt gives a text without a template.
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The code, when it is one of libvirt 11.3.0.
    pub fn code(&self) -> Option<Code> {
        Code::from_number(self.code)
    }

    fn bare(domain: Domain, code: Code) -> Self {
        Error {
            code: code as i32,
            domain: domain as i32,
            level: LEVEL_ERROR,
            message: String::new(),
            str1: None,
            str2: None,
            str3: None,
            int1: -1,
            int2: -1,
        }
    }
}

/// The text of a failed system call, without the " (os error N)" that the standard library appends.
pub fn reason(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Refuses flags outside `accepted` before anything else is looked at.
pub fn check_flags(domain: Domain, function: &str, flags: u32, accepted: u32) -> Result<()> {
    match flags & !accepted {
        0 => Ok(()),
        unknown => Err(Error::unsupported_flags(domain, function, unknown)),
    }
}

impl Domain {
    /// The domain that libvirt's public entry points report errors under. Each of its `libvirt-*.c` files
    /// has one; the function's name tells the file, the object named last wins inside `virConnect...`.
    pub fn of_api(api: &str) -> Domain {
        const OBJECTS: [(&str, Domain); 9] = [
            ("virDomainSnapshot", Domain::DomainSnapshot),
            ("virDomainCheckpoint", Domain::DomainCheckpoint),
            ("virDomain", Domain::Domain),
            ("NodeDevice", Domain::Nodedev),
            ("NWFilter", Domain::Nwfilter),
            ("Secret", Domain::Secret),
            ("Storage", Domain::Storage),
            ("Interface", Domain::Interface),
            ("Network", Domain::Network),
        ];
        const PREFIXES: [(&str, Domain); 3] =
            [("virStream", Domain::Streams), ("virAdm", Domain::Admin), ("virConnect", Domain::None)];
        let found = OBJECTS.iter().find(|(object, _)| api.contains(object));
        let found = found.or_else(|| PREFIXES.iter().find(|(prefix, _)| api.starts_with(prefix)));
        match found {
            Some((_, Domain::None)) if api.contains("Domain") => Domain::Domain,
            Some((_, domain)) => *domain,
            None => Domain::None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        let error = Error::new(Domain::Qemu, Code::NoDomain, "no domain with matching name 'x'");
        assert_eq!(error.message, "Domain not found: no domain with matching name 'x'");
        assert_eq!(error.str1.as_deref(), Some("Domain not found: %1$s"));
        assert_eq!((error.code, error.domain, error.level), (42, 10, 2));
        assert_eq!(Error::plain(Domain::Qemu, Code::NoDomain).message, "Domain not found");
    }

    #[test]
    fn a_detail_is_not_a_template() {
        let error = Error::new(Domain::Qemu, Code::InternalError, "%s %d");
        assert_eq!(error.message, "internal error: %s %d");
    }

    #[test]
    fn system_errors_carry_errno() {
        let error = Error::system(Domain::Qemu, &std::io::Error::from_raw_os_error(2), "cannot open 'x'");
        assert_eq!(error.message, "cannot open 'x': No such file or directory");
        assert_eq!((error.code, error.int1), (38, 2));
    }

    #[test]
    fn public_functions_have_the_domain_of_their_file() {
        for (api, domain) in [
            ("virConnectNumOfInterfaces", Domain::Interface),
            ("virDomainInterfaceStats", Domain::Domain),
            ("virDomainSnapshotCreateXML", Domain::DomainSnapshot),
            ("virConnectListAllDomains", Domain::Domain),
            ("virConnectGetCapabilities", Domain::None),
            ("virNodeDeviceGetParent", Domain::Nodedev),
            ("virNodeGetInfo", Domain::None),
        ] {
            assert_eq!(Domain::of_api(api), domain, "{api}");
        }
    }

    #[test]
    fn unknown_flags_are_refused() {
        assert!(check_flags(Domain::Qemu, "f", 3, 3).is_ok());
        let error = check_flags(Domain::Qemu, "qemuConnectOpen", 0x12, 2).unwrap_err();
        assert_eq!(error.message, "unsupported flags (0x10) in function qemuConnectOpen");
    }
}
