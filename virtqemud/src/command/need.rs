//! What a guest needs of the host before its command line can be written: refused in the order in which libvirt prepares a start
//! (graphics, images, host devices, variable store, helpers, processor, memory).

use std::collections::BTreeSet;
use std::io;

use conf::Bitmap;
use conf::domain::cpu::{CpuCheck, CpuMatch, CpuMode, FeaturePolicy};
use conf::domain::device::filesystem::FilesystemDriver;
use conf::domain::device::graphics::{Graphics, ListenKind};
use conf::domain::device::hostdev::{HostdevDriverName, HostdevSource, ScsiSource};
use conf::domain::device::info::AddressKind;
use conf::domain::device::source::{SecretRef, SourceKind, StorageSource};
use conf::domain::device::video::VideoBackend;
use conf::domain::vcpu::Placement;
use conf::domain::{DomainDef, VirtType as DomainVirtType};
use error::{Code, Domain, Error, Result};

use crate::address::machine;
use crate::capability::host_model::host_model;
use crate::capability::means::HostMeans;
use crate::capability::{Capability, VirtType};
use crate::cpu::compare::{Provider, compare};
use crate::cpu::document::CpuDocument;
use crate::cpu::{Policy, model};

/// Refuses a guest that this host cannot give what it needs.
///
/// # Errors
/// libvirt's codes and texts.
pub fn check(def: &DomainDef, capability: &Capability, means: &HostMeans) -> Result<()> {
    graphics(def, means)?;
    def.devices.disks.iter().rev().try_for_each(|disk| image(Some(&disk.source)))?;
    def.devices.hostdevs.iter().try_for_each(|hostdev| host_device(&hostdev.source, means))?;
    image(def.os.loader.as_ref().and_then(|l| l.nvram.as_ref()))?;
    helpers(def, means)?;
    processor(def, capability)?;
    memory(def, means)?;
    shared_memory(def)
}

/// Networks whose address a graphics server is to listen on.
pub fn listened_networks(def: &DomainDef) -> BTreeSet<String> {
    let listens = def.devices.graphics.iter().flat_map(|g| &g.listens).filter(|l| l.kind == ListenKind::Network);
    listens.filter_map(|l| l.network.clone()).collect()
}

fn unsupported(domain: Domain, text: impl Into<String>) -> Error {
    Error::new(domain, Code::ConfigUnsupported, text)
}

fn graphics(def: &DomainDef, means: &HostMeans) -> Result<()> {
    for graphics in &def.devices.graphics {
        let renders = match &graphics.graphics {
            Graphics::EglHeadless { rendernode } => rendernode.is_none(),
            Graphics::Spice(spice) => spice.gl == Some(true) && spice.rendernode.is_none(),
            Graphics::Dbus(dbus) => dbus.gl == Some(true) && dbus.rendernode.is_none(),
            _ => false,
        };
        if renders && !means.has_dri {
            return Err(Error::system(
                Domain::None,
                &io::Error::from_raw_os_error(2),
                "cannot open directory '/dev/dri'",
            ));
        }
        if renders && means.render_node.is_none() {
            return Err(Error::new(Domain::None, Code::InternalError, "No DRM render nodes available"));
        }
        for listen in graphics.listens.iter().filter(|l| l.kind == ListenKind::Network) {
            if let Some(error) = listen.network.as_ref().and_then(|n| means.networks.get(n)) {
                return Err(error.clone());
            }
        }
    }
    Ok(())
}

/// Secrets, descriptors and pools that a chain of images refers to. No secret object and no descriptor is known here.
fn image(source: Option<&StorageSource>) -> Result<()> {
    let Some(source) = source else { return Ok(()) };
    if source.kind == SourceKind::Volume
        && let Some(volume) = &source.volume
    {
        return Err(Error::new(
            Domain::Storage,
            Code::NoStoragePool,
            format!("no storage pool with matching name '{}'", volume.pool),
        ));
    }
    if let Some(group) = &source.fd_group {
        return Err(Error::new(
            Domain::Qemu,
            Code::InvalidArg,
            format!("file descriptor group '{group}' was not associated with the domain"),
        ));
    }
    source.auth.iter().try_for_each(|auth| secret(&auth.secret))?;
    source.encryption.iter().flat_map(|e| &e.secrets).try_for_each(secret)?;
    image(source.data_store.as_deref())?;
    image(source.backing.as_ref().and_then(Option::as_deref))
}

