//! Tunables that travel as typed parameters: memory, block I/O, NUMA, scheduler, interface bandwidth.
//!
//! Stored definitions can be read and changed; a running guest's can be read. Changing them under a running guest needs
//! its cgroup, which is not served yet and says so.

use conf::Bitmap;
use conf::domain::DomainDef;
use conf::domain::device::interface::InterfaceKind;
use conf::domain::device::iotune::IoTune;
use conf::domain::numa::{NumaMemory, NumaMode};
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote::{self, TypedParam, TypedParamValue};
use rpc::Call;

use super::tune::Target;
use super::{Api, bad_argument, block, check_flags, info};
use crate::domain::handle::Domain;

const AFFECT: u32 = c::VIR_DOMAIN_AFFECT_LIVE | c::VIR_DOMAIN_AFFECT_CONFIG;
/// `VIR_TYPED_PARAM_STRING_OKAY`: the client takes string parameters.
const STRINGS: u32 = 4;

/// What a getter answers: with room for none, how many there are.
fn answer(mut params: Vec<TypedParam>, room: i32, flags: u32) -> error::Result<(Vec<TypedParam>, i32)> {
    if flags & STRINGS == 0 {
        params.retain(|param| !matches!(param.value, TypedParamValue::String(_)));
    }
    let count = i32::try_from(params.len()).unwrap_or(i32::MAX);
    if room == 0 {
        return Ok((Vec::new(), count));
    }
    params.truncate(usize::try_from(room).map_err(|_| bad_argument("nparams must be zero or greater"))?);
    let count = i32::try_from(params.len()).unwrap_or(i32::MAX);
    Ok((params, count))
}

/// Changes the stored definition; refuses to touch a running guest.
pub(super) async fn edit<F>(domain: &Domain, flags: u32, change: F) -> error::Result<()>
where
    F: FnOnce(&mut DomainDef) -> error::Result<()> + Send + 'static,
{
    let target = Target::of(&domain.view(), flags)?;
    if target.live {
        return Err(Error::new(
            From::Qemu,
            Code::OperationUnsupported,
            "this cannot be changed under a running guest yet",
        ));
    }
    domain.ask(move |actor| Box::pin(actor.edit(change))).await
}

fn number(param: &TypedParam) -> error::Result<u64> {
    match &param.value {
        TypedParamValue::Ullong(value) => Ok(*value),
        TypedParamValue::Uint(value) => Ok((*value).into()),
        TypedParamValue::Llong(value) => u64::try_from(*value).map_err(|_| wrong(param)),
        TypedParamValue::Int(value) => u64::try_from(*value).map_err(|_| wrong(param)),
        _ => Err(wrong(param)),
    }
}

fn signed(param: &TypedParam) -> error::Result<i64> {
    match &param.value {
        TypedParamValue::Llong(value) => Ok(*value),
        TypedParamValue::Int(value) => Ok((*value).into()),
        _ => i64::try_from(number(param)?).map_err(|_| wrong(param)),
    }
}

fn text(param: &TypedParam) -> error::Result<&str> {
    match &param.value {
        TypedParamValue::String(text) => Ok(text),
        _ => Err(wrong(param)),
    }
}

fn wrong(param: &TypedParam) -> Error {
    bad_argument(format!("invalid type or value for parameter '{}'", param.field))
}

fn unknown(param: &TypedParam) -> Error {
    Error::new(From::None, Code::ArgumentUnsupported, format!("parameter '{}' not supported", param.field))
}

