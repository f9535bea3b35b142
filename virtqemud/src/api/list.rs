//! Which domains there are.

use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;
use uuid::Uuid;

use super::{Api, bad_argument, check_flags};
use crate::domain::state::State;
use crate::domain::view::DomainView;

/// Accepted by `virConnectListAllDomains`.
const LIST_FLAGS: u32 = c::VIR_CONNECT_LIST_DOMAINS_ACTIVE
    | c::VIR_CONNECT_LIST_DOMAINS_INACTIVE
    | c::VIR_CONNECT_LIST_DOMAINS_PERSISTENT
    | c::VIR_CONNECT_LIST_DOMAINS_TRANSIENT
    | c::VIR_CONNECT_LIST_DOMAINS_RUNNING
    | c::VIR_CONNECT_LIST_DOMAINS_PAUSED
    | c::VIR_CONNECT_LIST_DOMAINS_SHUTOFF
    | c::VIR_CONNECT_LIST_DOMAINS_OTHER
    | c::VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE
    | c::VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE
    | c::VIR_CONNECT_LIST_DOMAINS_AUTOSTART
    | c::VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART
    | c::VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT
    | c::VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT
    | c::VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT
    | c::VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT;

pub(super) async fn count_active(api: &Api, _: &Call) -> error::Result<remote::ConnectNumOfDomainsRet> {
    let num = api.driver.domains.list().iter().filter(|domain| domain.view().is_active()).count();
    Ok(remote::ConnectNumOfDomainsRet { num: count(num) })
}

pub(super) async fn active_ids(
    api: &Api,
    _: &Call,
    args: remote::ConnectListDomainsArgs,
) -> error::Result<remote::ConnectListDomainsRet> {
    let max = limit("maxids", args.maxids)?;
    let ids = api.driver.domains.list().iter().filter_map(|domain| domain.view().id).take(max).collect();
    Ok(remote::ConnectListDomainsRet { ids })
}

pub(super) async fn count_inactive(api: &Api, _: &Call) -> error::Result<remote::ConnectNumOfDefinedDomainsRet> {
    let num = api.driver.domains.list().iter().filter(|domain| !domain.view().is_active()).count();
    Ok(remote::ConnectNumOfDefinedDomainsRet { num: count(num) })
}

pub(super) async fn inactive_names(
    api: &Api,
    _: &Call,
    args: remote::ConnectListDefinedDomainsArgs,
) -> error::Result<remote::ConnectListDefinedDomainsRet> {
    let max = limit("maxnames", args.maxnames)?;
    let views = api.driver.domains.list().into_iter().map(|domain| domain.view());
    let names = views.filter(|view| !view.is_active()).map(|view| view.name.clone()).take(max).collect();
    Ok(remote::ConnectListDefinedDomainsRet { names })
}

pub(super) async fn all(
    api: &Api,
    _: &Call,
    args: remote::ConnectListAllDomainsArgs,
) -> error::Result<remote::ConnectListAllDomainsRet> {
    check_flags("qemuConnectListAllDomains", args.flags, LIST_FLAGS)?;
    let views = api.driver.domains.list().into_iter().map(|domain| domain.view());
    let domains: Vec<_> = views.filter(|view| matches(view, args.flags)).map(|view| view.wire()).collect();
    let ret = u32::try_from(domains.len()).unwrap_or(u32::MAX);
    let domains = if args.need_results != 0 { domains } else { Vec::new() };
    Ok(remote::ConnectListAllDomainsRet { domains, ret })
}

pub(super) async fn by_id(
    api: &Api,
    _: &Call,
    args: remote::DomainLookupByIdArgs,
) -> error::Result<remote::DomainLookupByIdRet> {
    let views = api.driver.domains.list().into_iter().map(|domain| domain.view());
    let found = views.into_iter().find(|view| view.id == Some(args.id));
    let missing = || Error::new(From::Qemu, Code::NoDomain, format!("no domain with matching id {}", args.id));
    Ok(remote::DomainLookupByIdRet { dom: found.ok_or_else(missing)?.wire() })
}

pub(super) async fn by_uuid(
    api: &Api,
    _: &Call,
    args: remote::DomainLookupByUuidArgs,
) -> error::Result<remote::DomainLookupByUuidRet> {
    let uuid = Uuid::from_bytes(args.uuid);
    let missing = || Error::new(From::Qemu, Code::NoDomain, format!("no domain with matching uuid '{uuid}'"));
    Ok(remote::DomainLookupByUuidRet { dom: api.driver.domains.by_uuid(&uuid).ok_or_else(missing)?.view().wire() })
}

