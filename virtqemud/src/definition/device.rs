//! Models, buses and types of devices that the document leaves open.

use conf::domain::DomainDef;
use conf::domain::device::audio::{AudioDef, AudioKind};
use conf::domain::device::chardev::Chardev;
use conf::domain::device::console::{ChannelTarget, ConsoleType, SerialModel, SerialType};
use conf::domain::device::filesystem::AccessMode;
use conf::domain::device::graphics::{Graphics, GraphicsKind, Listen, ListenKind};
use conf::domain::device::info::{Address, AddressKind, CcidAddress};
use conf::domain::device::input::{InputBus, InputDef, InputKind};
use conf::domain::device::interface::InterfaceKind;
use conf::domain::device::memory::{MemoryAccess, MemoryModel};
use conf::domain::device::panic::PanicModel;
use conf::domain::device::rng::RngBackend;
use conf::domain::device::shmem::ShmemModel;
use conf::domain::device::sound::SoundModel;
use conf::domain::device::tpm::{TpmBackend, TpmModel, TpmVersion};
use conf::domain::device::video::{VideoDef, VideoModel};
use conf::domain::device::vsock::VsockModel;
use error::{Code, Domain, Error, Result};

use super::{Facts, unsupported};
use crate::address::machine;

/// Pairs the first console with the first serial port.
pub(super) fn pair_consoles(def: &mut DomainDef) {
    if machine::is_s390(def) {
        // the first console of a mainframe is its own device unless a serial port is there
        for console in def.devices.consoles.iter_mut().filter(|c| c.target.is_none()) {
            console.target = Some(ConsoleType::Serial);
        }
    }
    def.pair_console();
    for console in &mut def.devices.consoles {
        console.target.get_or_insert(ConsoleType::Serial);
    }
}

/// Completes every device.
pub(super) fn settle(def: &mut DomainDef, facts: &Facts<'_>) -> Result<()> {
    settle_serials(def);
    settle_interfaces(def, facts);
    settle_videos(def, facts);
    settle_inputs(def)?;
    settle_panics(def)?;
    settle_channels(def);
    settle_small(def);
    settle_graphics(def);
    Ok(())
}

fn settle_serials(def: &mut DomainDef) {
    let (x86, pseries, s390) = (machine::is_x86(def), machine::is_pseries(def), machine::is_s390(def));
    let other_virt = machine::is_riscv_virt(def) || machine::is_loongarch_virt(def);
    let machine_system = machine::is_arm_virt(def) || other_virt;
    for serial in &mut def.devices.serials {
        let by_address = match serial.info.address.as_ref().map(Address::kind) {
            Some(AddressKind::Usb) => Some(SerialType::Usb),
            Some(AddressKind::Pci) => Some(SerialType::Pci),
            Some(AddressKind::SpaprVio) => Some(SerialType::SpaprVio),
            Some(AddressKind::Isa) => Some(SerialType::Isa),
            _ => None,
        };
        let by_machine = match () {
            () if x86 => Some(SerialType::Isa),
            () if pseries => Some(SerialType::SpaprVio),
            () if machine_system => Some(SerialType::System),
            () if s390 => Some(SerialType::Sclp),
            () => None,
        };
        // old documents say isa-serial on machines that have no ISA
        let given = serial.target.filter(|t| *t != SerialType::Isa || x86 || by_machine.is_none());
        serial.target = given.or(by_machine).or(by_address);
        let model = match serial.target {
            Some(SerialType::Isa) => Some(SerialModel::Isa),
            Some(SerialType::Usb) => Some(SerialModel::Usb),
            Some(SerialType::Pci) => Some(SerialModel::Pci),
            Some(SerialType::SpaprVio) => Some(SerialModel::SpaprVty),
            Some(SerialType::System) if other_virt => Some(SerialModel::Uart16550a),
            Some(SerialType::System) if machine_system => Some(SerialModel::Pl011),
            Some(SerialType::Sclp) => Some(SerialModel::SclpConsole),
            Some(SerialType::IsaDebug) => Some(SerialModel::IsaDebugcon),
            Some(SerialType::System) | None => None,
        };
        serial.model = serial.model.or(model);
    }
}

fn settle_interfaces(def: &mut DomainDef, facts: &Facts<'_>) {
    let virtio = machine::is_s390(def)
        || machine::is_arm_virt(def)
        || machine::is_riscv_virt(def)
        || machine::is_loongarch_virt(def);
    let model = match def.os.machine.as_deref() {
        _ if virtio => "virtio",
        Some("versatilepb") => "smc91c111",
        _ if machine::is_arm(def) => "lan9118",
        _ if facts.capability.has_type("rtl8139") => "rtl8139",
        _ if facts.capability.has_type("e1000") => "e1000",
        _ => "virtio",
    };
    for interface in def.devices.interfaces.iter_mut().filter(|i| i.kind != InterfaceKind::Hostdev) {
        let backend = matches!(interface.kind, InterfaceKind::VhostUser | InterfaceKind::Vdpa);
        interface.model.get_or_insert_with(|| if backend { "virtio" } else { model }.to_owned());
    }
}