pub(super) async fn memory(
    api: &Api,
    _: &Call,
    args: remote::DomainGetMemoryParametersArgs,
) -> error::Result<remote::DomainGetMemoryParametersRet> {
    check_flags("qemuDomainGetMemoryParameters", args.flags, AFFECT | STRINGS)?;
    let view = api.find(&args.dom)?.view();
    let tune = info::pick(&view, args.flags)?.mem_tune;
    let value = |limit: Option<u64>| limit.unwrap_or(c::VIR_DOMAIN_MEMORY_PARAM_UNLIMITED.unsigned_abs());
    let params = vec![
        TypedParam::ullong(c::VIR_DOMAIN_MEMORY_HARD_LIMIT, value(tune.hard_limit)),
        TypedParam::ullong(c::VIR_DOMAIN_MEMORY_SOFT_LIMIT, value(tune.soft_limit)),
        TypedParam::ullong(c::VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT, value(tune.swap_hard_limit)),
    ];
    let (params, nparams) = answer(params, args.nparams, args.flags)?;
    Ok(remote::DomainGetMemoryParametersRet { params, nparams })
}

pub(super) async fn set_memory(api: &Api, _: &Call, args: remote::DomainSetMemoryParametersArgs) -> error::Result<()> {
    check_flags("qemuDomainSetMemoryParameters", args.flags, AFFECT)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        let unlimited = c::VIR_DOMAIN_MEMORY_PARAM_UNLIMITED.unsigned_abs();
        for param in &args.params {
            let value = Some(number(param)?).filter(|kib| *kib < unlimited);
            match param.field.as_str() {
                c::VIR_DOMAIN_MEMORY_HARD_LIMIT => def.mem_tune.hard_limit = value,
                c::VIR_DOMAIN_MEMORY_SOFT_LIMIT => def.mem_tune.soft_limit = value,
                c::VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT => def.mem_tune.swap_hard_limit = value,
                _ => return Err(unknown(param)),
            }
        }
        match (def.mem_tune.hard_limit, def.mem_tune.swap_hard_limit) {
            (Some(hard), Some(swap)) if swap < hard => {
                Err(bad_argument("memory hard_limit tunable value must be lower than or equal to swap_hard_limit"))
            }
            _ => Ok(()),
        }
    })
    .await
}

pub(super) async fn blkio(
    api: &Api,
    _: &Call,
    args: remote::DomainGetBlkioParametersArgs,
) -> error::Result<remote::DomainGetBlkioParametersRet> {
    check_flags("qemuDomainGetBlkioParameters", args.flags, AFFECT | STRINGS)?;
    let view = api.find(&args.dom)?.view();
    let tune = &info::pick(&view, args.flags)?.blkio;
    let list = |value: fn(&conf::domain::resource::BlkioDevice) -> u64| {
        let parts = tune
            .devices
            .iter()
            .filter(|device| value(device) != 0)
            .map(|device| format!("{},{}", device.path, value(device)));
        parts.collect::<Vec<_>>().join(",")
    };
    let params = vec![
        TypedParam::uint(c::VIR_DOMAIN_BLKIO_WEIGHT, tune.weight),
        TypedParam::string(c::VIR_DOMAIN_BLKIO_DEVICE_WEIGHT, list(|device| device.weight.into())),
        TypedParam::string(c::VIR_DOMAIN_BLKIO_DEVICE_READ_IOPS, list(|device| device.read_iops_sec.into())),
        TypedParam::string(c::VIR_DOMAIN_BLKIO_DEVICE_WRITE_IOPS, list(|device| device.write_iops_sec.into())),
        TypedParam::string(c::VIR_DOMAIN_BLKIO_DEVICE_READ_BPS, list(|device| device.read_bytes_sec)),
        TypedParam::string(c::VIR_DOMAIN_BLKIO_DEVICE_WRITE_BPS, list(|device| device.write_bytes_sec)),
    ];
    let (params, nparams) = answer(params, args.nparams, args.flags)?;
    Ok(remote::DomainGetBlkioParametersRet { params, nparams })
}

pub(super) async fn set_blkio(api: &Api, _: &Call, args: remote::DomainSetBlkioParametersArgs) -> error::Result<()> {
    check_flags("qemuDomainSetBlkioParameters", args.flags, AFFECT)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        for param in &args.params {
            match param.field.as_str() {
                c::VIR_DOMAIN_BLKIO_WEIGHT => {
                    def.blkio.weight = u32::try_from(number(param)?).map_err(|_| wrong(param))?
                }
                _ => return Err(unknown(param)),
            }
        }
        Ok(())
    })
    .await
}

