//! Registrations for domain events, old style and with callback ids.

use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;
use uuid::Uuid;

use super::Api;

pub(super) async fn register(api: &Api, call: &Call) -> error::Result<remote::ConnectDomainEventRegisterRet> {
    global(api, call, c::VIR_DOMAIN_EVENT_ID_LIFECYCLE)?;
    Ok(remote::ConnectDomainEventRegisterRet { cb_registered: 1 })
}

pub(super) async fn deregister(api: &Api, call: &Call) -> error::Result<remote::ConnectDomainEventDeregisterRet> {
    let gone = api.driver.subscriptions.deregister_global(call.client().id(), c::VIR_DOMAIN_EVENT_ID_LIFECYCLE);
    gone.map_err(refused)?;
    Ok(remote::ConnectDomainEventDeregisterRet { cb_registered: 0 })
}

pub(super) async fn register_any(
    api: &Api,
    call: &Call,
    args: remote::ConnectDomainEventRegisterAnyArgs,
) -> error::Result<()> {
    // Later events exist with callback ids only.
    check_id(args.event_id, c::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED)?;
    global(api, call, args.event_id)
}

pub(super) async fn deregister_any(
    api: &Api,
    call: &Call,
    args: remote::ConnectDomainEventDeregisterAnyArgs,
) -> error::Result<()> {
    check_id(args.event_id, c::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED)?;
    api.driver.subscriptions.deregister_global(call.client().id(), args.event_id).map_err(refused)
}

pub(super) async fn callback_register(
    api: &Api,
    call: &Call,
    args: remote::ConnectDomainEventCallbackRegisterAnyArgs,
) -> error::Result<remote::ConnectDomainEventCallbackRegisterAnyRet> {
    check_id(args.event_id, c::VIR_DOMAIN_EVENT_ID_LAST - 1)?;
    let client = call.client();
    let only = args.dom.map(|dom| Uuid::from_bytes(dom.uuid));
    let callback_id =
        api.driver.subscriptions.register(client.id(), client.clone(), args.event_id, only).map_err(refused)?;
    forget_with_client(api, call);
    Ok(remote::ConnectDomainEventCallbackRegisterAnyRet { callback_id })
}

pub(super) async fn callback_deregister(
    api: &Api,
    call: &Call,
    args: remote::ConnectDomainEventCallbackDeregisterAnyArgs,
) -> error::Result<()> {
    api.driver.subscriptions.deregister(call.client().id(), args.callback_id).map_err(refused)
}

fn global(api: &Api, call: &Call, event: i32) -> error::Result<()> {
    let client = call.client();
    api.driver.subscriptions.register_global(client.id(), client.clone(), event).map_err(refused)?;
    forget_with_client(api, call);
    Ok(())
}

/// Notes of one client that it will be forgotten when it leaves.
#[derive(Debug, Default)]
struct Forgotten(std::sync::OnceLock<()>);

fn forget_with_client(api: &Api, call: &Call) {
    let client = call.client();
    client.data::<Forgotten>().0.get_or_init(|| {
        let (driver, id) = (api.driver.clone(), client.id());
        client.on_close(move || driver.subscriptions.remove_client(id));
    });
}

fn check_id(event: i32, last: i32) -> error::Result<()> {
    if (0..=last).contains(&event) {
        return Ok(());
    }
    Err(Error::new(From::Rpc, Code::InternalError, format!("unsupported event ID {event}")))
}

fn refused(e: object::events::Error) -> Error {
    Error::new(From::Rpc, Code::InternalError, e.to_string())
}