fn default_video(def: &DomainDef, facts: &Facts<'_>) -> VideoModel {
    let has = |name| facts.capability.has_type(name);
    match () {
        () if machine::is_ppc64(def) => VideoModel::Vga,
        () if machine::is_s390(def)
            || machine::is_arm_virt(def)
            || machine::is_riscv_virt(def)
            || machine::is_loongarch_virt(def) =>
        {
            VideoModel::Virtio
        }
        () if has("cirrus-vga") => VideoModel::Cirrus,
        () if has("VGA") => VideoModel::Vga,
        () if has("bochs-display") => VideoModel::Bochs,
        () => VideoModel::Virtio,
    }
}

fn settle_videos(def: &mut DomainDef, facts: &Facts<'_>) {
    if !def.devices.graphics.is_empty() && def.devices.videos.is_empty() {
        def.devices.videos.push(VideoDef::default());
    }
    let model = default_video(def, facts);
    for video in &mut def.devices.videos {
        let model = *video.model.get_or_insert(model);
        let vram = match model {
            VideoModel::Qxl => {
                video.vgamem_kib = video.vgamem_kib.filter(|k| *k > 0).or(Some(16384));
                video.ram_kib = video.ram_kib.filter(|k| *k > 0).or(Some(65536));
                Some(65536)
            }
            VideoModel::Vga | VideoModel::Cirrus | VideoModel::Vmvga | VideoModel::Bochs => Some(16384),
            _ => None,
        };
        video.vram_kib = video.vram_kib.filter(|k| *k > 0).or(vram);
        if model == VideoModel::Qxl {
            // QEMU wants powers of two; a VGA memory that is none is refused later
            for size in [&mut video.ram_kib, &mut video.vram_kib] {
                *size = size.map(|k| k.max(1024).next_power_of_two());
            }
        }
    }
}

fn settle_inputs(def: &mut DomainDef) -> Result<()> {
    let (x86, s390) = (machine::is_x86(def), machine::is_s390(def));
    for input in &mut def.devices.inputs {
        if input.bus.is_none() {
            input.bus = Some(match input.kind {
                InputKind::Mouse | InputKind::Keyboard if x86 => InputBus::Ps2,
                InputKind::Mouse | InputKind::Keyboard | InputKind::Tablet if s390 => InputBus::Virtio,
                InputKind::Mouse | InputKind::Keyboard | InputKind::Tablet => InputBus::Usb,
                InputKind::Passthrough => InputBus::Virtio,
                InputKind::Evdev => InputBus::None,
            });
        }
        let wrong = match (input.kind, input.bus) {
            (InputKind::Tablet, Some(InputBus::Ps2)) => Some("tablet"),
            _ => None,
        };
        if let Some(text) = wrong {
            let text = format!("ps2 bus does not support {text} input device");
            return Err(Error::new(Domain::Domain, Code::InternalError, text));
        }
    }
    Ok(())
}

fn settle_panics(def: &mut DomainDef) -> Result<()> {
    let default = match () {
        () if machine::is_pseries(def) => Some(PanicModel::Pseries),
        () if machine::is_x86(def) => Some(PanicModel::Isa),
        () if machine::is_s390(def) => Some(PanicModel::S390),
        () if machine::is_arm_virt(def) => Some(PanicModel::Pvpanic),
        () => None,
    };
    for panic in def.devices.panics.iter_mut().filter(|p| p.model.is_none()) {
        panic.model = Some(default.ok_or_else(|| {
            unsupported("no panic model provided, and no default for the architecture and machine type")
        })?);
    }
    Ok(())
}

fn settle_channels(def: &mut DomainDef) {
    let mut next_ccid = 0;
    for card in &mut def.devices.smartcards {
        if card.info.address.is_none() {
            card.info.address = Some(Address::Ccid(CcidAddress { controller: 0, slot: next_ccid }));
            next_ccid += 1;
        }
    }
    for channel in def.devices.channels.iter_mut() {
        // a path that we made up belongs to one run
        if let (ChannelTarget::Virtio { name: Some(name), .. }, Chardev::Unix { path, listen, .. }) =
            (&channel.target, &mut channel.source.backend)
            && path.as_deref().is_some_and(|p| p.ends_with(&format!("/{name}")) && p.contains("/libvirt/qemu/channel/"))
        {
            *path = None;
            *listen = true;
        }
    }
}