/// Name and place of each limit of a disk, in libvirt's order before and after the group's name.
const IOTUNE: &[(&str, fn(&mut IoTune) -> &mut u64)] = &[
    ("total_bytes_sec", |t| &mut t.total_bytes_sec),
    ("read_bytes_sec", |t| &mut t.read_bytes_sec),
    ("write_bytes_sec", |t| &mut t.write_bytes_sec),
    ("total_iops_sec", |t| &mut t.total_iops_sec),
    ("read_iops_sec", |t| &mut t.read_iops_sec),
    ("write_iops_sec", |t| &mut t.write_iops_sec),
    ("total_bytes_sec_max", |t| &mut t.total_bytes_sec_max),
    ("read_bytes_sec_max", |t| &mut t.read_bytes_sec_max),
    ("write_bytes_sec_max", |t| &mut t.write_bytes_sec_max),
    ("total_iops_sec_max", |t| &mut t.total_iops_sec_max),
    ("read_iops_sec_max", |t| &mut t.read_iops_sec_max),
    ("write_iops_sec_max", |t| &mut t.write_iops_sec_max),
    ("size_iops_sec", |t| &mut t.size_iops_sec),
    ("total_bytes_sec_max_length", |t| &mut t.total_bytes_sec_max_length),
    ("read_bytes_sec_max_length", |t| &mut t.read_bytes_sec_max_length),
    ("write_bytes_sec_max_length", |t| &mut t.write_bytes_sec_max_length),
    ("total_iops_sec_max_length", |t| &mut t.total_iops_sec_max_length),
    ("read_iops_sec_max_length", |t| &mut t.read_iops_sec_max_length),
    ("write_iops_sec_max_length", |t| &mut t.write_iops_sec_max_length),
];
/// Where the group's name stands among them.
const GROUP_PLACE: usize = 13;

pub(super) async fn io_tune(
    api: &Api,
    _: &Call,
    args: remote::DomainGetBlockIoTuneArgs,
) -> error::Result<remote::DomainGetBlockIoTuneRet> {
    check_flags("qemuDomainGetBlockIoTune", args.flags, AFFECT | STRINGS)?;
    let view = api.find(&args.dom)?.view();
    let def = info::pick(&view, args.flags)?;
    let path = args.disk.as_deref().unwrap_or_default();
    // Without a disk the client only asks how many there are.
    let mut tune = match block::find(def, path) {
        Some(disk) => disk.iotune.clone(),
        None if args.disk.is_none() && args.nparams == 0 => IoTune::default(),
        None => return Err(bad_argument(format!("disk '{path}' was not found in the domain config"))),
    };
    let group = tune.group_name.clone().unwrap_or_default();
    let mut params: Vec<_> = IOTUNE.iter().map(|(name, field)| TypedParam::ullong(*name, *field(&mut tune))).collect();
    params.insert(GROUP_PLACE, TypedParam::string("group_name", group));
    let (params, nparams) = answer(params, args.nparams, args.flags)?;
    Ok(remote::DomainGetBlockIoTuneRet { params, nparams })
}

pub(super) async fn set_io_tune(api: &Api, _: &Call, args: remote::DomainSetBlockIoTuneArgs) -> error::Result<()> {
    check_flags("qemuDomainSetBlockIoTune", args.flags, AFFECT)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        let missing = || bad_argument(format!("missing persistent configuration for disk '{}'", args.disk));
        let target = block::find(def, &args.disk).map(|disk| disk.dst.clone()).ok_or_else(missing)?;
        let disk = def.devices.disks.iter_mut().find(|disk| disk.dst == target).expect("found above");
        for param in &args.params {
            match IOTUNE.iter().find(|(name, _)| *name == param.field) {
                Some((_, field)) => *field(&mut disk.iotune) = number(param)?,
                None if param.field == "group_name" => disk.iotune.group_name = Some(text(param)?.to_owned()),
                None => return Err(unknown(param)),
            }
        }
        check_io_tune(&disk.iotune)
    })
    .await
}

