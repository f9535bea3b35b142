//! Start, pause, stop.

use std::sync::Arc;

use error::{Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::{Api, check_flags, define, keymap};
use crate::domain::handle::Domain;
use crate::domain::lifecycle::{self, StartOptions};

const CREATE_FLAGS: u32 = c::VIR_DOMAIN_START_PAUSED
    | c::VIR_DOMAIN_START_AUTODESTROY
    | c::VIR_DOMAIN_START_VALIDATE
    | c::VIR_DOMAIN_START_RESET_NVRAM;
const START_FLAGS: u32 = c::VIR_DOMAIN_START_PAUSED
    | c::VIR_DOMAIN_START_AUTODESTROY
    | c::VIR_DOMAIN_START_BYPASS_CACHE
    | c::VIR_DOMAIN_START_FORCE_BOOT
    | c::VIR_DOMAIN_START_RESET_NVRAM;

pub(super) async fn create_xml(
    api: &Api,
    call: &Call,
    args: remote::DomainCreateXmlArgs,
) -> error::Result<remote::DomainCreateXmlRet> {
    check_flags("qemuDomainCreateXML", args.flags, CREATE_FLAGS)?;
    let def = define::parse(api, &args.xml_desc, args.flags & c::VIR_DOMAIN_START_VALIDATE != 0).await?;
    let def = Arc::new(def);
    let (domain, _) = define::enter(api, &def, false)?;
    let options = options(args.flags);
    domain.ask(move |actor| Box::pin(actor.create(def, options))).await?;
    destroy_with_client(call, &domain, args.flags);
    Ok(remote::DomainCreateXmlRet { dom: domain.view().wire() })
}

pub(super) async fn create(api: &Api, call: &Call, args: remote::DomainCreateArgs) -> error::Result<()> {
    create_with_flags(api, call, remote::DomainCreateWithFlagsArgs { dom: args.dom, flags: 0 }).await.map(drop)
}

pub(super) async fn create_with_flags(
    api: &Api,
    call: &Call,
    args: remote::DomainCreateWithFlagsArgs,
) -> error::Result<remote::DomainCreateWithFlagsRet> {
    check_flags("qemuDomainCreateWithFlags", args.flags, START_FLAGS)?;
    let domain = api.find(&args.dom)?;
    let options = options(args.flags);
    domain.ask(move |actor| Box::pin(actor.start(options))).await?;
    destroy_with_client(call, &domain, args.flags);
    Ok(remote::DomainCreateWithFlagsRet { dom: domain.view().wire() })
}

pub(super) async fn suspend(api: &Api, _: &Call, args: remote::DomainSuspendArgs) -> error::Result<()> {
    api.find(&args.dom)?.ask(|actor| Box::pin(actor.suspend())).await
}

pub(super) async fn resume(api: &Api, _: &Call, args: remote::DomainResumeArgs) -> error::Result<()> {
    api.find(&args.dom)?.ask(|actor| Box::pin(actor.resume())).await
}

pub(super) async fn shutdown(api: &Api, call: &Call, args: remote::DomainShutdownArgs) -> error::Result<()> {
    shutdown_flags(api, call, remote::DomainShutdownFlagsArgs { dom: args.dom, flags: 0 }).await
}

pub(super) async fn shutdown_flags(api: &Api, _: &Call, args: remote::DomainShutdownFlagsArgs) -> error::Result<()> {
    check_flags(
        "qemuDomainShutdownFlags",
        args.flags,
        c::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN | c::VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
    )?;
    let domain = api.find(&args.dom)?;
    power_button(&domain, args.flags & !c::VIR_DOMAIN_SHUTDOWN_GUEST_AGENT, args.flags, false).await
}

pub(super) async fn reboot(api: &Api, _: &Call, args: remote::DomainRebootArgs) -> error::Result<()> {
    check_flags(
        "qemuDomainReboot",
        args.flags,
        c::VIR_DOMAIN_REBOOT_ACPI_POWER_BTN | c::VIR_DOMAIN_REBOOT_GUEST_AGENT,
    )?;
    let domain = api.find(&args.dom)?;
    power_button(&domain, args.flags & !c::VIR_DOMAIN_REBOOT_GUEST_AGENT, args.flags, true).await
}

/// Without flags any way will do; the agent alone is not enough as long as it is not served.
async fn power_button(domain: &Domain, acpi: u32, flags: u32, reboot: bool) -> error::Result<()> {
    let view = domain.view();
    if !view.is_active() {
        // libvirt checks in two places, which report under different domains.
        return Err(if reboot { super::not_running() } else { super::invalid("domain is not running") });
    }
    if flags != 0 && acpi == 0 {
        return Err(super::no_agent(view.definition()));
    }
    domain.ask(move |actor| Box::pin(actor.press_power_button(reboot))).await
}

pub(super) async fn reset(api: &Api, _: &Call, args: remote::DomainResetArgs) -> error::Result<()> {
    check_flags("qemuDomainReset", args.flags, 0)?;
    api.find(&args.dom)?.ask(|actor| Box::pin(actor.reset())).await
}

pub(super) async fn wake_up(api: &Api, _: &Call, args: remote::DomainPmWakeupArgs) -> error::Result<()> {
    check_flags("qemuDomainPMWakeup", args.flags, 0)?;
    api.find(&args.dom)?.ask(|actor| Box::pin(actor.wake_up())).await
}

pub(super) async fn destroy(api: &Api, call: &Call, args: remote::DomainDestroyArgs) -> error::Result<()> {
    destroy_flags(api, call, remote::DomainDestroyFlagsArgs { dom: args.dom, flags: 0 }).await
}

pub(super) async fn destroy_flags(api: &Api, _: &Call, args: remote::DomainDestroyFlagsArgs) -> error::Result<()> {
    check_flags(
        "qemuDomainDestroyFlags",
        args.flags,
        c::VIR_DOMAIN_DESTROY_GRACEFUL | c::VIR_DOMAIN_DESTROY_REMOVE_LOGS,
    )?;
    let domain = api.find(&args.dom)?;
    lifecycle::destroy(&domain, args.flags & c::VIR_DOMAIN_DESTROY_GRACEFUL != 0).await?;
    if args.flags & c::VIR_DOMAIN_DESTROY_REMOVE_LOGS != 0 {
        let path = api.driver.log_file(&domain.view().name);
        host::run_blocking(move || object::file::remove_durable(&path))
            .await
            .map_err(|e| Error::system(From::Qemu, &e, "cannot remove the log"))?;
    }
    Ok(())
}

fn options(flags: u32) -> StartOptions {
    StartOptions {
        paused: flags & c::VIR_DOMAIN_START_PAUSED != 0,
        reset_nvram: flags & c::VIR_DOMAIN_START_RESET_NVRAM != 0,
    }
}

pub(super) async fn inject_nmi(api: &Api, _: &Call, args: remote::DomainInjectNmiArgs) -> error::Result<()> {
    check_flags("qemuDomainInjectNMI", args.flags, 0)?;
    api.find(&args.dom)?.ask(|actor| Box::pin(actor.inject_nmi())).await
}

pub(super) async fn send_key(api: &Api, _: &Call, args: remote::DomainSendKeyArgs) -> error::Result<()> {
    check_flags("qemuDomainSendKey", args.flags, 0)?;
    let domain = api.find(&args.dom)?;
    if !domain.view().is_active() {
        return Err(super::not_running());
    }
    let keys = args.keycodes.iter().map(|code| keymap::qnum(args.codeset, *code)).collect::<error::Result<Vec<_>>>()?;
    domain.ask(move |actor| Box::pin(actor.send_keys(keys, args.holdtime))).await
}

/// The guest ends with the connection of who started it.
fn destroy_with_client(call: &Call, domain: &Domain, flags: u32) {
    if flags & c::VIR_DOMAIN_START_AUTODESTROY == 0 {
        return;
    }
    let (domain, id) = (domain.clone(), domain.view().id);
    let runtime = tokio::runtime::Handle::current();
    call.client().on_close(move || {
        runtime.spawn(async move {
            // Another run, started later by somebody else, is none of this client's business.
            if domain.view().id == id
                && let Err(e) = lifecycle::destroy(&domain, false).await
            {
                tracing::warn!(uuid = %domain.uuid(), error = %e, "cannot destroy the guest of a client that left");
            }
        });
    });
}