pub(super) async fn by_name(
    api: &Api,
    _: &Call,
    args: remote::DomainLookupByNameArgs,
) -> error::Result<remote::DomainLookupByNameRet> {
    let missing = || Error::new(From::Qemu, Code::NoDomain, format!("no domain with matching name '{}'", args.name));
    Ok(remote::DomainLookupByNameRet { dom: api.driver.domains.by_name(&args.name).ok_or_else(missing)?.view().wire() })
}

/// Whether the view passes every group of filters: within a group any flag that is set may match.
pub(super) fn matches(view: &DomainView, flags: u32) -> bool {
    let group = |choices: &[(u32, bool)]| {
        let wanted: Vec<_> = choices.iter().filter(|(flag, _)| flags & flag != 0).collect();
        wanted.is_empty() || wanted.iter().any(|(_, holds)| *holds)
    };
    let active = view.is_active();
    let persistent = view.persistent.is_some();
    let (running, paused, off) =
        (view.state.same(State::RUNNING), view.state.same(State::PAUSED), view.state.same(State::OFF));
    group(&[(c::VIR_CONNECT_LIST_DOMAINS_ACTIVE, active), (c::VIR_CONNECT_LIST_DOMAINS_INACTIVE, !active)])
        && group(&[(c::VIR_CONNECT_LIST_DOMAINS_PERSISTENT, persistent), (c::VIR_CONNECT_LIST_DOMAINS_TRANSIENT, !persistent)])
        && group(&[
            (c::VIR_CONNECT_LIST_DOMAINS_RUNNING, running),
            (c::VIR_CONNECT_LIST_DOMAINS_PAUSED, paused),
            (c::VIR_CONNECT_LIST_DOMAINS_SHUTOFF, off),
            (c::VIR_CONNECT_LIST_DOMAINS_OTHER, !running && !paused && !off),
        ])
        && group(&[(c::VIR_CONNECT_LIST_DOMAINS_AUTOSTART, view.autostart), (c::VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART, !view.autostart)])
        // Saved images, snapshots and checkpoints are not kept yet, so no domain has any.
        && group(&[(c::VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, false), (c::VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE, true)])
        && group(&[(c::VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, false), (c::VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT, true)])
        && group(&[(c::VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT, false), (c::VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT, true)])
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn limit(name: &str, value: i32) -> error::Result<usize> {
    usize::try_from(value).map_err(|_| bad_argument(format!("{name} must be zero or greater")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn view(state: State, id: Option<i32>, persistent: bool, autostart: bool) -> DomainView {
        let xml =
            "<domain type='qemu'><name>g</name><memory>1</memory><os><type arch='x86_64'>hvm</type></os></domain>";
        let def = Arc::new(conf::domain::DomainDef::parse(xml, conf::domain::ParseContext { live: false }).unwrap());
        DomainView {
            uuid: Uuid::nil(),
            name: "g".into(),
            id,
            state,
            live: Some(def.clone()),
            persistent: persistent.then_some(def),
            autostart,
            updated: false,
            pid: None,
            vcpu_threads: Vec::new(),
        }
    }

    #[test]
    fn filters_are_groups_of_alternatives() {
        let running = view(State::BOOTED, Some(1), false, false);
        let off = view(State::OFF, None, true, true);
        let cases = [
            (0, true, true),
            (c::VIR_CONNECT_LIST_DOMAINS_ACTIVE, true, false),
            (c::VIR_CONNECT_LIST_DOMAINS_ACTIVE | c::VIR_CONNECT_LIST_DOMAINS_INACTIVE, true, true),
            (c::VIR_CONNECT_LIST_DOMAINS_TRANSIENT, true, false),
            (c::VIR_CONNECT_LIST_DOMAINS_PAUSED | c::VIR_CONNECT_LIST_DOMAINS_SHUTOFF, false, true),
            (c::VIR_CONNECT_LIST_DOMAINS_OTHER, false, false),
            (c::VIR_CONNECT_LIST_DOMAINS_AUTOSTART | c::VIR_CONNECT_LIST_DOMAINS_ACTIVE, false, false),
            (c::VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, false, false),
            (c::VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE, true, true),
        ];
        for (flags, first, second) in cases {
            assert_eq!((matches(&running, flags), matches(&off, flags)), (first, second), "{flags:#x}");
        }
    }
}