fn check_io_tune(tune: &IoTune) -> error::Result<()> {
    let clash = |total: u64, read: u64, write: u64| total != 0 && (read != 0 || write != 0);
    if clash(tune.total_bytes_sec, tune.read_bytes_sec, tune.write_bytes_sec) {
        return Err(bad_argument("total and read/write of bytes_sec cannot be set at the same time"));
    }
    if clash(tune.total_iops_sec, tune.read_iops_sec, tune.write_iops_sec) {
        return Err(bad_argument("total and read/write of iops_sec cannot be set at the same time"));
    }
    Ok(())
}

pub(super) async fn numa(
    api: &Api,
    _: &Call,
    args: remote::DomainGetNumaParametersArgs,
) -> error::Result<remote::DomainGetNumaParametersRet> {
    check_flags("qemuDomainGetNumaParameters", args.flags, AFFECT | STRINGS)?;
    let view = api.find(&args.dom)?.view();
    let memory = info::pick(&view, args.flags)?.numatune.memory.clone();
    let mode = match memory.as_ref().and_then(|memory| memory.mode) {
        None | Some(NumaMode::Strict) => c::VIR_DOMAIN_NUMATUNE_MEM_STRICT,
        Some(NumaMode::Preferred) => c::VIR_DOMAIN_NUMATUNE_MEM_PREFERRED,
        Some(NumaMode::Interleave) => c::VIR_DOMAIN_NUMATUNE_MEM_INTERLEAVE,
        Some(NumaMode::Restrictive) => c::VIR_DOMAIN_NUMATUNE_MEM_RESTRICTIVE,
    };
    let nodes = memory.and_then(|memory| memory.nodes).map(|nodes| nodes.to_string()).unwrap_or_default();
    let params =
        vec![TypedParam::int(c::VIR_DOMAIN_NUMA_MODE, mode), TypedParam::string(c::VIR_DOMAIN_NUMA_NODESET, nodes)];
    let (params, nparams) = answer(params, args.nparams, args.flags)?;
    Ok(remote::DomainGetNumaParametersRet { params, nparams })
}

pub(super) async fn set_numa(api: &Api, _: &Call, args: remote::DomainSetNumaParametersArgs) -> error::Result<()> {
    check_flags("qemuDomainSetNumaParameters", args.flags, AFFECT)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        let mut memory = def.numatune.memory.take().unwrap_or(NumaMemory { mode: None, placement: None, nodes: None });
        for param in &args.params {
            match param.field.as_str() {
                c::VIR_DOMAIN_NUMA_MODE => memory.mode = Some(numa_mode(param)?),
                c::VIR_DOMAIN_NUMA_NODESET => {
                    let nodes = Bitmap::parse(text(param)?)?;
                    if nodes.is_empty() {
                        return Err(Error::new(
                            From::Qemu,
                            Code::OperationInvalid,
                            format!("Invalid nodeset of 'numatune': {}", text(param)?),
                        ));
                    }
                    memory.nodes = Some(nodes);
                }
                _ => return Err(unknown(param)),
            }
        }
        memory.mode.get_or_insert(NumaMode::Strict);
        def.numatune.memory = Some(memory);
        Ok(())
    })
    .await
}

fn numa_mode(param: &TypedParam) -> error::Result<NumaMode> {
    match i32::try_from(number(param)?).unwrap_or(-1) {
        c::VIR_DOMAIN_NUMATUNE_MEM_STRICT => Ok(NumaMode::Strict),
        c::VIR_DOMAIN_NUMATUNE_MEM_PREFERRED => Ok(NumaMode::Preferred),
        c::VIR_DOMAIN_NUMATUNE_MEM_INTERLEAVE => Ok(NumaMode::Interleave),
        c::VIR_DOMAIN_NUMATUNE_MEM_RESTRICTIVE => Ok(NumaMode::Restrictive),
        other => Err(Error::new(From::Qemu, Code::InvalidArg, format!("unsupported numatune mode: '{other}'"))),
    }
}

