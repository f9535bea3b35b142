//! This machine: NUMA cells, processors, caches, pages, identity; from sysfs and procfs.

use crate::cpu::HostCpu;
use std::fs;
use std::path::{Path, PathBuf};

/// What the host has, as its kernel says.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Architecture, as `uname` has it.
    pub arch: String,
    /// Identity of the machine.
    pub uuid: [u8; 16],
    /// Its processor.
    pub cpu: HostCpu,
    /// Microcode revision.
    pub microcode: Option<u32>,
    /// Current frequency of the first processor in MHz; 0 when unknown.
    pub mhz: u32,
    /// NUMA cells, at least one.
    pub cells: Vec<Cell>,
    /// Caches of level 2 and up, one entry a bank.
    pub caches: Vec<CacheBank>,
    /// Page sizes in KiB, smallest first.
    pub page_sizes: Vec<u64>,
    /// Number of possible processors, offline ones included.
    pub cpus_present: usize,
    /// Whether an IOMMU is in use.
    pub iommu: bool,
    /// States that the machine can sleep in: `suspend_mem`, `suspend_disk`, `suspend_hybrid`.
    pub sleep: Vec<&'static str>,
}

/// One NUMA cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// Number.
    pub id: u32,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// (size in KiB, count) of each page size; the smallest has what the others leave.
    pub pages: Vec<(u64, u64)>,
    /// Distance to each cell.
    pub distances: Vec<(u32, u32)>,
    /// Online processors.
    pub cpus: Vec<Cpu>,
}

/// One processor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Number.
    pub id: u32,
    /// Package.
    pub socket: i64,
    /// Die in the package.
    pub die: i64,
    /// Cluster in the die.
    pub cluster: i64,
    /// Core.
    pub core: i64,
    /// Threads of the same core, as the kernel lists them (`0-1`).
    pub siblings: String,
}

/// One cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheBank {
    /// Level, 2 and up.
    pub level: u32,
    /// Number among the caches of its level.
    pub id: u32,
    /// `both`, `code` or `data`.
    pub kind: &'static str,
    /// Size in KiB.
    pub size_kib: u64,
    /// Processors that share it.
    pub cpus: String,
}

impl HostFacts {
    /// Reads this machine.
    pub fn read() -> HostFacts {
        let mut facts = HostFacts::read_below(Path::new("/"));
        facts.cpu = HostCpu::read();
        facts
    }

    /// Reads the files below `root`, for tests on recorded trees; the processor itself is not asked.
    pub fn read_below(root: &Path) -> HostFacts {
        let sys = root.join("sys");
        let page_sizes = page_sizes(&sys);
        let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let cells = cells(root, &page_sizes);
        let online: Vec<u32> = cells.iter().flat_map(|cell| cell.cpus.iter().map(|cpu| cpu.id)).collect();
        HostFacts {
            arch: std::env::consts::ARCH.to_owned(),
            uuid: uuid(root),
            cpu: HostCpu::default(),
            microcode: field("microcode").and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()),
            mhz: field("cpu MHz").and_then(|text| text.split('.').next()?.parse().ok()).unwrap_or(0),
            caches: caches(&sys, &online),
            cells,
            page_sizes,
            cpus_present: list(&word(&sys.join("devices/system/cpu/present"))).len(),
            iommu: fs::read_dir(sys.join("kernel/iommu_groups")).is_ok_and(|mut groups| groups.next().is_some()),
            sleep: sleep_states(&sys),
        }
    }

    /// Online processors of all cells.
    pub fn cpus(&self) -> impl Iterator<Item = &Cpu> {
        self.cells.iter().flat_map(|cell| &cell.cpus)
    }

    /// Memory of all cells in KiB.
    pub fn memory_kib(&self) -> u64 {
        self.cells.iter().map(|cell| cell.memory_kib).sum()
    }

    /// (sockets a cell, cores a socket, threads a core) as libvirt counts them.
    pub fn topology(&self) -> (usize, usize, usize) {
        fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> usize {
            items.collect::<std::collections::BTreeSet<_>>().len()
        }
        let sockets = self.cells.iter().map(|cell| distinct(cell.cpus.iter().map(|cpu| cpu.socket))).max().unwrap_or(1);
        let socket_ids: std::collections::BTreeSet<i64> = self.cpus().map(|cpu| cpu.socket).collect();
        let in_socket = |id: i64| self.cpus().filter(move |cpu| cpu.socket == id);
        let cores =
            socket_ids.iter().map(|&id| distinct(in_socket(id).map(|cpu| (cpu.die, cpu.cluster, cpu.core)))).max();
        let threads = self.cpus().map(|cpu| list(&cpu.siblings).len()).max();
        (sockets.max(1), cores.unwrap_or(1).max(1), threads.unwrap_or(1).max(1))
    }
}

