//! The command line, option by option, in libvirt's order.

use std::collections::BTreeMap;

use conf::domain::device::info::Zpci;
use conf::domain::device::source::StorageSource;
use conf::domain::{DomainDef, VirtType as DomainVirtType};
use error::Result;
use serde_json::Value;

use super::device::{
    audio, channel, console, controller, crypto, disk, filesystem, graphics, hostdev, hub, input, interface, iommu,
    memballoon, memory_device, misc, panic, parallel, redirdev, rng, serial, shmem, smartcard, sound, tpm, video,
    vsock, watchdog,
};
use super::inputs::{Endpoint, LaunchInputs};
use super::props::Props;
use super::{boot, clock, cpu, escape, firmware, machine, memory, numa};
use crate::capability::{Capability, VirtType};

/// A guest's process, ready to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchPlan {
    /// The emulator.
    pub program: String,
    /// Its arguments, without its own name.
    pub argv: Vec<String>,
    /// Its whole environment, in order.
    pub env: Vec<(String, String)>,
}

/// The plan while it grows.
pub struct Builder<'a> {
    /// The live definition.
    pub def: &'a DomainDef,
    /// The emulator's abilities.
    pub capability: &'a Capability,
    /// What was prepared.
    pub inputs: &'a LaunchInputs,
    /// KVM or TCG.
    pub virt: VirtType,
    /// zPCI identities of devices by alias (s390x).
    zpci: BTreeMap<String, Zpci>,
    /// Boot numbers of disks and interfaces.
    pub boot: boot::BootOrder,
    argv: Vec<String>,
}

impl Builder<'_> {
    /// An empty plan of the same guest, to try things out.
    pub fn probe(&self) -> Self {
        Self { argv: Vec::new(), boot: boot::BootOrder::default(), zpci: BTreeMap::new(), ..*self }
    }

    /// An option without a value.
    pub fn flag(&mut self, option: &str) {
        self.argv.push(option.into());
    }

    /// An option with a value.
    pub fn option(&mut self, option: &str, value: impl Into<String>) {
        self.argv.push(option.into());
        self.argv.push(value.into());
    }

    /// An option whose value is JSON.
    pub fn json(&mut self, option: &str, props: &Props) {
        self.option(option, props.to_json());
    }

    /// `-device`, with the user's overrides of `<qemu:override>`.
    pub fn device(&mut self, mut props: Props) {
        super::device::apply_overrides(self.def, &mut props);
        let id = props.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
        if let Some(Zpci { uid: Some(uid), fid: Some(fid) }) = self.zpci.get(&id).copied() {
            // Its companion on the mainframe's own bus comes first.
            let companion = Props::driver("zpci")
                .with("uid", uid)
                .with("fid", fid)
                .with("target", id)
                .with("id", format!("zpci{uid}"));
            self.json("-device", &companion);
        }
        self.json("-device", &props);
    }

    /// How often an option was given.
    pub fn count(&self, option: &str) -> usize {
        self.argv.iter().filter(|a| *a == option).count()
    }

    /// `-object`
    pub fn object(&mut self, props: &Props) {
        self.json("-object", props);
    }
}

/// Builds the command line of a prepared definition.
///
/// # Errors
/// What this emulator cannot do.
pub fn plan(def: &DomainDef, capability: &Capability, inputs: &LaunchInputs) -> Result<LaunchPlan> {
    let virt = if def.virt_type == DomainVirtType::Kvm { VirtType::Kvm } else { VirtType::Tcg };
    memory::placement(def, &inputs.host)?;
    let boot = boot::BootOrder::of(def);
    let zpci = crate::address::zpci::identities(def);
    let mut b = Builder { def, capability, inputs, virt, zpci, boot, argv: Vec::new() };
    // What is missing for any image is said before anything is built.
    let nothing = &mut b.probe();
    def.devices.disks.iter().try_for_each(|d| disk::credentials(nothing, &d.source))?;
    board(&mut b)?;
    devices(&mut b)?;
    let program = def.devices.emulator.clone().unwrap_or_else(|| capability.emulator.to_string_lossy().into_owned());
    let argv = b.argv;
    Ok(LaunchPlan { program, argv, env: environment(def, inputs) })
}