pub(super) async fn scheduler(
    api: &Api,
    call: &Call,
    args: remote::DomainGetSchedulerParametersArgs,
) -> error::Result<remote::DomainGetSchedulerParametersRet> {
    let args = remote::DomainGetSchedulerParametersFlagsArgs { dom: args.dom, nparams: args.nparams, flags: 0 };
    Ok(remote::DomainGetSchedulerParametersRet { params: scheduler_flags(api, call, args).await?.params })
}

pub(super) async fn scheduler_flags(
    api: &Api,
    _: &Call,
    args: remote::DomainGetSchedulerParametersFlagsArgs,
) -> error::Result<remote::DomainGetSchedulerParametersFlagsRet> {
    check_flags("qemuDomainGetSchedulerParametersFlags", args.flags, AFFECT | STRINGS)?;
    let view = api.find(&args.dom)?.view();
    let tune = &info::pick(&view, args.flags)?.cputune;
    let params = vec![
        TypedParam::ullong("cpu_shares", tune.shares.unwrap_or(0)),
        TypedParam::ullong("vcpu_period", tune.period.unwrap_or(0)),
        TypedParam::llong("vcpu_quota", tune.quota.unwrap_or(0)),
        TypedParam::ullong("emulator_period", tune.emulator_period.unwrap_or(0)),
        TypedParam::llong("emulator_quota", tune.emulator_quota.unwrap_or(0)),
        TypedParam::ullong("global_period", tune.global_period.unwrap_or(0)),
        TypedParam::llong("global_quota", tune.global_quota.unwrap_or(0)),
        TypedParam::ullong("iothread_period", tune.iothread_period.unwrap_or(0)),
        TypedParam::llong("iothread_quota", tune.iothread_quota.unwrap_or(0)),
    ];
    let (params, _) = answer(params, args.nparams, args.flags)?;
    Ok(remote::DomainGetSchedulerParametersFlagsRet { params })
}

pub(super) async fn set_scheduler(
    api: &Api,
    call: &Call,
    args: remote::DomainSetSchedulerParametersArgs,
) -> error::Result<()> {
    set_scheduler_flags(
        api,
        call,
        remote::DomainSetSchedulerParametersFlagsArgs { dom: args.dom, params: args.params, flags: 0 },
    )
    .await
}

pub(super) async fn set_scheduler_flags(
    api: &Api,
    _: &Call,
    args: remote::DomainSetSchedulerParametersFlagsArgs,
) -> error::Result<()> {
    check_flags("qemuDomainSetSchedulerParametersFlags", args.flags, AFFECT)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        let tune = &mut def.cputune;
        for param in &args.params {
            // 0 stands for "not set", which is what a reader gets back.
            let period = || number(param).map(|value| Some(value).filter(|value| *value != 0));
            let quota = || signed(param).map(|value| Some(value).filter(|value| *value != 0));
            match param.field.as_str() {
                "cpu_shares" => tune.shares = period()?,
                "vcpu_period" => tune.period = checked_period(param, period()?)?,
                "vcpu_quota" => tune.quota = quota()?,
                "emulator_period" => tune.emulator_period = checked_period(param, period()?)?,
                "emulator_quota" => tune.emulator_quota = quota()?,
                "global_period" => tune.global_period = checked_period(param, period()?)?,
                "global_quota" => tune.global_quota = quota()?,
                "iothread_period" => tune.iothread_period = checked_period(param, period()?)?,
                "iothread_quota" => tune.iothread_quota = quota()?,
                _ => return Err(unknown(param)),
            }
        }
        Ok(())
    })
    .await
}

