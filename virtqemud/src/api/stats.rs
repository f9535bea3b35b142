//! Statistics of many domains at once, and raw monitor commands.

use std::time::Duration;

use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::qemu;
use protocol::remote::{self, TypedParam};
use rpc::Call;
use serde_json::Value;

use super::{Api, block, check_flags, interface, list, not_running};
use crate::domain::handle::Domain;
use crate::domain::lifecycle::refused;
use crate::domain::view::DomainView;
use crate::process::usage;
use crate::qmp::commands::{HumanMonitorCommand, QomGet};

/// One guest that does not answer costs the others no more than this.
const GUEST_DEADLINE: Duration = Duration::from_secs(2);
/// A command typed by a user may take longer than ours.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

const SERVED: u32 = c::VIR_DOMAIN_STATS_STATE
    | c::VIR_DOMAIN_STATS_CPU_TOTAL
    | c::VIR_DOMAIN_STATS_BALLOON
    | c::VIR_DOMAIN_STATS_VCPU
    | c::VIR_DOMAIN_STATS_INTERFACE
    | c::VIR_DOMAIN_STATS_BLOCK;
const LIST_FLAGS: u32 = c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
    | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE
    | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT
    | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT
    | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING
    | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED
    | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF
    | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER;

pub(super) async fn all(
    api: &Api,
    _: &Call,
    args: remote::ConnectGetAllDomainStatsArgs,
) -> error::Result<remote::ConnectGetAllDomainStatsRet> {
    let options = c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING
        | c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS;
    check_flags("qemuConnectGetAllDomainStats", args.flags, LIST_FLAGS | options)?;
    let unknown = args.stats & !SERVED;
    if unknown != 0 && args.flags & c::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS != 0 {
        return Err(Error::new(
            From::Qemu,
            Code::ArgumentUnsupported,
            format!("Stats types bits 0x{unknown:x} are not supported by this daemon"),
        ));
    }
    let wanted = if args.stats == 0 { SERVED } else { args.stats };
    let domains = if args.doms.is_empty() {
        api.driver.domains.list()
    } else {
        args.doms.iter().map(|dom| api.find(dom)).collect::<error::Result<_>>()?
    };
    let chosen = domains.into_iter().filter(|domain| list::matches(&domain.view(), args.flags & LIST_FLAGS));
    let records = chosen.map(|domain| async move { record(&domain, wanted).await });
    Ok(remote::ConnectGetAllDomainStatsRet { ret_stats: futures_util::future::join_all(records).await })
}

async fn record(domain: &Domain, wanted: u32) -> remote::DomainStatsRecord {
    let view = domain.view();
    let mut params = Vec::new();
    let wants = |flag| wanted & flag != 0;
    if wants(c::VIR_DOMAIN_STATS_STATE) {
        params.push(TypedParam::int("state.state", view.state.state));
        params.push(TypedParam::int("state.reason", view.state.reason));
    }
    if wants(c::VIR_DOMAIN_STATS_CPU_TOTAL) {
        let used = view.pid.and_then(usage::process).unwrap_or_default();
        params.push(TypedParam::ullong("cpu.time", nanoseconds(used.cpu_time)));
        params.push(TypedParam::ullong("cpu.user", nanoseconds(used.user)));
        params.push(TypedParam::ullong("cpu.system", nanoseconds(used.system)));
    }
    if wants(c::VIR_DOMAIN_STATS_BALLOON) {
        balloon(&view, &mut params);
    }
    if wants(c::VIR_DOMAIN_STATS_VCPU) {
        vcpus(&view, &mut params);
    }
    if wants(c::VIR_DOMAIN_STATS_INTERFACE) && view.is_active() {
        interfaces(&view, &mut params);
    }
    if wants(c::VIR_DOMAIN_STATS_BLOCK) {
        blocks(domain, &view, &mut params).await;
    }
    remote::DomainStatsRecord { dom: view.wire(), params }
}

fn balloon(view: &DomainView, params: &mut Vec<TypedParam>) {
    let memory = &view.definition().memory;
    params.push(TypedParam::ullong("balloon.current", memory.current_kib));
    params.push(TypedParam::ullong("balloon.maximum", memory.total_kib));
    if let Some(used) = view.pid.and_then(usage::process) {
        params.push(TypedParam::ullong("balloon.rss", used.resident_kib));
    }
}

