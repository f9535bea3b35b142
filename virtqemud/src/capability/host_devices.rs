//! What of the host a guest may ask for: NUMA nodes, passthrough, render nodes.

use std::collections::BTreeSet;
use std::path::Path;

/// Facts of this host that decide whether a guest can start on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevices {
    /// NUMA nodes with memory.
    pub numa_nodes: BTreeSet<u32>,
    /// Whether PCI devices can be given to guests (VFIO behind an IOMMU).
    pub vfio: bool,
    /// Device node of the first GPU that renders.
    pub render_node: Option<String>,
}

impl Default for HostDevices {
    /// A host with one NUMA node and nothing special.
    fn default() -> Self {
        Self { numa_nodes: BTreeSet::from([0]), vfio: false, render_node: None }
    }
}

impl HostDevices {
    /// Looks at this host.
    pub fn read() -> Self {
        let names = |folder: &str| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(|e| e.file_name().into_string().ok()).collect::<Vec<_>>()
        };
        let mut numa_nodes: BTreeSet<u32> =
            names("/sys/devices/system/node").iter().filter_map(|n| n.strip_prefix("node")?.parse().ok()).collect();
        if numa_nodes.is_empty() {
            numa_nodes.insert(0);
        }
        let vfio = Path::new("/dev/vfio/vfio").exists() && !names("/sys/kernel/iommu_groups").is_empty();
        let mut nodes: Vec<String> = names("/dev/dri").into_iter().filter(|n| n.starts_with("renderD")).collect();
        nodes.sort();
        Self { numa_nodes, vfio, render_node: nodes.first().map(|n| format!("/dev/dri/{n}")) }
    }
}
