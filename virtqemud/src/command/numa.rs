//! `-numa`

use std::fmt::Write;

use conf::domain::numa::{CacheAssociativity, CachePolicy, Interconnect, InterconnectKind, NumaCell};
use error::Result;

use super::memory::{Wish, backend};
use super::plan::Builder;

/// Cells, distances, memory attributes.
pub fn numa(b: &mut Builder) -> Result<()> {
    let cells = &b.def.numa.cells;
    if cells.is_empty() {
        return Ok(());
    }
    let hmat = cells.iter().any(|c| !c.caches.is_empty()) || !b.def.numa.interconnects.is_empty();
    let backends = cells
        .iter()
        .enumerate()
        .map(|(number, cell)| {
            backend(
                b,
                &format!("ram-node{number}"),
                &Wish { size_kib: cell.memory_kib, cell: Some(number as u32), ..Wish::default() },
            )
        })
        .collect::<Result<Vec<_>>>()?;
    // Machines of old know their memory by `mem=`; a back end is only given there when something is asked of it.
    let plain = b.capability.machine(b.virt, b.def.os.machine.as_deref().unwrap_or("")).is_some_and(|m| m.numa_mem);
    let plain = plain && !backends.iter().any(|(_, asked)| *asked);
    for (number, (cell, (props, _))) in cells.iter().zip(backends).enumerate() {
        let mut text = format!("node,nodeid={number}");
        for (first, last) in cell.cpus.iter().flat_map(|c| c.ranges()) {
            let _ = if first == last { write!(text, ",cpus={first}") } else { write!(text, ",cpus={first}-{last}") };
        }
        if hmat {
            let _ = write!(text, ",initiator={}", initiator(b, number));
        }
        if plain {
            let _ = write!(text, ",mem={}", cell.memory_kib / 1024);
        } else if cell.memory_kib > 0 {
            b.object(&props);
            let _ = write!(text, ",memdev=ram-node{number}");
        }
        b.option("-numa", text);
    }
    distances(b, cells);
    if hmat {
        for interconnect in &b.def.numa.interconnects {
            b.option("-numa", attributes(interconnect));
        }
        caches(b, cells);
    }
    Ok(())
}

/// The cell with CPUs that is best connected to a cell.
fn initiator(b: &Builder, cell: usize) -> u32 {
    let cells = &b.def.numa.cells;
    if cells[cell].cpus.as_ref().is_some_and(|c| !c.is_empty()) {
        return cell as u32;
    }
    let best = |bandwidth: bool| {
        let mine = b
            .def
            .numa
            .interconnects
            .iter()
            .filter(move |i| i.bandwidth == bandwidth && i.target as usize == cell && i.cache.is_none());
        if bandwidth { mine.max_by_key(|i| i.value) } else { mine.min_by_key(|i| i.value) }.map(|i| i.initiator)
    };
    best(true)
        .or_else(|| best(false))
        .or_else(|| cells.iter().position(|c| c.cpus.as_ref().is_some_and(|c| !c.is_empty())).map(|n| n as u32))
        .unwrap_or(0)
}

fn distances(b: &mut Builder, cells: &[NumaCell]) {
    if cells.iter().all(|c| c.distances.is_empty()) {
        return;
    }
    for (from, cell) in cells.iter().enumerate() {
        for to in 0..cells.len() as u32 {
            let given = |cell: &NumaCell, to: u32| cell.distances.iter().find(|(n, _)| *n == to).map(|(_, d)| *d);
            let mirrored = || cells.get(to as usize).and_then(|c| given(c, from as u32));
            let default = if from as u32 == to { 10 } else { 20 };
            let value = given(cell, to).or_else(mirrored).unwrap_or(default);
            b.option("-numa", format!("dist,src={from},dst={to},val={value}"));
        }
    }
}

fn attributes(i: &Interconnect) -> String {
    let hierarchy = ["memory", "first-level", "second-level", "third-level"][i.cache.unwrap_or(0).min(3) as usize];
    let kind = match i.kind {
        InterconnectKind::Access => "access",
        InterconnectKind::Read => "read",
        InterconnectKind::Write => "write",
    };
    let what = if i.bandwidth { "bandwidth" } else { "latency" };
    let unit = if i.bandwidth { "K" } else { "" };
    format!(
        "hmat-lb,initiator={},target={},hierarchy={hierarchy},data-type={kind}-{what},{what}={}{unit}",
        i.initiator, i.target, i.value
    )
}

fn caches(b: &mut Builder, cells: &[NumaCell]) {
    for (number, cell) in cells.iter().enumerate() {
        for cache in &cell.caches {
            let associativity = match cache.associativity {
                CacheAssociativity::None => "none",
                CacheAssociativity::Direct => "direct",
                CacheAssociativity::Full => "complex",
            };
            let policy = match cache.policy {
                CachePolicy::None => "none",
                CachePolicy::Writeback => "write-back",
                CachePolicy::Writethrough => "write-through",
            };
            b.option(
                "-numa",
                format!(
                    "hmat-cache,node-id={number},size={}K,level={},associativity={associativity},policy={policy},line={}",
                    cache.size_kib, cache.level, cache.line_bytes
                ),
            );
        }
    }
}
