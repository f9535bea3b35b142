//! Sizes and counters of disks.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use conf::domain::DomainDef;
use conf::domain::device::disk::DiskDef;
use conf::domain::device::source::{ImageFormat, SourceKind};
use error::{Code, Domain as From, Error};
use protocol::remote;
use rpc::Call;
use serde_json::Value;

use super::{Api, bad_argument, check_flags, not_running};
use crate::domain::lifecycle::refused;
use crate::qmp::commands::QueryBlockstats;

pub(super) async fn block_info(
    api: &Api,
    _: &Call,
    args: remote::DomainGetBlockInfoArgs,
) -> error::Result<remote::DomainGetBlockInfoRet> {
    check_flags("qemuDomainGetBlockInfo", args.flags, 0)?;
    let view = api.find(&args.dom)?.view();
    let missing = || bad_argument(format!("invalid path {} not assigned to domain", args.path));
    let disk = find(view.definition(), &args.path).ok_or_else(missing)?;
    if disk.source.is_empty() {
        return Err(bad_argument(format!("disk '{}' does not currently have a source assigned", args.path)));
    }
    let (Some(path), SourceKind::File | SourceKind::Block) = (disk.source.path.clone(), disk.source.kind) else {
        return Err(Error::new(From::Qemu, Code::OperationUnsupported, "size of this kind of source is not known"));
    };
    let format = disk.source.format.unwrap_or(ImageFormat::Raw).to_string();
    let measured = host::run_blocking({
        let path = path.clone();
        move || sizes(&path, &format)
    });
    measured.await.map_err(|e| Error::system(From::Qemu, &e, format!("cannot stat file '{path}'")))
}

/// Allocation, capacity and physical size of an image on this host.
pub(super) fn sizes(path: &str, format: &str) -> std::io::Result<remote::DomainGetBlockInfoRet> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let physical = if meta.file_type().is_block_device() { host::block_device::size(&file)? } else { meta.len() };
    let allocation = if meta.is_file() { meta.blocks() * 512 } else { physical };
    let header = image::read_header(&file)?;
    // The format is what the definition says, never what the guest wrote into the image.
    let capacity = match image::Format::from_name(format) {
        Some(format) => image::Metadata::read(format, &header).capacity_of(physical),
        None => physical,
    };
    Ok(remote::DomainGetBlockInfoRet { allocation, capacity, physical })
}

pub(super) async fn block_stats(
    api: &Api,
    _: &Call,
    args: remote::DomainBlockStatsArgs,
) -> error::Result<remote::DomainBlockStatsRet> {
    let domain = api.find(&args.dom)?;
    let view = domain.view();
    let Some(def) = view.live.clone().filter(|_| view.is_active()) else { return Err(not_running()) };
    let stats = domain.ask(|actor| Box::pin(actor.block_stats())).await?;
    let aliases: Vec<String> = if args.path.is_empty() {
        def.devices.disks.iter().filter_map(|disk| disk.info.alias.clone()).collect()
    } else {
        let missing = || bad_argument(format!("invalid path: {}", args.path));
        vec![find(&def, &args.path).ok_or_else(missing)?.info.alias.clone().unwrap_or_default()]
    };
    let mut ret = remote::DomainBlockStatsRet { errs: -1, ..Default::default() };
    for counters in aliases.iter().filter_map(|alias| counters(&stats, alias)) {
        ret.rd_req += counters.read.requests;
        ret.rd_bytes += counters.read.bytes;
        ret.wr_req += counters.write.requests;
        ret.wr_bytes += counters.write.bytes;
    }
    Ok(ret)
}

/// Requests, bytes and nanoseconds of one kind of access.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub(super) requests: i64,
    pub(super) bytes: i64,
    pub(super) time: i64,
}

/// Counters of one disk.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) read: Access,
    pub(super) write: Access,
    pub(super) flush: Access,
}

/// The counters of the disk with this alias in QEMU's answer.
pub(super) fn counters(stats: &[Value], alias: &str) -> Option<Counters> {
    let ours = |entry: &&Value| {
        let qdev = entry.get("qdev").and_then(Value::as_str).unwrap_or_default();
        qdev == alias
            || qdev.strip_prefix("/machine/peripheral/").is_some_and(|rest| rest.split('/').next() == Some(alias))
    };
    let stats = stats.iter().find(ours)?.get("stats")?;
    let number = |key: &str| stats.get(key).and_then(Value::as_i64).unwrap_or(0);
    Some(Counters {
        read: Access { requests: number("rd_operations"), bytes: number("rd_bytes"), time: number("rd_total_time_ns") },
        write: Access {
            requests: number("wr_operations"),
            bytes: number("wr_bytes"),
            time: number("wr_total_time_ns"),
        },
        flush: Access { requests: number("flush_operations"), bytes: 0, time: number("flush_total_time_ns") },
    })
}

/// The disk with this target name or source path.
pub(super) fn find<'a>(def: &'a DomainDef, path: &str) -> Option<&'a DiskDef> {
    let mut disks = def.devices.disks.iter();
    disks.clone().find(|disk| disk.dst == path).or_else(|| disks.find(|disk| disk.source.path.as_deref() == Some(path)))
}

impl crate::domain::actor::Actor {
    /// Counters of all disks, as QEMU tells them.
    pub async fn block_stats(&mut self) -> error::Result<Vec<Value>> {
        self.monitor()?.execute(&QueryBlockstats { query_nodes: None }).await.map_err(refused)
    }
}