/// The kernel's bounds of a period in microseconds.
fn checked_period(param: &TypedParam, period: Option<u64>) -> error::Result<Option<u64>> {
    match period {
        Some(value) if !(1000..=1_000_000).contains(&value) => {
            Err(bad_argument(format!("value of '{}' is out of range [1000, 1000000]", param.field)))
        }
        fine => Ok(fine),
    }
}

pub(super) async fn interface(
    api: &Api,
    _: &Call,
    args: remote::DomainGetInterfaceParametersArgs,
) -> error::Result<remote::DomainGetInterfaceParametersRet> {
    check_flags("qemuDomainGetInterfaceParameters", args.flags, AFFECT | STRINGS)?;
    let view = api.find(&args.dom)?.view();
    let def = info::pick(&view, args.flags)?;
    let bandwidth = match super::interface::find(def, &args.device) {
        Some(interface) => interface.bandwidth.unwrap_or_default(),
        None if args.device.is_empty() && args.nparams == 0 => Default::default(),
        None => return Err(bad_argument(format!("Can't find device {}", args.device))),
    };
    let (inbound, outbound) = (bandwidth.inbound.unwrap_or_default(), bandwidth.outbound.unwrap_or_default());
    let value = |value: Option<u64>| u32::try_from(value.unwrap_or(0)).unwrap_or(u32::MAX);
    let params = vec![
        TypedParam::uint("inbound.average", value(inbound.average)),
        TypedParam::uint("inbound.peak", value(inbound.peak)),
        TypedParam::uint("inbound.burst", value(inbound.burst)),
        TypedParam::uint("inbound.floor", value(inbound.floor)),
        TypedParam::uint("outbound.average", value(outbound.average)),
        TypedParam::uint("outbound.peak", value(outbound.peak)),
        TypedParam::uint("outbound.burst", value(outbound.burst)),
    ];
    let (params, nparams) = answer(params, args.nparams, args.flags)?;
    Ok(remote::DomainGetInterfaceParametersRet { params, nparams })
}

pub(super) async fn set_interface(
    api: &Api,
    _: &Call,
    args: remote::DomainSetInterfaceParametersArgs,
) -> error::Result<()> {
    check_flags("qemuDomainSetInterfaceParameters", args.flags, AFFECT)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        let missing = || bad_argument(format!("Can't find device {}", args.device));
        let mac = super::interface::find(def, &args.device).ok_or_else(missing)?.mac;
        let interface = def.devices.interfaces.iter_mut().find(|interface| interface.mac == mac).ok_or_else(missing)?;
        if !matches!(
            interface.kind,
            InterfaceKind::Network | InterfaceKind::Bridge | InterfaceKind::Direct | InterfaceKind::Ethernet
        ) {
            let text = format!("setting bandwidth on interfaces of type '{}' is not implemented yet", interface.kind);
            return Err(Error::new(From::Qemu, Code::ConfigUnsupported, text));
        }
        let mut bandwidth = interface.bandwidth.unwrap_or_default();
        for param in &args.params {
            let value = Some(number(param)?).filter(|value| *value != 0);
            let (direction, what) = param.field.split_once('.').ok_or_else(|| unknown(param))?;
            let rate = match direction {
                "inbound" => bandwidth.inbound.get_or_insert_default(),
                "outbound" => bandwidth.outbound.get_or_insert_default(),
                _ => return Err(unknown(param)),
            };
            match what {
                "average" => rate.average = value,
                "peak" => rate.peak = value,
                "burst" => rate.burst = value,
                "floor" if direction == "inbound" => rate.floor = value,
                _ => return Err(unknown(param)),
            }
        }
        // Without an average, and without a floor, there is nothing to limit.
        bandwidth.inbound = bandwidth.inbound.filter(|rate| rate.average.is_some() || rate.floor.is_some());
        bandwidth.outbound = bandwidth.outbound.filter(|rate| rate.average.is_some());
        interface.bandwidth = Some(bandwidth).filter(|b| b.inbound.is_some() || b.outbound.is_some());
        Ok(())
    })
    .await
}