fn word(path: &Path) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    word(path).parse().ok()
}

/// The kernel's list form: `0-3,8`.
pub fn list(text: &str) -> Vec<u32> {
    let mut out = Vec::new();
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            // More processors than a kernel can have are a damaged file.
            out.extend(first..=last.min(first.saturating_add(65535)));
        }
    }
    out
}

/// What the firmware says; the installation's identity where it says nothing useful.
fn uuid(root: &Path) -> [u8; 16] {
    let firmware = word(&root.join("sys/class/dmi/id/product_uuid"));
    let parsed = uuid::Uuid::parse_str(&firmware).ok().filter(|uuid| {
        let bytes = uuid.as_bytes();
        bytes.iter().any(|byte| *byte != bytes[0])
    });
    let parsed = parsed.or_else(|| uuid::Uuid::parse_str(&word(&root.join("etc/machine-id"))).ok());
    parsed.map_or([0; 16], |uuid| *uuid.as_bytes())
}

fn page_sizes(sys: &Path) -> Vec<u64> {
    let base = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    let mut sizes = vec![u64::try_from(base).unwrap_or(4096) / 1024];
    sizes.extend(
        numbered(&sys.join("kernel/mm/hugepages"), "hugepages-")
            .filter_map(|(name, _)| name.strip_suffix("kB")?.parse::<u64>().ok()),
    );
    sizes.sort_unstable();
    sizes
}

/// Entries of a folder that start with `prefix`: (rest of the name, path).
fn numbered(folder: &Path, prefix: &'static str) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name().into_string().ok()?;
        Some((name.strip_prefix(prefix)?.to_owned(), entry.path()))
    })
}

fn cells(root: &Path, page_sizes: &[u64]) -> Vec<Cell> {
    let nodes = root.join("sys/devices/system/node");
    let mut found: Vec<(u32, PathBuf)> =
        numbered(&nodes, "node").filter_map(|(rest, path)| Some((rest.parse().ok()?, path))).collect();
    found.sort();
    let mut cells: Vec<Cell> = found.iter().map(|(id, path)| cell(root, *id, path, page_sizes)).collect();
    cells.retain(|cell| cell.memory_kib > 0 || !cell.cpus.is_empty());
    if cells.is_empty() {
        // A kernel without NUMA: everything is in one cell.
        let memory_kib = meminfo(&root.join("proc/meminfo"), "MemTotal:").unwrap_or(0);
        let cpus =
            list(&word(&root.join("sys/devices/system/cpu/online"))).into_iter().map(|id| cpu(root, id)).collect();
        let pages = pages(memory_kib, &root.join("sys/kernel/mm/hugepages"), page_sizes);
        cells.push(Cell { id: 0, memory_kib, pages, distances: vec![(0, 10)], cpus });
    }
    cells
}

fn cell(root: &Path, id: u32, path: &Path, page_sizes: &[u64]) -> Cell {
    let memory_kib = meminfo(&path.join("meminfo"), "MemTotal:").unwrap_or(0);
    let distances = word(&path.join("distance"));
    let online = list(&word(&root.join("sys/devices/system/cpu/online")));
    Cell {
        id,
        memory_kib,
        pages: pages(memory_kib, &path.join("hugepages"), page_sizes),
        distances: distances
            .split_whitespace()
            .filter_map(|value| value.parse().ok())
            .enumerate()
            .map(|(to, value)| (to as u32, value))
            .collect(),
        cpus: list(&word(&path.join("cpulist")))
            .into_iter()
            .filter(|id| online.is_empty() || online.contains(id))
            .map(|id| cpu(root, id))
            .collect(),
    }
}

