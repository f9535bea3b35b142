//! What this host can give to a guest beyond the emulator: NUMA nodes, render nodes, device assignment, helpers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use conf::Bitmap;
use error::Error;

/// The host as far as command lines depend on it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostMeans {
    /// Online NUMA nodes.
    pub numa_nodes: Bitmap,
    /// First DRM render node, when the host has any.
    pub render_node: Option<String>,
    /// Whether `/dev/dri` is there at all.
    pub has_dri: bool,
    /// Whether VFIO and an IOMMU are usable.
    pub passthrough: bool,
    /// Whether a vhost-user GPU program is installed.
    pub vhost_user_gpu: bool,
    /// Networks that guests' graphics listen on and that cannot be used, with the reason.
    pub networks: BTreeMap<String, Error>,
}

impl HostMeans {
    /// Looks at this host.
    pub fn read() -> HostMeans {
        HostMeans {
            numa_nodes: numa_nodes(),
            render_node: render_node(),
            has_dri: Path::new("/dev/dri").is_dir(),
            passthrough: passthrough(),
            vhost_user_gpu: has_vhost_user_gpu(),
            networks: BTreeMap::new(),
        }
    }
}

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path())
}

fn numa_nodes() -> Bitmap {
    let online = std::fs::read_to_string("/sys/devices/system/node/online").unwrap_or_default();
    Bitmap::parse(online.trim()).unwrap_or_else(|_| Bitmap::first(1))
}

fn render_node() -> Option<String> {
    let mut nodes: Vec<PathBuf> = entries("/dev/dri")
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("renderD")))
        .collect();
    nodes.sort();
    nodes.first().map(|p| p.display().to_string())
}

fn passthrough() -> bool {
    Path::new("/dev/vfio/vfio").exists() && entries("/sys/kernel/iommu_groups").next().is_some()
}

fn has_vhost_user_gpu() -> bool {
    let descriptors = ["/etc/qemu/vhost-user", "/usr/share/qemu/vhost-user"].into_iter().flat_map(entries);
    descriptors.filter(|p| p.extension().is_some_and(|e| e == "json")).any(|path| {
        let value = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
        value.is_some_and(|v| v["type"] == "gpu" && v["binary"].as_str().is_some_and(|b| Path::new(b).exists()))
    })
}
