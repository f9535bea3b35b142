//! `-m`, memory back ends, `-overcommit`, I/O threads, throttle groups.

use std::fmt::Write;

use conf::Bitmap;
use conf::domain::DomainDef;
use conf::domain::device::iotune::IoTune;
use conf::domain::device::memory::{MemoryAccess, MemoryModel};
use conf::domain::memory::{MemoryAllocation, MemorySource};
use conf::domain::numa::NumaMode;
use conf::domain::vcpu::Placement;
use error::{Code, Domain, Error, Result};
use serde_json::{Value, json};

use super::escape::on_off;
use super::plan::Builder;
use super::props::Props;
use crate::address::machine as kind;
use crate::capability::host_devices::HostDevices;

/// KiB that the guest has from the start: all but its memory devices.
pub fn initial_kib(def: &DomainDef) -> u64 {
    if !def.numa.cells.is_empty() {
        return def.numa.cells.iter().map(|c| c.memory_kib).sum();
    }
    let devices: u64 = def.devices.memories.iter().map(|m| m.size_kib).sum();
    def.memory.total_kib.saturating_sub(devices)
}

/// Size steps of guest memory in KiB.
pub fn alignment_kib(def: &DomainDef) -> u64 {
    // 256 MiB on pseries, 1 MiB elsewhere.
    if kind::is_pseries(def) { 256 * 1024 } else { 1024 }
}

/// Id of the back end that becomes the machine's main memory.
pub fn default_backend_id(b: &Builder) -> Option<String> {
    if !b.def.numa.cells.is_empty() {
        return None;
    }
    b.capability.machine(b.virt, b.def.os.machine.as_deref().unwrap_or(""))?.default_ram_id.clone()
}

/// Whether the host can place the guest's memory as asked. Automatic placement needs a daemon's advice that nobody gives here.
///
/// # Errors
/// Automatic placement; host nodes that are not there.
pub fn placement(def: &DomainDef, host: &HostDevices) -> Result<()> {
    let auto = Some(Placement::Auto);
    if def.vcpu.placement == auto || def.numatune.memory.as_ref().is_some_and(|m| m.placement == auto) {
        return Err(Error::new(
            Domain::Domain,
            Code::InternalError,
            "Advice from numad is needed in case of automatic numa placement",
        ));
    }
    let overall = def.numatune.memory.iter().filter_map(|m| m.nodes.as_ref());
    overall.chain(def.numatune.nodes.iter().map(|n| &n.nodes)).try_for_each(|nodes| available(nodes, host))
}

fn available(nodes: &Bitmap, host: &HostDevices) -> Result<()> {
    match nodes.iter().find(|n| !host.numa_nodes.contains(n)) {
        Some(missing) => {
            Err(Error::new(Domain::None, Code::ConfigUnsupported, format!("NUMA node {missing} is unavailable")))
        }
        None => Ok(()),
    }
}

/// `-m` and the main memory's back end.
pub fn memory(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let initial = initial_kib(def);
    let mut text = format!("size={initial}k");
    if def.memory.max_kib > 0
        && (def.memory.slots > 0 || def.devices.memories.iter().any(|m| m.model != MemoryModel::SgxEpc))
    {
        let _ = write!(text, ",slots={},maxmem={}k", def.memory.slots, def.memory.max_kib);
    }
    b.option("-m", text);
    if let Some(id) = default_backend_id(b) {
        let wish = Wish { size_kib: initial, system: true, ..Wish::default() };
        let (props, _) = backend(b, &id, &wish)?;
        b.object(&props);
    }
    b.option("-overcommit", format!("mem-lock={}", on_off(def.memory_backing.locked)));
    Ok(())
}

/// What a back end shall be.
#[derive(Default)]
pub struct Wish<'a> {
    /// KiB
    pub size_kib: u64,
    /// NUMA cell of the guest, if it belongs to one.
    pub cell: Option<u32>,
    /// Whether it is the main memory as a whole.
    pub system: bool,
    /// Access, when the device names it.
    pub access: Option<MemoryAccess>,
    /// Discard, likewise.
    pub discard: Option<bool>,
    /// Page size, likewise.
    pub page_kib: Option<u64>,
    /// Host nodes, likewise.
    pub nodes: Option<&'a Bitmap>,
    /// Backing file.
    pub path: Option<&'a str>,
    /// File that outlives the guest and is mapped for persistence.
    pub pmem: bool,
    /// Alignment.
    pub align_kib: Option<u64>,
    /// Read only.
    pub readonly: bool,
    /// No pages before the guest touches them (virtio-mem).
    pub no_prealloc: bool,
    /// No swap reservation (virtio-mem).
    pub no_reserve: bool,
    /// Always a file.
    pub nvdimm: bool,
}