fn vcpus(view: &DomainView, params: &mut Vec<TypedParam>) {
    let vcpu = &view.definition().vcpu;
    params.push(TypedParam::uint("vcpu.current", u32::try_from(vcpu.online()).unwrap_or(u32::MAX)));
    params.push(TypedParam::uint("vcpu.maximum", u32::try_from(vcpu.max()).unwrap_or(u32::MAX)));
    for (number, thread) in view.vcpu_threads.iter().enumerate() {
        params.push(TypedParam::int(format!("vcpu.{number}.state"), c::VIR_VCPU_RUNNING));
        if let Some(used) = view.pid.and_then(|pid| usage::thread(pid, *thread)) {
            params.push(TypedParam::ullong(format!("vcpu.{number}.time"), nanoseconds(used.cpu_time)));
        }
    }
}

fn interfaces(view: &DomainView, params: &mut Vec<TypedParam>) {
    let all = &view.definition().devices.interfaces;
    params.push(TypedParam::uint("net.count", u32::try_from(all.len()).unwrap_or(u32::MAX)));
    for (number, interface) in all.iter().enumerate() {
        let Some(name) = interface.target.as_deref() else { continue };
        params.push(TypedParam::string(format!("net.{number}.name"), name));
        let Ok(counters) = interface::counters(name) else { continue };
        let rows = [
            ("rx.bytes", counters.rx_bytes),
            ("rx.pkts", counters.rx_packets),
            ("rx.errs", counters.rx_errs),
            ("rx.drop", counters.rx_drop),
            ("tx.bytes", counters.tx_bytes),
            ("tx.pkts", counters.tx_packets),
            ("tx.errs", counters.tx_errs),
            ("tx.drop", counters.tx_drop),
        ];
        params.extend(rows.map(|(key, value)| TypedParam::ullong(format!("net.{number}.{key}"), value.unsigned_abs())));
    }
}

async fn blocks(domain: &Domain, view: &DomainView, params: &mut Vec<TypedParam>) {
    let stats = if view.is_active() {
        let asked = domain.ask(|actor| Box::pin(actor.block_stats()));
        tokio::time::timeout(GUEST_DEADLINE, asked).await.ok().and_then(Result::ok).unwrap_or_default()
    } else {
        Vec::new()
    };
    let disks = &view.definition().devices.disks;
    params.push(TypedParam::uint("block.count", u32::try_from(disks.len()).unwrap_or(u32::MAX)));
    for (number, disk) in disks.iter().enumerate() {
        params.push(TypedParam::string(format!("block.{number}.name"), disk.dst.clone()));
        if let Some(path) = &disk.source.path {
            params.push(TypedParam::string(format!("block.{number}.path"), path.clone()));
        }
        if view.is_active() && disk.source.index > 0 {
            params.push(TypedParam::uint(format!("block.{number}.backingIndex"), disk.source.index));
        }
        let mut push = |key: &str, value: i64| {
            params.push(TypedParam::ullong(format!("block.{number}.{key}"), value.unsigned_abs()))
        };
        let counters = disk.info.alias.as_deref().and_then(|alias| block::counters(&stats, alias));
        if let Some(counters) = counters {
            push("rd.reqs", counters.read.requests);
            push("rd.bytes", counters.read.bytes);
            push("rd.times", counters.read.time);
            push("wr.reqs", counters.write.requests);
            push("wr.bytes", counters.write.bytes);
            push("wr.times", counters.write.time);
            push("fl.reqs", counters.flush.requests);
            push("fl.times", counters.flush.time);
        }
        if let Some(path) = &disk.source.path {
            let format = disk.source.format.map(|format| format.to_string()).unwrap_or_else(|| "raw".into());
            if let Ok(sizes) = block::sizes(path, &format) {
                params.push(TypedParam::ullong(format!("block.{number}.allocation"), sizes.allocation));
                params.push(TypedParam::ullong(format!("block.{number}.capacity"), sizes.capacity));
                params.push(TypedParam::ullong(format!("block.{number}.physical"), sizes.physical));
            }
        }
    }
}