/// The number in KiB behind a word of a meminfo file.
fn meminfo(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.split_once(name))?;
    line.1.split_whitespace().next()?.parse().ok()
}

fn pages(memory_kib: u64, hugepages: &Path, sizes: &[u64]) -> Vec<(u64, u64)> {
    let huge: Vec<(u64, u64)> = sizes
        .iter()
        .skip(1)
        .map(|size| (*size, number(&hugepages.join(format!("hugepages-{size}kB/nr_hugepages"))).unwrap_or(0)))
        .collect();
    let taken: u64 = huge.iter().map(|(size, count)| size.saturating_mul(*count)).sum();
    let base = sizes.first().copied().unwrap_or(4).max(1);
    let mut all = vec![(base, memory_kib.saturating_sub(taken) / base)];
    all.extend(huge);
    all
}

fn cpu(root: &Path, id: u32) -> Cpu {
    let topology = root.join(format!("sys/devices/system/cpu/cpu{id}/topology"));
    // libvirt reads these as 32 bit numbers of either sign, and prints 65535 for an unknown cluster.
    let value = |name: &str| number::<i64>(&topology.join(name)).unwrap_or(0);
    let siblings = word(&topology.join("thread_siblings_list"));
    Cpu {
        id,
        socket: value("physical_package_id"),
        die: value("die_id").max(0),
        cluster: value("cluster_id"),
        core: value("core_id"),
        siblings: if siblings.is_empty() { id.to_string() } else { siblings },
    }
}

fn caches(sys: &Path, online: &[u32]) -> Vec<CacheBank> {
    let mut banks = Vec::new();
    for id in online {
        for (_, index) in numbered(&sys.join(format!("devices/system/cpu/cpu{id}/cache")), "index") {
            let level = number(&index.join("level")).unwrap_or(0);
            if level < 2 {
                continue;
            }
            let kind = match word(&index.join("type")).as_str() {
                "Data" => "data",
                "Instruction" => "code",
                _ => "both",
            };
            let size = word(&index.join("size"));
            banks.push(CacheBank {
                level,
                id: number(&index.join("id")).unwrap_or(0),
                kind,
                size_kib: size.trim_end_matches('K').parse().unwrap_or(0),
                cpus: word(&index.join("shared_cpu_list")),
            });
        }
    }
    banks.sort();
    banks.dedup();
    banks
}

fn sleep_states(sys: &Path) -> Vec<&'static str> {
    let state = word(&sys.join("power/state"));
    let disk = word(&sys.join("power/disk"));
    let mut states = Vec::new();
    if state.split_whitespace().any(|word| word == "mem") {
        states.push("suspend_mem");
    }
    if state.split_whitespace().any(|word| word == "disk") && disk != "[disabled]" {
        states.push("suspend_disk");
        if disk.contains("suspend") {
            states.push("suspend_hybrid");
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_lists() {
        assert_eq!(list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(list(""), Vec::<u32>::new());
        assert_eq!(list("x-3"), Vec::<u32>::new());
        assert_eq!(list("0-4294967295").len(), 65536);
    }

    #[test]
    fn a_machine_without_numa_has_one_cell() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:        2048 kB\n");
        write("proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2596.134\nmicrocode\t: 0x1000065\n");
        write("sys/devices/system/cpu/online", "0-1\n");
        write("sys/devices/system/cpu/present", "0-3\n");
        for id in 0..2 {
            write(&format!("sys/devices/system/cpu/cpu{id}/topology/core_id"), &id.to_string());
            write(&format!("sys/devices/system/cpu/cpu{id}/topology/physical_package_id"), "0");
        }
        let facts = HostFacts::read_below(root.path());
        assert_eq!((facts.memory_kib(), facts.mhz, facts.microcode), (2048, 2596, Some(0x0100_0065)));
        assert_eq!((facts.topology(), facts.cpus_present), ((1, 2, 1), 4));
        assert_eq!(facts.cells[0].pages[0], (4, 512));
    }

    #[test]
    fn this_machine_has_memory_and_processors() {
        let facts = HostFacts::read();
        assert!(facts.memory_kib() > 0 && facts.cpus().count() > 0 && !facts.page_sizes.is_empty());
    }
}