fn environment(def: &DomainDef, inputs: &LaunchInputs) -> Vec<(String, String)> {
    let dir = &inputs.domain_dir;
    let mut env: Vec<(String, String)> = vec![
        ("LC_ALL".into(), "C".into()),
        ("PATH".into(), inputs.search_path.clone()),
        ("HOME".into(), dir.clone()),
        ("XDG_DATA_HOME".into(), format!("{dir}/.local/share")),
        ("XDG_CACHE_HOME".into(), format!("{dir}/.cache")),
        ("XDG_CONFIG_HOME".into(), format!("{dir}/.config")),
    ];
    env.extend(graphics::environment(def));
    for (name, value) in def.qemu.iter().flat_map(|q| &q.env) {
        env.push((name.clone(), value.clone().unwrap_or_default()));
    }
    env
}

fn board(b: &mut Builder) -> Result<()> {
    b.option("-name", format!("guest={},debug-threads=on", escape::comma(&b.def.name)));
    misc::deprecation(b);
    b.flag("-S");
    let key = Props::object("secret", "masterKey0")
        .with("format", "raw")
        .with("file", format!("{}/master-key.aes", b.inputs.domain_dir));
    b.object(&key);
    let managed = |s: &StorageSource| s.reservations.as_ref().is_some_and(|r| r.managed == Some(true));
    if b.def.devices.disks.iter().any(|d| managed(&d.source)) {
        let helper = Props::object("pr-manager-helper", "pr-helper0")
            .with("path", format!("{}/pr-helper0.sock", b.inputs.domain_dir));
        b.object(&helper);
    }
    firmware::pflash(b)?;
    machine::machine(b)?;
    machine::accel(b);
    firmware::tseg(b);
    cpu::cpu(b)?;
    firmware::loader(b);
    memory::memory(b)?;
    cpu::smp(b)?;
    memory::iothreads(b);
    memory::throttle_groups(b);
    numa::numa(b)?;
    let uuid = uuid::Uuid::from_bytes(b.def.hwuuid.unwrap_or(b.def.uuid));
    b.option("-uuid", uuid.hyphenated().to_string());
    boot::sysinfo(b);
    misc::generation_id(b);
    if b.def.devices.graphics.is_empty() {
        b.option("-display", "none");
    }
    b.flag("-no-user-config");
    b.flag("-nodefaults");
    boot::serial_bios(b);
    monitor(b);
    clock::clock(b)?;
    clock::power(b);
    boot::boot(b)?;
    Ok(())
}

fn monitor(b: &mut Builder) {
    let end = match &b.inputs.monitor {
        Endpoint::Fd(fd) => format!("fd={fd}"),
        Endpoint::Path(path) => format!("path={}", escape::comma(path)),
    };
    b.option("-chardev", format!("socket,id=charmonitor,{end},server=on,wait=off"));
    b.option("-mon", "chardev=charmonitor,id=monitor,mode=control");
}

fn devices(b: &mut Builder) -> Result<()> {
    iommu::build(b)?;
    controller::globals(b);
    controller::build(b)?;
    memory_device::build(b)?;
    hub::build(b)?;
    controller::build_readers(b)?;
    disk::build(b)?;
    filesystem::build(b)?;
    interface::build(b)?;
    smartcard::build(b)?;
    serial::build(b)?;
    parallel::build(b)?;
    channel::build(b)?;
    console::build(b)?;
    tpm::build(b)?;
    input::build(b)?;
    audio::build(b)?;
    graphics::build(b)?;
    video::build(b)?;
    sound::build(b)?;
    watchdog::build(b)?;
    redirdev::build(b)?;
    hostdev::build(b)?;
    if let Some(incoming) = &b.inputs.incoming {
        b.option("-incoming", incoming.clone());
    }
    memballoon::build(b)?;
    rng::build(b)?;
    misc::nvram(b)?;
    misc::vmcoreinfo(b);
    for argument in b.def.qemu.iter().flat_map(|q| q.args.clone()) {
        b.flag(&argument);
    }
    if b.inputs.sandbox {
        b.option("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    }
    panic::build(b)?;
    shmem::build(b)?;
    vsock::build(b)?;
    crypto::build(b)?;
    misc::pstore(b)?;
    misc::async_teardown(b);
    b.option("-msg", "timestamp=on");
    Ok(())
}
