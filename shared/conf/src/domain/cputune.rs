//! Host CPU time, pinning and scheduling of the guest's threads, and their share of caches and memory bandwidth.

use error::{Code, Domain, Error, Result};
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::fault::{internal, unsupported, xml_detail, xml_error};
use crate::Bitmap;

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

/// Reads the text of child `name` as a number within bounds that the kernel has.
fn tune_u64(node: Node<'_>, name: &str) -> Result<Option<u64>> {
    let Some(child) = node.child(name) else { return Ok(None) };
    let value = xml::parse_u64(child.text().trim(), 10)
        .ok_or_else(|| xml_error(format!("can't parse cputune {} value", name.replace('_', " "))))?;
    if name.ends_with("period") && value != 0 && !(1000..=1_000_000).contains(&value) {
        return Err(unsupported(format!("Value of cputune '{name}' must be in range [1000, 1000000]")));
    }
    Ok(Some(value))
}

fn tune_i64(node: Node<'_>, name: &str) -> Result<Option<i64>> {
    let Some(child) = node.child(name) else { return Ok(None) };
    let value = xml::parse_i64(child.text().trim(), 10)
        .ok_or_else(|| xml_error(format!("can't parse cputune {} value", name.replace('_', " "))))?;
    if value > 0 && !(1000..=17_592_186_044_415).contains(&value) {
        return Err(unsupported(format!("Value of cputune '{name}' must be in range [1000, 17592186044415]")));
    }
    Ok(Some(value))
}

fn cpuset(node: Node<'_>) -> Result<Bitmap> {
    let text = node.attr("cpuset").ok_or_else(|| {
        Error::new(Domain::Domain, Code::InternalError, format!("missing cpuset for {}", node.name()))
    })?;
    let set = Bitmap::parse(text)?;
    if set.is_empty() { Err(unsupported(format!("Invalid value of 'cpuset': {text}"))) } else { Ok(set) }
}

fn scheduler(node: Node<'_>) -> Result<(Scheduler, Option<i32>)> {
    let word = node.attr("scheduler").ok_or_else(|| xml_error("Missing 'scheduler' attribute"))?;
    let scheduler = Scheduler::from_word(word).ok_or_else(|| xml_error(format!("Invalid scheduler: {word}")))?;
    let priority = match scheduler {
        Scheduler::Fifo | Scheduler::Rr => {
            Some(node.i32("priority")?.ok_or_else(|| xml_error("Missing scheduler priority"))?)
        }
        Scheduler::Batch | Scheduler::Idle => None,
    };
    Ok((scheduler, priority))
}

/// Reads `<vcpusched>` or `<iothreadsched>`: one entry a thread, so that overlaps show.
fn parse_scheds(node: Node<'_>, element: &str, attribute: &str) -> Result<Vec<Sched>> {
    let mut all: Vec<Sched> = Vec::new();
    for child in node.children(element) {
        let text = child
            .attr(attribute)
            .ok_or_else(|| xml_error(format!("Missing attribute '{attribute}' in element '{element}'")))?;
        let ids = Bitmap::parse(text)?;
        if ids.is_empty() {
            return Err(xml_error(format!("'{element}' attribute '{attribute}' has invalid value '{text}'")));
        }
        let (scheduler, priority) = scheduler(child)?;
        for id in ids.iter() {
            if all.iter().any(|s| s.ids.contains(id)) {
                return Err(xml_detail(format!("'{element}' attributes '{attribute}' must not overlap")));
            }
            all.push(Sched { ids: [id].into_iter().collect(), scheduler, priority });
        }
    }
    all.sort_by_key(|s| s.ids.last());
    Ok(all)
}

fn format_sched(
    w: &mut Writer,
    element: &str,
    ids: Option<(&str, &Bitmap)>,
    scheduler: Scheduler,
    priority: Option<i32>,
) {
    w.element(element, |w| {
        if let Some((name, ids)) = ids {
            w.attr(name, ids);
        }
        w.attr("scheduler", scheduler);
        w.attr_opt("priority", priority);
    });
}

