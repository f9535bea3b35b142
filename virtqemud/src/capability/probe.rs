//! Asking a QEMU binary what it can do.
//!
//! QEMU runs without a machine, its monitor on a socket pair that is its stdin and stdout (so no descriptor number has to be
//! inherited), as the user that guests run as. With KVM a second one tells the facts of TCG, at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::emulator::{Accelerated, Capability, CpuModelInfo, Machine, arch_from_target};
use super::error::CapabilityError;
use crate::cpu::HostCpu;
use crate::qmp::commands::{
    CpuModel, DeviceListProperties, QomListProperties, QomListTypes, QueryCommandLineOptions, QueryCommands,
    QueryCpuDefinitions, QueryCpuModelExpansion, QueryKvm, QueryMachines, QueryQmpSchema, QueryTarget, QueryTpmModels,
    QueryTpmTypes, Quit,
};
use crate::qmp::{Monitor, QmpError};

/// From exec to greeting, and for each answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// How much of a failing emulator's stderr goes into the error.
const STDERR_MAX: u64 = 4096;

/// User and group that the emulator runs as; none to stay who we are.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProbeUser {
    /// uid and gid.
    pub ids: Option<(u32, u32)>,
}

/// Devices whose properties decide something on the command line or in a document.
pub const INSPECTED: &[&str] = &[
    "ICH9-LPC",
    "PIIX4_PM",
    "VGA",
    "am53c974",
    "bochs-display",
    "cirrus-vga",
    "fw_cfg",
    "i440FX-pcihost",
    "ide-hd",
    "igd-passthrough-i440FX",
    "intel-iommu",
    "ivshmem-plain",
    "kvm-pit",
    "mc146818rtc",
    "mch",
    "megasas",
    "mptsas1068",
    "nvdimm",
    "pcie-root-port",
    "piix4-ide",
    "q35-pcihost",
    "qxl",
    "qxl-vga",
    "scsi-block",
    "scsi-disk",
    "scsi-hd",
    "spapr-pci-host-bridge",
    "tpm-crb",
    "tpm-tis",
    "usb-host",
    "usb-redir",
    "usb-storage",
    "vfio-pci",
    "vhost-user-blk-pci",
    "vhost-user-fs-device",
    "vhost-user-fs-pci",
    "virtio-9p-pci",
    "virtio-balloon-pci",
    "virtio-blk-pci",
    "virtio-gpu-pci",
    "virtio-iommu-pci",
    "virtio-mem-pci",
    "virtio-net-pci",
    "virtio-pmem-pci",
    "virtio-rng-pci",
    "virtio-scsi-pci",
    "virtio-serial-pci",
    "vmcoreinfo",
    "vmware-svga",
];
/// Objects likewise.
const INSPECTED_OBJECTS: &[&str] = &[
    "iothread",
    "memory-backend-file",
    "memory-backend-memfd",
    "memory-backend-ram",
    "max-x86_64-cpu",
    "max-i386-cpu",
    "max-arm-cpu",
    "sev-guest",
    "tls-creds-x509",
    "pc-q35-10.0-machine",
];
/// Asks one binary; `kvm` says whether `/dev/kvm` is usable for it.
pub async fn probe(emulator: &Path, user: ProbeUser, kvm: bool) -> Result<Capability, CapabilityError> {
    if !kvm {
        return Session::run(emulator, user, "tcg", |s| Box::pin(everything(s))).await;
    }
    let (both, tcg) = tokio::join!(
        Session::run(emulator, user, "kvm:tcg", |s| Box::pin(everything(s))),
        Session::run(emulator, user, "tcg", |s| Box::pin(accelerated(s, false)))
    );
    let mut capability = both?;
    if capability.kvm.is_some() {
        capability.tcg = tcg.ok();
    }
    Ok(capability)
}

type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, QmpError>> + Send + 'a>>;

/// A running emulator without a machine.
struct Session {
    emulator: std::path::PathBuf,
    child: Child,
    monitor: Monitor,
}

