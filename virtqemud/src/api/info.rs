//! What a domain is and does.

use std::time::Duration;

use error::{Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::{Api, bad_argument, check_flags, invalid, not_running};
use crate::domain::view::DomainView;
use crate::process::usage;

pub(super) async fn info(
    api: &Api,
    _: &Call,
    args: remote::DomainGetInfoArgs,
) -> error::Result<remote::DomainGetInfoRet> {
    let view = api.find(&args.dom)?.view();
    let def = view.definition();
    let cpu_time = view.pid.and_then(usage::cpu_time).unwrap_or(Duration::ZERO);
    Ok(remote::DomainGetInfoRet {
        state: u8::try_from(view.state.state).unwrap_or(0),
        max_mem: def.memory.total_kib,
        memory: def.memory.current_kib,
        nr_virt_cpu: u16::try_from(def.vcpu.online()).unwrap_or(u16::MAX),
        cpu_time: u64::try_from(cpu_time.as_nanos()).unwrap_or(u64::MAX),
    })
}

pub(super) async fn state(
    api: &Api,
    _: &Call,
    args: remote::DomainGetStateArgs,
) -> error::Result<remote::DomainGetStateRet> {
    check_flags("qemuDomainGetState", args.flags, 0)?;
    let state = api.find(&args.dom)?.view().state;
    Ok(remote::DomainGetStateRet { state: state.state, reason: state.reason })
}

pub(super) async fn os_type(
    api: &Api,
    _: &Call,
    args: remote::DomainGetOsTypeArgs,
) -> error::Result<remote::DomainGetOsTypeRet> {
    Ok(remote::DomainGetOsTypeRet { type_: api.find(&args.dom)?.view().definition().os.kind.to_string() })
}

pub(super) async fn max_memory(
    api: &Api,
    _: &Call,
    args: remote::DomainGetMaxMemoryArgs,
) -> error::Result<remote::DomainGetMaxMemoryRet> {
    Ok(remote::DomainGetMaxMemoryRet { memory: api.find(&args.dom)?.view().definition().memory.total_kib })
}

pub(super) async fn max_vcpus(
    api: &Api,
    call: &Call,
    args: remote::DomainGetMaxVcpusArgs,
) -> error::Result<remote::DomainGetMaxVcpusRet> {
    let flags = c::VIR_DOMAIN_AFFECT_LIVE | c::VIR_DOMAIN_VCPU_MAXIMUM;
    let ret = vcpu_count(api, call, remote::DomainGetVcpusFlagsArgs { dom: args.dom, flags }).await?;
    Ok(remote::DomainGetMaxVcpusRet { num: ret.num })
}

pub(super) async fn vcpu_count(
    api: &Api,
    _: &Call,
    args: remote::DomainGetVcpusFlagsArgs,
) -> error::Result<remote::DomainGetVcpusFlagsRet> {
    let accepted =
        c::VIR_DOMAIN_AFFECT_LIVE | c::VIR_DOMAIN_AFFECT_CONFIG | c::VIR_DOMAIN_VCPU_MAXIMUM | c::VIR_DOMAIN_VCPU_GUEST;
    check_flags("qemuDomainGetVcpusFlags", args.flags, accepted)?;
    let view = api.find(&args.dom)?.view();
    if args.flags & c::VIR_DOMAIN_VCPU_GUEST != 0 {
        return Err(if view.is_active() { super::no_agent(view.definition()) } else { not_running() });
    }
    let def = pick(&view, args.flags)?;
    let num = if args.flags & c::VIR_DOMAIN_VCPU_MAXIMUM != 0 { def.vcpu.max() } else { def.vcpu.online() };
    Ok(remote::DomainGetVcpusFlagsRet { num: i32::try_from(num).unwrap_or(i32::MAX) })
}

/// The definition that AFFECT_LIVE / AFFECT_CONFIG / neither mean, as in every call that has them.
pub(super) fn pick(view: &DomainView, flags: u32) -> error::Result<&std::sync::Arc<conf::domain::DomainDef>> {
    let (live, config) = (flags & c::VIR_DOMAIN_AFFECT_LIVE != 0, flags & c::VIR_DOMAIN_AFFECT_CONFIG != 0);
    if live && config {
        return Err(bad_argument(
            "flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' in function 'virDomainObjGetDefs' are mutually exclusive",
        ));
    }
    if live && !view.is_active() {
        return Err(not_running());
    }
    if config || !view.is_active() {
        return view.persistent.as_ref().ok_or_else(|| invalid("transient domains do not have any persistent config"));
    }
    Ok(view.definition())
}

pub(super) async fn vcpus(
    api: &Api,
    _: &Call,
    args: remote::DomainGetVcpusArgs,
) -> error::Result<remote::DomainGetVcpusRet> {
    let view = api.find(&args.dom)?.view();
    if !view.is_active() {
        return Err(invalid("cannot retrieve vcpu information for inactive domain"));
    }
    let (max, map_len) = (usize::try_from(args.maxinfo).unwrap_or(0), usize::try_from(args.maplen).unwrap_or(0));
    if max > remote::limit::VCPUINFO_MAX || max.saturating_mul(map_len) > remote::limit::CPUMAPS_MAX {
        return Err(Error::new(From::Rpc, error::Code::Rpc, "vCPU information is too large"));
    }
    let threads: Vec<i32> = view.vcpu_threads.iter().copied().take(max).collect();
    let pid = view.pid.unwrap_or(0);
    let info = threads.iter().enumerate().map(|(number, thread)| {
        let used = usage::thread(pid, *thread);
        remote::VcpuInfo {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            state: c::VIR_VCPU_RUNNING,
            cpu_time: u64::try_from(used.as_ref().map_or(0, |used| used.cpu_time.as_nanos())).unwrap_or(u64::MAX),
            cpu: used.map_or(-1, |used| used.last_cpu),
        }
    });
    let info: Vec<_> = info.collect();
    let mut cpumaps = Vec::new();
    if map_len > 0 {
        for thread in &threads {
            let mut map = usage::affinity(*thread);
            map.resize(map_len, 0);
            cpumaps.extend(map);
        }
    }
    Ok(remote::DomainGetVcpusRet { info, cpumaps })
}

pub(super) async fn is_active(
    api: &Api,
    _: &Call,
    args: remote::DomainIsActiveArgs,
) -> error::Result<remote::DomainIsActiveRet> {
    Ok(remote::DomainIsActiveRet { active: i32::from(api.find(&args.dom)?.view().is_active()) })
}

pub(super) async fn is_persistent(
    api: &Api,
    _: &Call,
    args: remote::DomainIsPersistentArgs,
) -> error::Result<remote::DomainIsPersistentRet> {
    Ok(remote::DomainIsPersistentRet { persistent: i32::from(api.find(&args.dom)?.view().persistent.is_some()) })
}

pub(super) async fn is_updated(
    api: &Api,
    _: &Call,
    args: remote::DomainIsUpdatedArgs,
) -> error::Result<remote::DomainIsUpdatedRet> {
    Ok(remote::DomainIsUpdatedRet { updated: i32::from(api.find(&args.dom)?.view().updated) })
}

pub(super) async fn control_info(
    api: &Api,
    _: &Call,
    args: remote::DomainGetControlInfoArgs,
) -> error::Result<remote::DomainGetControlInfoRet> {
    check_flags("qemuDomainGetControlInfo", args.flags, 0)?;
    if !api.find(&args.dom)?.view().is_active() {
        return Err(not_running());
    }
    Ok(remote::DomainGetControlInfoRet { state: c::VIR_DOMAIN_CONTROL_OK.unsigned_abs(), details: 0, state_time: 0 })
}

pub(super) async fn scheduler_type(
    api: &Api,
    _: &Call,
    args: remote::DomainGetSchedulerTypeArgs,
) -> error::Result<remote::DomainGetSchedulerTypeRet> {
    api.find(&args.dom)?;
    // libvirt counts shares, and period and quota globally, per vCPU, for the emulator and for I/O threads.
    Ok(remote::DomainGetSchedulerTypeRet { type_: "posix".into(), nparams: 9 })
}

pub(super) async fn security_label(
    api: &Api,
    _: &Call,
    args: remote::DomainGetSecurityLabelArgs,
) -> error::Result<remote::DomainGetSecurityLabelRet> {
    api.find(&args.dom)?;
    // Only mandatory models have a label here; libvirt tells DAC's in the XML alone.
    Ok(remote::DomainGetSecurityLabelRet { label: super::node::c_string(""), enforcing: 0 })
}

pub(super) async fn has_managed_save(
    api: &Api,
    _: &Call,
    args: remote::DomainHasManagedSaveImageArgs,
) -> error::Result<remote::DomainHasManagedSaveImageRet> {
    check_flags("qemuDomainHasManagedSaveImage", args.flags, 0)?;
    let path = api.driver.managed_save_file(&api.find(&args.dom)?.view().name);
    Ok(remote::DomainHasManagedSaveImageRet { result: i32::from(path.exists()) })
}

pub(super) async fn managed_save_remove(
    api: &Api,
    _: &Call,
    args: remote::DomainManagedSaveRemoveArgs,
) -> error::Result<()> {
    check_flags("qemuDomainManagedSaveRemove", args.flags, 0)?;
    let path = api.driver.managed_save_file(&api.find(&args.dom)?.view().name);
    let removed = host::run_blocking(move || object::file::remove_durable(&path)).await;
    removed.map(drop).map_err(|e| Error::system(From::Qemu, &e, "Failed to remove managed save file"))
}

/// Nothing that runs for long is served yet, so no job is ever seen.
pub(super) async fn job_info(
    api: &Api,
    _: &Call,
    args: remote::DomainGetJobInfoArgs,
) -> error::Result<remote::DomainGetJobInfoRet> {
    if !api.find(&args.dom)?.view().is_active() {
        return Err(not_running());
    }
    Ok(remote::DomainGetJobInfoRet::default())
}