impl CacheTune {
    fn parse(node: Node<'_>) -> Result<Self> {
        let resctrl = |detail: String| Error::new(Domain::Resctrl, Code::XmlError, detail);
        let mut caches: Vec<CacheAllocation> = Vec::new();
        for cache in node.children("cache") {
            let need =
                |name: &str| cache.u32(name)?.ok_or_else(|| xml_error(format!("Missing cachetune attribute '{name}'")));
            let (level, id) = (need("level")?, need("id")?);
            let word = cache.attr("type").ok_or_else(|| xml_error("Missing cachetune attribute 'type'"))?;
            let kind = CacheKind::from_word(word)
                .ok_or_else(|| xml_error(format!("Invalid cachetune attribute 'type' value '{word}'")))?;
            let size = cache.u64("size")?.ok_or_else(|| xml::missing_attribute(cache, "size"))?;
            let clash = caches.iter().any(|c| {
                c.level == level
                    && c.id == id
                    && (c.kind == kind || c.kind == CacheKind::Both || kind == CacheKind::Both)
            });
            if clash {
                return Err(resctrl(format!(
                    "Colliding cache allocations for cache level '{level}' id '{id}', type '{kind}'"
                )));
            }
            caches.push(CacheAllocation {
                level,
                id,
                kind,
                size: crate::size::scaled(size, cache.attr("unit"), 1024, u64::MAX)?,
            });
        }
        let vcpus = Bitmap::parse(node.attr("vcpus").ok_or_else(|| xml_error("Missing cachetune attribute 'vcpus'"))?)?;
        let monitors = ResctrlMonitor::parse_all(node)?;
        Ok(Self { vcpus, id: node.string("id"), caches, monitors })
    }

    fn format(&self, w: &mut Writer, live: bool) {
        w.element("cachetune", |w| {
            w.attr("vcpus", &self.vcpus);
            w.attr_opt("id", self.id.as_deref().filter(|_| live));
            for cache in &self.caches {
                let (size, unit) = if cache.size % 1024 == 0 { (cache.size / 1024, "KiB") } else { (cache.size, "B") };
                w.element("cache", |w| {
                    w.attr("id", cache.id);
                    w.attr("level", cache.level);
                    w.attr("type", cache.kind);
                    w.attr("size", size);
                    w.attr("unit", unit);
                });
            }
            self.monitors.iter().for_each(|m| m.format(w));
        });
    }
}

impl ResctrlMonitor {
    fn parse_all(node: Node<'_>) -> Result<Vec<Self>> {
        node.children("monitor")
            .map(|m| {
                let vcpus =
                    Bitmap::parse(m.attr("vcpus").ok_or_else(|| xml_error("Missing monitor attribute 'vcpus'"))?)?;
                Ok(Self { level: m.u32("level")?, vcpus })
            })
            .collect()
    }

    fn format(&self, w: &mut Writer) {
        w.element("monitor", |w| {
            w.attr_opt("level", self.level);
            w.attr("vcpus", &self.vcpus);
        });
    }
}

impl MemoryTune {
    fn parse(node: Node<'_>) -> Result<Self> {
        let vcpus =
            Bitmap::parse(node.attr("vcpus").ok_or_else(|| xml_error("Missing memorytune attribute 'vcpus'"))?)?;
        let nodes: Result<Vec<_>> = node
            .children("node")
            .map(|n| {
                let need = |name: &str| {
                    n.u32(name)?.ok_or_else(|| xml_error(format!("Missing memorytune attribute '{name}'")))
                };
                Ok((need("id")?, need("bandwidth")?))
            })
            .collect();
        Ok(Self { vcpus, nodes: nodes?, monitors: ResctrlMonitor::parse_all(node)? })
    }

    fn format(&self, w: &mut Writer) {
        w.element("memorytune", |w| {
            w.attr("vcpus", &self.vcpus);
            for (id, bandwidth) in &self.nodes {
                w.element("node", |w| {
                    w.attr("id", id);
                    w.attr("bandwidth", bandwidth);
                });
            }
            self.monitors.iter().for_each(|m| m.format(w));
        });
    }
}