/// What guests tell through their balloon: (name in QEMU, tag of libvirt, bytes in a unit).
const GUEST_STATS: &[(&str, i32, i64)] = &[
    ("stat-swap-in", c::VIR_DOMAIN_MEMORY_STAT_SWAP_IN, 1024),
    ("stat-swap-out", c::VIR_DOMAIN_MEMORY_STAT_SWAP_OUT, 1024),
    ("stat-major-faults", c::VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT, 1),
    ("stat-minor-faults", c::VIR_DOMAIN_MEMORY_STAT_MINOR_FAULT, 1),
    ("stat-free-memory", c::VIR_DOMAIN_MEMORY_STAT_UNUSED, 1024),
    ("stat-total-memory", c::VIR_DOMAIN_MEMORY_STAT_AVAILABLE, 1024),
    ("stat-available-memory", c::VIR_DOMAIN_MEMORY_STAT_USABLE, 1024),
    ("stat-disk-caches", c::VIR_DOMAIN_MEMORY_STAT_DISK_CACHES, 1024),
    ("stat-htlb-pgalloc", c::VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGALLOC, 1),
    ("stat-htlb-pgfail", c::VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL, 1),
];

pub(super) async fn memory(
    api: &Api,
    _: &Call,
    args: remote::DomainMemoryStatsArgs,
) -> error::Result<remote::DomainMemoryStatsRet> {
    check_flags("qemuDomainMemoryStats", args.flags, 0)?;
    let domain = api.find(&args.dom)?;
    let view = domain.view();
    if !view.is_active() {
        return Err(not_running());
    }
    let stat = |tag: i32, val: u64| remote::DomainMemoryStat { tag, val };
    let mut stats = vec![stat(c::VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, view.definition().memory.current_kib)];
    let alias = view.definition().devices.memballoon.as_ref().and_then(|balloon| balloon.info.alias.clone());
    if let Some(alias) = alias {
        let monitor = domain.ask(|actor| Box::pin(async move { actor.monitor() })).await?;
        let asked = QomGet { path: format!("/machine/peripheral/{alias}"), property: "guest-stats".into() };
        // A guest without the driver has told nothing: its balloon refuses the question.
        if let Ok(told) = monitor.execute_within(&asked, GUEST_DEADLINE).await {
            let value =
                |key: &str| told.pointer(&format!("/stats/{key}")).and_then(Value::as_i64).filter(|value| *value >= 0);
            stats.extend(
                GUEST_STATS.iter().filter_map(|(key, tag, unit)| Some(stat(*tag, (value(key)? / unit).unsigned_abs()))),
            );
            let update = told.get("last-update").and_then(Value::as_u64).unwrap_or(0);
            stats.push(stat(c::VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, update));
        }
    }
    stats.extend(view.pid.and_then(usage::process).map(|used| stat(c::VIR_DOMAIN_MEMORY_STAT_RSS, used.resident_kib)));
    stats.truncate(usize::try_from(args.max_stats).unwrap_or(0));
    Ok(remote::DomainMemoryStatsRet { stats })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) async fn monitor_command(
    api: &Api,
    _: &Call,
    args: qemu::DomainMonitorCommandArgs,
) -> error::Result<qemu::DomainMonitorCommandRet> {
    check_flags("qemuDomainQemuMonitorCommand", args.flags, c::VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)?;
    let domain = api.find(&args.dom)?;
    if !domain.view().is_active() {
        return Err(not_running());
    }
    let monitor = domain.ask(|actor| Box::pin(async move { actor.monitor() })).await?;
    if args.flags & c::VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP != 0 {
        let result = monitor.execute_within(&HumanMonitorCommand { command_line: args.cmd }, COMMAND_DEADLINE).await;
        return Ok(qemu::DomainMonitorCommandRet { result: result.map_err(refused)? });
    }
    let bad = |e: serde_json::Error| {
        Error::new(From::Qemu, Code::InternalError, format!("cannot parse json {}: {e}", args.cmd))
    };
    let Value::Object(request) = serde_json::from_str(&args.cmd).map_err(bad)? else {
        return Err(Error::new(From::Qemu, Code::InternalError, "monitor command is not a JSON object"));
    };
    let answer = monitor.execute_object(request, COMMAND_DEADLINE).await;
    let id = "libvirt-1";
    let result = match answer {
        Ok(value) => serde_json::json!({ "return": value, "id": id }),
        Err(crate::qmp::QmpError::Refused { class, desc, .. }) => {
            serde_json::json!({ "id": id, "error": { "class": class, "desc": desc } })
        }
        Err(e) => return Err(refused(e)),
    };
    Ok(qemu::DomainMonitorCommandRet { result: result.to_string() })
}