fn secret(reference: &SecretRef) -> Result<()> {
    let by = match reference {
        SecretRef::Uuid(uuid) => format!("uuid '{}'", uuid::Uuid::from_bytes(*uuid).hyphenated()),
        SecretRef::Usage(usage) => format!("usage '{usage}'"),
    };
    Err(Error::new(Domain::Secret, Code::NoSecret, format!("no secret with matching {by}")))
}

fn host_device(source: &HostdevSource, means: &HostMeans) -> Result<()> {
    match source {
        HostdevSource::Pci { driver, .. } if !means.passthrough => Err(unsupported(
            Domain::Qemu,
            match driver.name {
                Some(HostdevDriverName::Vfio) => "host doesn't support VFIO PCI passthrough",
                Some(HostdevDriverName::Kvm) => "host doesn't support legacy PCI passthrough",
                _ => "host doesn't support passthrough of host PCI devices",
            },
        )),
        HostdevSource::Scsi { source: ScsiSource::Host { adapter, bus, target, unit }, .. } => {
            let host = adapter.strip_prefix("scsi_host").unwrap_or(adapter);
            let folder = format!("/sys/bus/scsi/devices/{host}:{bus}:{target}:{unit}/scsi_generic");
            match std::fs::read_dir(&folder) {
                Ok(_) => Ok(()),
                Err(cause) => Err(Error::system(Domain::None, &cause, format!("cannot open directory '{folder}'"))),
            }
        }
        HostdevSource::Scsi { source: ScsiSource::Iscsi { auth: Some(auth), .. }, .. } => secret(&auth.secret),
        _ => Ok(()),
    }
}