impl CpuTune {
    /// Reads `<cputune>`.
    ///
    /// # Errors
    /// `XML_ERROR`, `XML_DETAIL` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub(super) fn parse(domain: Node<'_>, vcpus: usize) -> Result<Self> {
        let Some(node) = domain.child("cputune") else { return Ok(Self::default()) };
        let mut def = Self {
            shares: tune_u64(node, "shares")?,
            period: tune_u64(node, "period")?,
            quota: tune_i64(node, "quota")?,
            global_period: tune_u64(node, "global_period")?,
            global_quota: tune_i64(node, "global_quota")?,
            emulator_period: tune_u64(node, "emulator_period")?,
            emulator_quota: tune_i64(node, "emulator_quota")?,
            iothread_period: tune_u64(node, "iothread_period")?,
            iothread_quota: tune_i64(node, "iothread_quota")?,
            ..Self::default()
        };
        for pin in node.children("vcpupin") {
            let id = pin.u32("vcpu")?.ok_or_else(|| xml::missing_attribute(pin, "vcpu"))?;
            // libvirt ignores pins of vCPUs that are not there
            if (id as usize) < vcpus {
                if def.vcpu_pins.iter().any(|p| p.id == id) {
                    return Err(internal(format!("duplicate vcpupin for vcpu '{id}'")));
                }
                def.vcpu_pins.push(Pin { id, cpuset: cpuset(pin)? });
            }
        }
        def.vcpu_pins.sort_by_key(|p| p.id);
        let mut emulator = node.children("emulatorpin");
        def.emulator_pin = emulator.next().map(cpuset).transpose()?;
        if emulator.next().is_some() {
            return Err(xml_error("only one emulatorpin is supported"));
        }
        for pin in node.children("iothreadpin") {
            let id = pin.u32_nonzero("iothread")?.ok_or_else(|| xml::missing_attribute(pin, "iothread"))?;
            def.iothread_pins.push(Pin { id, cpuset: cpuset(pin)? });
        }
        def.vcpu_scheds = parse_scheds(node, "vcpusched", "vcpus")?;
        def.iothread_scheds = parse_scheds(node, "iothreadsched", "iothreads")?;
        def.emulator_sched = node.child("emulatorsched").map(scheduler).transpose()?;
        def.cache_tunes = node.children("cachetune").map(CacheTune::parse).collect::<Result<_>>()?;
        def.memory_tunes = node.children("memorytune").map(MemoryTune::parse).collect::<Result<_>>()?;
        Ok(def)
    }

    pub(super) fn format(&self, w: &mut Writer, live: bool) {
        w.element_if_any("cputune", |w| {
            w.leaf_opt("shares", self.shares);
            let pairs = [
                ("period", self.period, "quota", self.quota),
                ("global_period", self.global_period, "global_quota", self.global_quota),
                ("emulator_period", self.emulator_period, "emulator_quota", self.emulator_quota),
                ("iothread_period", self.iothread_period, "iothread_quota", self.iothread_quota),
            ];
            for (period_name, period, quota_name, quota) in pairs {
                w.leaf_opt(period_name, period.filter(|p| *p > 0));
                w.leaf_opt(quota_name, quota.filter(|q| *q != 0));
            }
            let pin = |w: &mut Writer, element: &str, name: &str, pin: &Pin| {
                w.element(element, |w| {
                    w.attr(name, pin.id);
                    w.attr("cpuset", &pin.cpuset);
                });
            };
            self.vcpu_pins.iter().for_each(|p| pin(w, "vcpupin", "vcpu", p));
            w.element_if_any("emulatorpin", |w| w.attr_opt("cpuset", self.emulator_pin.as_ref()));
            self.iothread_pins.iter().for_each(|p| pin(w, "iothreadpin", "iothread", p));
            if let Some((scheduler, priority)) = self.emulator_sched {
                format_sched(w, "emulatorsched", None, scheduler, priority);
            }
            self.vcpu_scheds
                .iter()
                .for_each(|s| format_sched(w, "vcpusched", Some(("vcpus", &s.ids)), s.scheduler, s.priority));
            self.iothread_scheds
                .iter()
                .for_each(|s| format_sched(w, "iothreadsched", Some(("iothreads", &s.ids)), s.scheduler, s.priority));
            self.cache_tunes.iter().for_each(|c| c.format(w, live));
            self.memory_tunes.iter().for_each(|m| m.format(w));
        });
    }
}