impl Session {
    async fn run<T>(
        emulator: &Path,
        user: ProbeUser,
        accel: &str,
        ask: impl for<'a> FnOnce(&'a Session) -> Answer<'a, T>,
    ) -> Result<T, CapabilityError> {
        let mut session = Session::start(emulator, user, accel).await?;
        let answer = ask(&session).await;
        let _ = session.monitor.execute_within(&Quit {}, Duration::from_secs(1)).await;
        let _ = session.child.start_kill();
        let _ = session.child.wait().await;
        answer.map_err(|e| CapabilityError::monitor(emulator, e))
    }

    async fn start(emulator: &Path, user: ProbeUser, accel: &str) -> Result<Session, CapabilityError> {
        let failed = |cause: &dyn std::fmt::Display| CapabilityError::probe(emulator, cause);
        let (ours, theirs) = StdUnixStream::pair().map_err(|e| failed(&e))?;
        let theirs: OwnedFd = theirs.into();
        let twin = theirs.try_clone().map_err(|e| failed(&e))?;
        ours.set_nonblocking(true).map_err(|e| failed(&e))?;
        let stream = UnixStream::from_std(ours).map_err(|e| failed(&e))?;
        let mut command = Command::new(emulator);
        command
            .args([
                "-S",
                "-no-user-config",
                "-nodefaults",
                "-nographic",
                "-machine",
                &format!("none,accel={accel}"),
                "-qmp",
                "stdio",
            ])
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(twin))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some((uid, gid)) = user.ids {
            command.uid(uid).gid(gid);
        }
        let mut child =
            command.spawn().map_err(|e| CapabilityError::Binary { path: emulator.to_owned(), cause: e.to_string() })?;
        // Our copies of the far end must go, or QEMU's death would not be seen.
        drop(command);
        match Monitor::over(stream, DEADLINE).await {
            Ok((monitor, _events)) => Ok(Session { emulator: emulator.to_owned(), child, monitor }),
            Err(e) => {
                let _ = child.start_kill();
                let mut words = String::new();
                if let Some(stderr) = child.stderr.take() {
                    let _ = tokio::time::timeout(
                        Duration::from_secs(1),
                        stderr.take(STDERR_MAX).read_to_string(&mut words),
                    )
                    .await;
                }
                Err(failed(&if words.trim().is_empty() { e.to_string() } else { words.trim().to_owned() }))
            }
        }
    }

    async fn ask<C: crate::qmp::Command>(&self, command: C) -> Result<C::Reply, QmpError> {
        self.monitor.execute_within(&command, DEADLINE).await
    }

    /// An answer that older or smaller emulators may not have.
    async fn ask_if_known<C: crate::qmp::Command>(&self, command: C) -> Result<Option<C::Reply>, QmpError> {
        match self.ask(command).await {
            Ok(reply) => Ok(Some(reply)),
            Err(QmpError::Refused { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

async fn everything(session: &Session) -> Result<Capability, QmpError> {
    let version = &session.monitor.greeting().version;
    let target = session.ask(QueryTarget {}).await?.arch;
    let kvm = session.ask(QueryKvm {}).await?;
    let facts = accelerated(session, kvm.enabled).await?;
    let types: BTreeSet<_> =
        session.ask(QomListTypes { implements: None, abstract_: None }).await?.into_iter().map(|t| t.name).collect();
    let properties = properties(session, &types).await?;
    let commands = session.ask(QueryCommands {}).await?.into_iter().map(|c| c.name).collect();
    let options = session.ask(QueryCommandLineOptions {}).await?;
    let options = options.into_iter().map(|o| (o.option, o.parameters.into_iter().map(|p| p.name).collect())).collect();
    let schema = schema_members(&session.ask(QueryQmpSchema {}).await?);
    let (kvm, tcg) = if kvm.enabled { (Some(facts), None) } else { (None, Some(facts)) };
    Ok(Capability {
        emulator: session.emulator.clone(),
        version: version.number(),
        package: version.package.clone(),
        arch: arch_from_target(&target).to_owned(),
        host_features: if kvm.is_some() { HostCpu::read().features } else { BTreeSet::new() },
        kvm,
        tcg,
        types,
        properties,
        commands,
        options,
        tpm_models: session.ask_if_known(QueryTpmModels {}).await?.unwrap_or_default(),
        tpm_types: session.ask_if_known(QueryTpmTypes {}).await?.unwrap_or_default(),
        schema,
    })
}

async fn accelerated(session: &Session, kvm: bool) -> Result<Accelerated, QmpError> {
    let machines = session.ask(QueryMachines {}).await?;
    let mut machines: Vec<_> = machines
        .into_iter()
        .filter(|m| m.name != "none")
        .map(|m| Machine {
            name: m.name,
            alias: m.alias,
            max_cpus: m.cpu_max,
            hotplug_cpus: m.hotpluggable_cpus,
            default: m.is_default,
            default_cpu: m.default_cpu_type,
            numa_mem: m.numa_mem_supported,
            default_ram_id: m.default_ram_id,
            deprecated: m.deprecated,
            acpi: m.acpi,
        })
        .collect();
    // libvirt moves the default to the front.
    if let Some(at) = machines.iter().position(|m| m.default) {
        let default = machines.remove(at);
        machines.insert(0, default);
    }
    let cpu_models = session.ask_if_known(QueryCpuDefinitions {}).await?.unwrap_or_default();
    let cpu_models = cpu_models
        .into_iter()
        .map(|c| CpuModelInfo {
            name: c.name,
            typename: c.typename,
            blockers: c.unavailable_features,
            canonical: c.alias_of,
            deprecated: c.deprecated,
        })
        .collect();
    let best = if kvm { "host" } else { "max" };
    let host_cpu = expand(session, best, true).await?;
    // What disappears when only migratable features are asked for stops migration.
    let unmigratable = match &host_cpu {
        Some(all) => {
            let all_of_it = expand(session, best, false).await?.unwrap_or_default();
            let on = |v: Option<&Value>| v == Some(&Value::Bool(true));
            all_of_it.iter().filter(|(k, v)| on(Some(v)) && !on(all.get(*k))).map(|(k, _)| k.clone()).collect()
        }
        None => BTreeSet::new(),
    };
    Ok(Accelerated { machines, cpu_models, host_cpu, host_cpu_unmigratable: unmigratable })
}

async fn expand(session: &Session, model: &str, migratable: bool) -> Result<Option<Map<String, Value>>, QmpError> {
    let mut props = Map::new();
    if !migratable {
        props.insert("migratable".into(), false.into());
    }
    let model = CpuModel { name: model.into(), props };
    let expansion = session.ask_if_known(QueryCpuModelExpansion { type_: "full".into(), model }).await?;
    Ok(expansion.map(|e| e.model.props))
}

async fn properties(
    session: &Session,
    types: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeMap<String, Value>>, QmpError> {
    let mut found = BTreeMap::new();
    for name in INSPECTED.iter().filter(|n| types.contains(**n)) {
        let list = session.ask_if_known(DeviceListProperties { typename: (*name).into() }).await?.unwrap_or_default();
        found.insert((*name).to_owned(), list.into_iter().map(|p| (p.name, p.default_value)).collect());
    }
    for name in INSPECTED_OBJECTS.iter().filter(|n| types.contains(**n)) {
        let list = session.ask_if_known(QomListProperties { typename: (*name).into() }).await?.unwrap_or_default();
        found.insert((*name).to_owned(), list.into_iter().map(|p| (p.name, p.default_value)).collect());
    }
    Ok(found)
}

/// QMP's schema hides the names of types: an enumeration is recognised by a member that no other one has.
fn schema_members(schema: &[Value]) -> BTreeSet<String> {
    const MARKS: &[(&str, &str)] = &[
        ("chardev", "ringbuf"),
        ("netdev", "hubport"),
        ("display", "egl-headless"),
        ("object", "iothread"),
        ("audiodev", "wav"),
        ("blockdev", "preallocate"),
        ("aio", "native"),
    ];
    let mut members = BTreeSet::new();
    for entry in schema.iter().filter(|e| e["meta-type"] == "enum") {
        let values: Vec<&str> = entry["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (kind, _) in MARKS.iter().filter(|(_, mark)| values.contains(mark)) {
            members.extend(values.iter().map(|v| format!("{kind}:{v}")));
        }
    }
    members
}
