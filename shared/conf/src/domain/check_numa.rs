//! What a guest's NUMA cells and timers may not say.

use error::Result;

use super::DomainDef;
use super::clock::{TickPolicy, TimerName};
use super::fault::{internal, unsupported, xml_error};
use super::numa::Interconnect;

/// Distance of a cell to itself.
const LOCAL_DISTANCE: u32 = 10;

impl DomainDef {
    /// Refuses cells with more CPUs than the guest, and links between cells that are not there.
    pub(super) fn check_numa(&self) -> Result<()> {
        let cells = &self.numa.cells;
        let count = cells.len() as u32;
        let cpus: usize = cells.iter().filter_map(|c| c.cpus.as_ref()).map(crate::Bitmap::len).sum();
        if cpus > self.vcpu.max() {
            return Err(internal("Number of CPUs in <numa> exceeds the <vcpu> count"));
        }
        for (id, cell) in (0u32..).zip(cells) {
            for (sibling, value) in &cell.distances {
                if *sibling >= count {
                    return Err(xml_error(format!(
                        "'sibling_id {sibling}' does not refer to a valid cell within NUMA 'cell id {id}'"
                    )));
                }
                if *sibling == id && *value != LOCAL_DISTANCE {
                    return Err(xml_error(format!(
                        "'value {value}' is invalid for 'sibling id {sibling}' under NUMA 'cell id {id}'"
                    )));
                }
            }
        }
        for (at, link) in self.numa.interconnects.iter().enumerate() {
            self.check_link(link, &self.numa.interconnects[..at])?;
        }
        Ok(())
    }

    fn check_link(&self, link: &Interconnect, before: &[Interconnect]) -> Result<()> {
        let cells = &self.numa.cells;
        if link.initiator as usize >= cells.len() {
            return Err(xml_error("'initiator' refers to a non-existent NUMA node"));
        }
        let Some(target) = cells.get(link.target as usize) else {
            return Err(xml_error("'target' refers to a non-existent NUMA node"));
        };
        if let Some(cache) = link.cache.filter(|c| *c > 0)
            && !target.caches.iter().any(|c| c.level == cache)
        {
            return Err(xml_error("'cache' refers to a non-existent NUMA node cache"));
        }
        let key = |l: &Interconnect| (l.bandwidth, l.initiator, l.target, l.cache, l.kind);
        if before.iter().any(|b| key(b) == key(link)) {
            return Err(xml_error("Duplicate info for NUMA latencies"));
        }
        Ok(())
    }

    /// Refuses settings of timers that have no such setting.
    pub(super) fn check_timers(&self) -> Result<()> {
        for timer in &self.clock.timers {
            let name = timer.name;
            let refuse = |what: &str| Err(unsupported(format!("timer {name} doesn't support setting of timer {what}")));
            if timer.tick_policy.is_some() && matches!(name, TimerName::Kvmclock | TimerName::Hypervclock) {
                return refuse("tickpolicy");
            }
            if timer.catchup.is_some() && timer.tick_policy != Some(TickPolicy::Catchup) {
                return Err(xml_error("setting of timer catchup policies is only supported with tickpolicy='catchup'"));
            }
            if name != TimerName::Tsc {
                if timer.frequency.is_some_and(|f| f > 0) {
                    return refuse("frequency");
                }
                if timer.mode.is_some() {
                    return refuse("mode");
                }
            }
            if timer.track.is_some() && !matches!(name, TimerName::Platform | TimerName::Rtc) {
                return refuse("track");
            }
        }
        Ok(())
    }
}
