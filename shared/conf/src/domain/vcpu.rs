//! Virtual CPUs and I/O threads: how many, which, and how they are scheduled.

use xml::text_enum;

use crate::Bitmap;

text_enum! {
    /// Who chooses the host CPUs.
    pub enum Placement { Static = "static", Auto = "auto" }
}

/// One entry of `<vcpus>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vcpu {
    pub online: bool,
    pub hotpluggable: Option<bool>,
    pub order: Option<u32>,
}

/// `<vcpu>` and `<vcpus>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vcpus {
    /// One per possible vCPU; `len()` is the maximum.
    pub vcpus: Vec<Vcpu>,
    pub placement: Option<Placement>,
    pub cpuset: Option<Bitmap>,
    /// `<vcpus>` was given, so each is printed.
    pub individual: bool,
}

impl Vcpus {
    /// Online vCPUs.
    pub fn online(&self) -> usize {
        self.vcpus.iter().filter(|v| v.online).count()
    }

    /// Possible vCPUs.
    pub fn max(&self) -> usize {
        self.vcpus.len()
    }
}

/// `<iothread id=>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Iothread {
    pub id: u32,
    /// It was listed in `<iothreadids>`, not only counted.
    pub listed: bool,
    pub poll_max: Option<u64>,
    pub poll_grow: Option<u64>,
    pub poll_shrink: Option<u64>,
    pub thread_pool_min: Option<i32>,
    pub thread_pool_max: Option<i32>,
}

/// `<defaultiothread>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DefaultIothread {
    pub thread_pool_min: Option<i32>,
    pub thread_pool_max: Option<i32>,
}

text_enum! {
    /// Scheduler.
    pub enum Scheduler { Batch = "batch", Idle = "idle", Fifo = "fifo", Rr = "rr" }
}

/// `<vcpusched>`, `<iothreadsched>`, `<emulatorsched>` for a set of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Sched {
    pub ids: Bitmap,
    pub scheduler: Scheduler,
    pub priority: Option<i32>,
}

/// `<vcpupin>`, `<iothreadpin>`
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    pub id: u32,
    pub cpuset: Bitmap,
}

/// `<cachetune>`
#[derive(Clone, Debug, PartialEq)]
pub struct CacheTune {
    pub vcpus: Bitmap,
    pub id: Option<String>,
    pub caches: Vec<CacheAllocation>,
    pub monitors: Vec<ResctrlMonitor>,
}
text_enum! {
    /// What is cached.
    pub enum CacheKind { Both = "both", Code = "code", Data = "data" }
}
/// `<cache>` of a cachetune; size in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheAllocation {
    pub level: u32,
    pub id: u32,
    pub kind: CacheKind,
    pub size: u64,
}
/// `<monitor>`
#[derive(Clone, Debug, PartialEq)]
pub struct ResctrlMonitor {
    pub level: Option<u32>,
    pub vcpus: Bitmap,
}
/// `<memorytune>`
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryTune {
    pub vcpus: Bitmap,
    /// node, bandwidth
    pub nodes: Vec<(u32, u32)>,
    pub monitors: Vec<ResctrlMonitor>,
}

/// `<cputune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuTune {
    pub shares: Option<u64>,
    pub period: Option<u64>,
    pub quota: Option<i64>,
    pub global_period: Option<u64>,
    pub global_quota: Option<i64>,
    pub emulator_period: Option<u64>,
    pub emulator_quota: Option<i64>,
    pub iothread_period: Option<u64>,
    pub iothread_quota: Option<i64>,
    pub vcpu_pins: Vec<Pin>,
    pub emulator_pin: Option<Bitmap>,
    pub iothread_pins: Vec<Pin>,
    pub vcpu_scheds: Vec<Sched>,
    pub iothread_scheds: Vec<Sched>,
    pub emulator_sched: Option<(Scheduler, Option<i32>)>,
    pub cache_tunes: Vec<CacheTune>,
    pub memory_tunes: Vec<MemoryTune>,
}
