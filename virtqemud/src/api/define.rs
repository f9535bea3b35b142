//! Definitions: enter, replace, forget, start with the host.

use std::sync::Arc;

use conf::domain::DomainDef;
use error::{Code, Domain as From, Error};
use object::Clash;
use protocol::constants as c;
use protocol::remote;
use rpc::Call;
use uuid::Uuid;

use super::{Api, check_flags};
use crate::domain::actor::Actor;
use crate::domain::handle::Domain;

const UNDEFINE_FLAGS: u32 = c::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | c::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | c::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | c::VIR_DOMAIN_UNDEFINE_NVRAM
    | c::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
    | c::VIR_DOMAIN_UNDEFINE_TPM
    | c::VIR_DOMAIN_UNDEFINE_KEEP_TPM;

/// Reads a document as the driver understands it.
pub(super) async fn parse(api: &Api, xml: &str, _validate: bool) -> error::Result<DomainDef> {
    api.driver.parse(xml).await
}

/// Finds the domain of a definition or makes one; true when it is new.
pub(super) fn enter(api: &Api, def: &Arc<DomainDef>, persistent: bool) -> error::Result<(Domain, bool)> {
    let uuid = Uuid::from_bytes(def.uuid);
    let refused = |clash: Clash| Error::new(From::Domain, Code::OperationFailed, format!("domain {clash}"));
    if !object::file::is_file_name(&def.name) {
        return Err(Error::new(From::Domain, Code::XmlError, format!("name {} cannot contain '/'", def.name)));
    }
    if let Some(domain) = api.driver.domains.admit(&uuid, &def.name).map_err(refused)? {
        return Ok((domain, false));
    }
    let make = || Actor::spawn(api.driver.clone(), def.clone(), persistent, false);
    match api.driver.domains.insert_with(uuid, &def.name, make) {
        Ok(domain) => Ok((domain, true)),
        // Somebody was faster.
        Err(Clash::Same { .. }) => api
            .driver
            .domains
            .by_uuid(&uuid)
            .map(|domain| (domain, false))
            .ok_or_else(|| refused(Clash::Same { name: def.name.clone(), uuid })),
        Err(clash) => Err(refused(clash)),
    }
}

pub(super) async fn define(
    api: &Api,
    call: &Call,
    args: remote::DomainDefineXmlArgs,
) -> error::Result<remote::DomainDefineXmlRet> {
    let ret = define_flags(api, call, remote::DomainDefineXmlFlagsArgs { xml: args.xml, flags: 0 }).await?;
    Ok(remote::DomainDefineXmlRet { dom: ret.dom })
}

pub(super) async fn define_flags(
    api: &Api,
    _: &Call,
    args: remote::DomainDefineXmlFlagsArgs,
) -> error::Result<remote::DomainDefineXmlFlagsRet> {
    check_flags("qemuDomainDefineXMLFlags", args.flags, c::VIR_DOMAIN_DEFINE_VALIDATE)?;
    let def = Arc::new(parse(api, &args.xml, args.flags & c::VIR_DOMAIN_DEFINE_VALIDATE != 0).await?);
    let (domain, added) = enter(api, &def, true)?;
    domain.ask(move |actor| Box::pin(actor.define(def, added))).await?;
    Ok(remote::DomainDefineXmlFlagsRet { dom: domain.view().wire() })
}

pub(super) async fn undefine(api: &Api, call: &Call, args: remote::DomainUndefineArgs) -> error::Result<()> {
    undefine_flags(api, call, remote::DomainUndefineFlagsArgs { dom: args.dom, flags: 0 }).await
}

pub(super) async fn undefine_flags(api: &Api, _: &Call, args: remote::DomainUndefineFlagsArgs) -> error::Result<()> {
    check_flags("qemuDomainUndefineFlags", args.flags, UNDEFINE_FLAGS)?;
    let exclusive = |a: u32, b: u32, text: &str| {
        if args.flags & a != 0 && args.flags & b != 0 { Err(super::bad_argument(text)) } else { Ok(()) }
    };
    exclusive(c::VIR_DOMAIN_UNDEFINE_NVRAM, c::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM, "cannot both keep and delete nvram")?;
    exclusive(c::VIR_DOMAIN_UNDEFINE_TPM, c::VIR_DOMAIN_UNDEFINE_KEEP_TPM, "cannot both keep and delete TPM")?;
    let flags = args.flags;
    api.find(&args.dom)?.ask(move |actor| Box::pin(actor.undefine(flags))).await
}

pub(super) async fn autostart(
    api: &Api,
    _: &Call,
    args: remote::DomainGetAutostartArgs,
) -> error::Result<remote::DomainGetAutostartRet> {
    Ok(remote::DomainGetAutostartRet { autostart: i32::from(api.find(&args.dom)?.view().autostart) })
}

pub(super) async fn autostart_once(
    api: &Api,
    _: &Call,
    args: remote::DomainGetAutostartOnceArgs,
) -> error::Result<remote::DomainGetAutostartOnceRet> {
    let name = api.find(&args.dom)?.view().name.clone();
    let (link, definition) = (api.driver.autostart_once_link(&name), api.driver.definition_file(&name));
    let set = host::run_blocking(move || object::autostart::is_set(&link, &definition)).await;
    Ok(remote::DomainGetAutostartOnceRet { autostart: i32::from(set) })
}

pub(super) async fn set_autostart_once(
    api: &Api,
    _: &Call,
    args: remote::DomainSetAutostartOnceArgs,
) -> error::Result<()> {
    let on = args.autostart != 0;
    api.find(&args.dom)?.ask(move |actor| Box::pin(actor.set_autostart_once(on))).await
}

pub(super) async fn set_autostart(api: &Api, _: &Call, args: remote::DomainSetAutostartArgs) -> error::Result<()> {
    let on = args.autostart != 0;
    api.find(&args.dom)?.ask(move |actor| Box::pin(actor.set_autostart(on))).await
}