/// A back end; also whether something had to be asked for (else plain memory would do).
pub fn backend(b: &Builder, id: &str, wish: &Wish) -> Result<(Props, bool)> {
    let def = b.def;
    let backing = &def.memory_backing;
    let cell = wish.cell.and_then(|c| def.numa.cells.get(c as usize));
    let shared = wish.access.or(cell.and_then(|c| c.access)).or(backing.access);
    let discard = wish.discard.or(cell.and_then(|c| c.discard)).or(backing.discard.then_some(true));
    let huge = huge_page(b, wish)?;
    let policy = policy(b, wish)?;
    let mut prealloc = backing.allocation == Some(MemoryAllocation::Immediate) && !wish.no_prealloc;
    let memfd = backing.source == Some(MemorySource::Memfd);
    let file = backing.source == Some(MemorySource::File);
    let mut props;
    if wish.path.is_none() && !wish.nvdimm && memfd {
        props = Props::object("memory-backend-memfd", id);
        if let Some((page_kib, _)) = huge {
            props = props.with("hugetlb", true).with("hugetlbsize", page_kib * 1024);
            prealloc |= !wish.no_prealloc;
        }
    } else if huge.is_some() || wish.path.is_some() || wish.nvdimm || file || shared.is_some() {
        let path = match (wish.path, huge) {
            (Some(path), _) => path.to_owned(),
            (None, Some((_, mount))) => {
                prealloc |= !wish.no_prealloc;
                format!("{mount}/libvirt/qemu/{}", b.inputs.short_name)
            }
            (None, None) => format!("{}/ram/{}/{id}", b.inputs.lib_dir, b.inputs.short_name),
        };
        if wish.path.is_some() && !wish.no_prealloc && !wish.pmem {
            prealloc = true;
        }
        props = Props::object("memory-backend-file", id).with("mem-path", path);
        props = props
            .maybe("discard-data", discard.filter(|d| *d))
            .nonzero("align", wish.align_kib.unwrap_or(0) * 1024)
            .maybe("pmem", wish.pmem.then_some(true));
    } else {
        props = Props::object("memory-backend-ram", id);
    }
    let special = props.get("qom-type").and_then(Value::as_str) != Some("memory-backend-ram");
    props = props.maybe("share", shared.map(|s| s == MemoryAccess::Shared));
    if wish.system && special {
        // Since QEMU 4.0 the block's name would hold the whole path, which older guests do not migrate to.
        props = props.with("x-use-canonical-path-for-ramblock-id", false);
    }
    if prealloc {
        props = props.with("prealloc", true).nonzero("prealloc-threads", backing.allocation_threads.unwrap_or(0));
    }
    if wish.no_reserve {
        props = props.with("reserve", false);
    }
    props = props.with("size", wish.size_kib * 1024).maybe("readonly", wish.readonly.then_some(true));
    if let Some((nodes, mode)) = &policy {
        props = props.with("host-nodes", Value::Array(nodes.iter().map(|n| json!(n)).collect())).with("policy", *mode);
    }
    let asked = special || policy.is_some() || shared.is_some() || discard.is_some();
    Ok((props, asked))
}

/// Host nodes and QEMU's word for the policy.
fn policy(b: &Builder, wish: &Wish) -> Result<Option<(Bitmap, &'static str)>> {
    let def = b.def;
    let word = |mode| match mode {
        NumaMode::Strict => Some("bind"),
        NumaMode::Preferred => Some("preferred"),
        NumaMode::Interleave => Some("interleave"),
        // The control group does it.
        NumaMode::Restrictive => None,
    };
    let overall = def.numatune.memory.as_ref();
    let cell = wish.cell.and_then(|c| def.numatune.nodes.iter().find(|n| n.cell == c));
    let mode = cell.map(|c| c.mode).or(overall.and_then(|m| m.mode)).unwrap_or(NumaMode::Strict);
    let nodes =
        wish.nodes.cloned().or_else(|| cell.map(|c| c.nodes.clone())).or_else(|| overall.and_then(|m| m.nodes.clone()));
    let Some(nodes) = nodes else { return Ok(None) };
    available(&nodes, &b.inputs.host)?;
    Ok(word(mode).map(|word| (nodes, word)))
}