fn helpers(def: &DomainDef, means: &HostMeans) -> Result<()> {
    if def.devices.videos.iter().any(|v| v.backend == Some(VideoBackend::VhostUser)) && !means.vhost_user_gpu {
        return Err(Error::new(Domain::Qemu, Code::OperationFailed, "Unable to find a satisfying vhost-user-gpu"));
    }
    for fs in
        def.devices.filesystems.iter().filter(|f| f.driver == Some(FilesystemDriver::VirtioFs) && f.socket.is_none())
    {
        match fs.binary.path.as_deref() {
            None => {
                return Err(Error::new(Domain::Qemu, Code::OperationFailed, "Unable to find a satisfying virtiofsd"));
            }
            Some(path) if !std::path::Path::new(path).exists() => {
                return Err(Error::new(
                    Domain::None,
                    Code::InternalError,
                    format!(
                        "Child process ({path} --print-capabilities) unexpected exit status 127: libvirt:  error : cannot execute binary {path}: No such file or directory\n"
                    ),
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A named processor must fit what the emulator offers here.
fn processor(def: &DomainDef, capability: &Capability) -> Result<()> {
    let Some(cpu) = &def.cpu else { return Ok(()) };
    let kvm = def.virt_type == DomainVirtType::Kvm;
    let arch = &capability.arch;
    if cpu.mode == Some(CpuMode::HostPassthrough) && !kvm {
        let host = std::env::consts::ARCH;
        return Err(unsupported(
            Domain::Qemu,
            format!("CPU mode 'host-passthrough' for {arch} qemu domain on {host} host is not supported by hypervisor"),
        ));
    }
    let named = matches!(cpu.mode, None | Some(CpuMode::Custom)) && cpu.model.is_some();
    // emulated processors are whatever QEMU makes of them
    if !kvm || !machine::is_x86(def) || !named || !matches!(cpu.check, Some(CpuCheck::Partial)) {
        return Ok(());
    }
    let Some(offered) = host_model(capability, VirtType::Kvm, false) else { return Ok(()) };
    let mut provided: BTreeSet<String> =
        model::find(offered.decoded.model).iter().flat_map(|m| m.features.iter().map(|f| (*f).to_owned())).collect();
    for (name, policy) in &offered.decoded.features {
        match policy {
            Policy::Require => drop(provided.insert((*name).to_owned())),
            Policy::Disable => drop(provided.remove(*name)),
        }
    }
    let mut w = String::from("<cpu");
    if cpu.match_ == Some(CpuMatch::Strict) {
        w.push_str(" match='strict'");
    }
    w.push_str(&format!("><model>{}</model>", cpu.model.as_deref().unwrap_or("")));
    if let Some(vendor) = &cpu.vendor {
        w.push_str(&format!("<vendor>{vendor}</vendor>"));
    }
    for feature in &cpu.features {
        w.push_str(&format!(
            "<feature name='{}' policy='{}'/>",
            feature.name,
            feature.policy.unwrap_or(FeaturePolicy::Require)
        ));
    }
    w.push_str("</cpu>");
    let provider = Provider { arch, vendor: offered.vendor, features: &provided };
    compare(&CpuDocument::parse(&w)?, &provider, true).map(drop)
}

/// NUMA nodes that are not there, or that somebody else should have chosen.
fn memory(def: &DomainDef, means: &HostMeans) -> Result<()> {
    let available = |nodes: &Bitmap| match nodes.iter().find(|n| !means.numa_nodes.contains(*n)) {
        Some(missing) => Err(unsupported(Domain::None, format!("NUMA node {missing} is unavailable"))),
        None => Ok(()),
    };
    if let Some(memory) = &def.numatune.memory {
        if memory.placement == Some(Placement::Auto) {
            return Err(Error::new(
                Domain::Domain,
                Code::InternalError,
                "Advice from numad is needed in case of automatic numa placement",
            ));
        }
        memory.nodes.iter().try_for_each(available)?;
    }
    def.numatune.nodes.iter().try_for_each(|n| available(&n.nodes))
}

fn shared_memory(def: &DomainDef) -> Result<()> {
    let misplaced =
        def.devices.shmems.iter().any(|s| s.info.address.as_ref().is_some_and(|a| a.kind() != AddressKind::Pci));
    if misplaced {
        return Err(unsupported(Domain::Qemu, "only 'pci' addresses are supported for the shared memory device"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf::domain::ParseContext;

    fn refuse(devices: &str, more: &str) -> (i32, i32, String) {
        let text = format!(
            "<domain type='qemu'><name>a</name><memory>1024</memory>{more}<os><type arch='x86_64'>hvm</type></os><devices>{devices}</devices></domain>"
        );
        let def = DomainDef::parse(&text, ParseContext::default()).unwrap();
        let means = HostMeans { numa_nodes: Bitmap::first(1), ..HostMeans::default() };
        let result = graphics(&def, &means)
            .and_then(|()| def.devices.disks.iter().rev().try_for_each(|d| image(Some(&d.source))))
            .and_then(|()| def.devices.hostdevs.iter().try_for_each(|h| host_device(&h.source, &means)))
            .and_then(|()| helpers(&def, &means))
            .and_then(|()| memory(&def, &means));
        let error = result.unwrap_err();
        (error.code, error.domain, error.message)
    }

    #[test]
    fn what_the_host_lacks() {
        let disk = |source: &str| format!("<disk type='network'>{source}<target dev='vda' bus='virtio'/></disk>");
        let rows = [
            (
                "<graphics type='egl-headless'/>".to_owned(),
                "",
                38,
                0,
                "cannot open directory '/dev/dri': No such file or directory",
            ),
            (
                disk("<auth username='u'><secret type='ceph' usage='one'/></auth><source protocol='rbd' name='p/i'/>"),
                "",
                66,
                30,
                "Secret not found: no secret with matching usage 'one'",
            ),
            (
                "<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>".to_owned(),
                "",
                49,
                18,
                "Storage pool not found: no storage pool with matching name 'p'",
            ),
            (
                "<disk type='file'><source file='/a' fdgroup='g'/><target dev='vda'/></disk>".to_owned(),
                "",
                8,
                10,
                "invalid argument: file descriptor group 'g' was not associated with the domain",
            ),
            (
                "<hostdev mode='subsystem' type='pci'><source><address bus='1' slot='2'/></source></hostdev>"
                    .to_owned(),
                "",
                67,
                10,
                "unsupported configuration: host doesn't support passthrough of host PCI devices",
            ),
            (
                "<video><driver name='vhostuser'/><model type='virtio'/></video>".to_owned(),
                "",
                9,
                10,
                "operation failed: Unable to find a satisfying vhost-user-gpu",
            ),
            (
                String::new(),
                "<numatune><memory mode='strict' nodeset='0-3'/></numatune>",
                67,
                0,
                "unsupported configuration: NUMA node 1 is unavailable",
            ),
            (
                String::new(),
                "<numatune><memory mode='strict' placement='auto'/></numatune>",
                1,
                20,
                "internal error: Advice from numad is needed in case of automatic numa placement",
            ),
        ];
        for (devices, more, code, domain, message) in rows {
            assert_eq!(refuse(&devices, more), (code, domain, message.to_owned()), "{devices}{more}");
        }
    }
}