fn settle_small(def: &mut DomainDef) {
    let (pseries, arm) =
        (machine::is_pseries(def), machine::is_arm(def) || machine::is_riscv(def) || machine::is_loongarch(def));
    for tpm in &mut def.devices.tpms {
        let model = *tpm.model.get_or_insert(if pseries { TpmModel::Spapr } else { TpmModel::Tis });
        if let TpmBackend::Emulator(emulator) = &mut tpm.backend {
            let old = model == TpmModel::Tis && !arm;
            emulator.version.get_or_insert(if old { TpmVersion::V1_2 } else { TpmVersion::V2_0 });
        }
    }
    for rng in &mut def.devices.rngs {
        if let RngBackend::Random { path: path @ None } = &mut rng.backend {
            *path = Some("/dev/random".to_owned());
        }
    }
    for memory in def.devices.memories.iter_mut().filter(|m| m.model == MemoryModel::VirtioPmem) {
        memory.access.get_or_insert(MemoryAccess::Shared);
    }
    for sound in def.devices.sounds.iter_mut().filter(|s| s.model == SoundModel::Virtio) {
        sound.streams.get_or_insert(2);
    }
    for shmem in &mut def.devices.shmems {
        let model = *shmem.model.get_or_insert(ShmemModel::Ivshmem);
        match model {
            ShmemModel::IvshmemDoorbell => {
                // the doorbell rings by message-signalled interrupts
                shmem.msi.get_or_insert_default().ioeventfd.get_or_insert(true);
            }
            _ if shmem.server.is_none() => {
                shmem.size.get_or_insert(4 << 20);
            }
            _ => {}
        }
    }
    if let Some(vsock) = &mut def.devices.vsock {
        vsock.model.get_or_insert(VsockModel::Virtio);
        if vsock.auto_cid == Some(true) {
            vsock.cid = None;
        }
    }
    for fs in &mut def.devices.filesystems {
        if fs.socket.is_none() {
            fs.access_mode.get_or_insert(AccessMode::Passthrough);
        }
    }
    for redirdev in &mut def.devices.redirdevs {
        if let Chardev::Dbus { channel } = &mut redirdev.source.backend {
            channel.get_or_insert_with(|| "org.qemu.usbredir".to_owned());
        }
    }
}

/// Servers that listen nowhere, and sockets that belonged to an earlier run.
fn settle_graphics(def: &mut DomainDef) {
    for graphics in &mut def.devices.graphics {
        let Some(listen) = graphics.listens.first_mut() else { continue };
        match &mut graphics.graphics {
            Graphics::Spice(spice)
                if !spice.autoport && spice.port <= 0 && spice.tls_port <= 0 && listen.kind == ListenKind::Address =>
            {
                *listen = Listen::new(ListenKind::None);
            }
            Graphics::Vnc(vnc) => {
                let ours = listen.socket.as_deref().is_some_and(|s| s.contains("/libvirt/qemu/domain-"));
                if listen.kind == ListenKind::Socket && ours {
                    *listen = Listen::new(ListenKind::Address);
                    vnc.autoport = true;
                    vnc.port = 0;
                }
            }
            _ => {}
        }
    }
}

/// Input devices and audio backends that every guest has.
pub(super) fn add_implicit(def: &mut DomainDef) {
    if machine::is_x86(def) && def.features.ps2 != Some(false) {
        for kind in [InputKind::Mouse, InputKind::Keyboard] {
            let there = def.devices.inputs.iter().any(|i| i.kind == kind && i.bus == Some(InputBus::Ps2));
            if !there {
                def.devices.inputs.push(InputDef::new(kind, InputBus::Ps2));
            }
        }
    }
    if machine::is_ppc64(def) && !def.devices.graphics.is_empty() {
        for kind in [InputKind::Keyboard, InputKind::Mouse] {
            if !def.devices.inputs.iter().any(|i| i.kind == kind) {
                def.devices.inputs.push(InputDef::new(kind, InputBus::Usb));
            }
        }
    }
    if def.devices.audios.is_empty() {
        let shown = |kind| def.devices.graphics.iter().any(|g| g.kind() == kind);
        // SPICE carries sound, whatever else shows the screen
        let by_graphics = if shown(GraphicsKind::Spice) {
            Some(AudioKind::Spice)
        } else {
            shown(GraphicsKind::Vnc).then_some(AudioKind::None)
        };
        // a window on the host takes the host's sound, as its environment says
        let default = def.devices.graphics.is_empty().then_some(AudioKind::None);
        def.devices.audios.extend(by_graphics.or(default).map(|kind| AudioDef::new(kind, 1)));
    }
}