/// The huge page size for a back end and where such pages are mounted.
fn huge_page<'a>(b: &'a Builder, wish: &Wish) -> Result<Option<(u64, &'a str)>> {
    let pages = match (&wish.page_kib, &b.def.memory_backing.hugepages) {
        (Some(size), _) => *size,
        (None, Some(pages)) => {
            let mine = wish.cell.and_then(|c| pages.iter().find(|p| p.nodes.as_ref().is_some_and(|n| n.contains(c))));
            let found = mine.or_else(|| pages.iter().find(|p| p.nodes.is_none()));
            match found {
                Some(page) => page.size_kib,
                None if pages.is_empty() => 0,
                None => return Ok(None),
            }
        }
        (None, None) => return Ok(None),
    };
    // A page size equal to the system's own is no huge page.
    if pages == 4 {
        return Ok(None);
    }
    let mounts = &b.inputs.hugepages;
    let found = if pages == 0 { mounts.first() } else { mounts.iter().find(|(size, _)| *size == pages) };
    match found {
        Some((size, path)) => Ok(Some((*size, path))),
        None if mounts.is_empty() => Err(Error::new(
            Domain::Qemu,
            Code::InternalError,
            "hugetlbfs filesystem is not mounted or disabled by administrator config",
        )),
        None => Err(Error::new(
            Domain::Qemu,
            Code::InternalError,
            format!("Unable to find any usable hugetlbfs mount for {pages} KiB"),
        )),
    }
}

/// `-object iothread` and the main loop's thread pool.
pub fn iothreads(b: &mut Builder) {
    for thread in &b.def.iothreads {
        let limit = |v: Option<i32>| v.filter(|v| *v >= 0);
        let props = Props::object("iothread", format!("iothread{}", thread.id))
            .maybe("thread-pool-min", limit(thread.thread_pool_min))
            .maybe("thread-pool-max", limit(thread.thread_pool_max))
            .maybe("poll-max-ns", thread.poll_max)
            .maybe("poll-grow", thread.poll_grow)
            .maybe("poll-shrink", thread.poll_shrink);
        b.object(&props);
    }
    if let Some(main) = &b.def.default_iothread {
        let props = Props::object("main-loop", "main-loop")
            .maybe("thread-pool-min", main.thread_pool_min.filter(|v| *v >= 0))
            .maybe("thread-pool-max", main.thread_pool_max.filter(|v| *v >= 0));
        b.object(&props);
    }
}

/// `-object throttle-group`
pub fn throttle_groups(b: &mut Builder) {
    for group in &b.def.throttle_groups {
        let name = group.group_name.clone().unwrap_or_default();
        let props = Props::object("throttle-group", format!("throttle-{name}")).with("limits", limits(group));
        b.object(&props);
    }
}

fn limits(t: &IoTune) -> Value {
    let props = Props::default()
        .with("bps-total", t.total_bytes_sec)
        .with("bps-read", t.read_bytes_sec)
        .with("bps-write", t.write_bytes_sec)
        .with("iops-total", t.total_iops_sec)
        .with("iops-read", t.read_iops_sec)
        .with("iops-write", t.write_iops_sec)
        .with("bps-total-max", t.total_bytes_sec_max)
        .with("bps-read-max", t.read_bytes_sec_max)
        .with("bps-write-max", t.write_bytes_sec_max)
        .with("iops-total-max", t.total_iops_sec_max)
        .with("iops-read-max", t.read_iops_sec_max)
        .with("iops-write-max", t.write_iops_sec_max)
        .nonzero("bps-total-max-length", t.total_bytes_sec_max_length)
        .nonzero("bps-read-max-length", t.read_bytes_sec_max_length)
        .nonzero("bps-write-max-length", t.write_bytes_sec_max_length)
        .nonzero("iops-total-max-length", t.total_iops_sec_max_length)
        .nonzero("iops-read-max-length", t.read_iops_sec_max_length)
        .nonzero("iops-write-max-length", t.write_iops_sec_max_length)
        .with("iops-size", t.size_iops_sec);
    props.into()
}
