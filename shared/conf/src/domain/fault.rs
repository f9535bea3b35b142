//! Short forms of the errors that domain documents earn.

use error::{Code, Domain, Error};

/// `VIR_ERR_CONFIG_UNSUPPORTED` from the domain code.
pub fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(Domain::Domain, Code::ConfigUnsupported, detail)
}

/// `VIR_ERR_XML_ERROR` from the domain code.
pub fn xml_error(detail: impl Into<String>) -> Error {
    Error::new(Domain::Domain, Code::XmlError, detail)
}

/// `VIR_ERR_XML_DETAIL`, whose text stands alone.
pub fn xml_detail(detail: impl Into<String>) -> Error {
    Error::new(Domain::Domain, Code::XmlDetail, detail)
}

/// `VIR_ERR_INTERNAL_ERROR` from the domain code, where libvirt answers so.
pub fn internal(detail: impl Into<String>) -> Error {
    Error::new(Domain::Domain, Code::InternalError, detail)
}
