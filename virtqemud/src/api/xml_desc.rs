//! A domain as XML.

use conf::FormatFlags;
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::{Api, check_flags};

const FLAGS: u32 = c::VIR_DOMAIN_XML_SECURE | c::VIR_DOMAIN_XML_INACTIVE | c::VIR_DOMAIN_XML_UPDATE_CPU | c::VIR_DOMAIN_XML_MIGRATABLE;

pub(super) async fn xml_desc(api: &Api, call: &Call, args: remote::DomainGetXmlDescArgs) -> error::Result<remote::DomainGetXmlDescRet> {
    check_flags("qemuDomainGetXMLDesc", args.flags, FLAGS)?;
    let has = |flag| args.flags & flag != 0;
    // Migratable documents hold secrets too.
    if call.client().read_only() && (has(c::VIR_DOMAIN_XML_SECURE) || has(c::VIR_DOMAIN_XML_MIGRATABLE)) {
        return Err(Error::new(From::Dom, Code::OperationDenied, "virDomainGetXMLDesc with secure flag"));
    }
    let view = api.find(&args.dom)?.view();
    let inactive = has(c::VIR_DOMAIN_XML_INACTIVE);
    let def = match &view.persistent {
        Some(persistent) if inactive => persistent,
        _ => view.definition(),
    };
    let flags = FormatFlags {
        inactive: inactive || !view.is_active(),
        secure: has(c::VIR_DOMAIN_XML_SECURE) || has(c::VIR_DOMAIN_XML_MIGRATABLE),
        migratable: has(c::VIR_DOMAIN_XML_MIGRATABLE),
        status: false,
    };
    Ok(remote::DomainGetXmlDescRet { xml: def.format(flags) })
}
