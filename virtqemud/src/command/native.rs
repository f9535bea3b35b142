//! The text of `domxml-to-native qemu-argv`.

use conf::domain::DomainDef;
use conf::domain::device::disk::{DiskDef, DiskDevice, StartupPolicy};
use conf::domain::device::graphics::Graphics;
use conf::domain::device::info::DeviceInfo;
use conf::domain::device::interface::{BackendOptions, InterfaceKind, InterfaceSource, NetDriverOptions};

use conf::domain::device::source::{SourceKind, StorageSource};
use error::Result;

use super::inputs::LaunchInputs;
use super::need;
use super::plan::{LaunchPlan, plan};
use super::prepare::prepare;
use crate::address;
use crate::capability::Capability;
use crate::capability::means::HostMeans;

/// The command line of a definition that nothing was prepared for, as `domxml-to-native` shows it.
///
/// # Errors
/// What the emulator cannot do.
pub fn show(mut def: DomainDef, capability: &Capability, inputs: &LaunchInputs, means: &HostMeans) -> Result<String> {
    generalize(&mut def);
    address::assign(&mut def, capability)?;
    drop_optional(&mut def);
    need::check(&def, capability, means)?;
    prepare(&mut def, capability)?;
    Ok(text(&plan(&def, capability, inputs)?))
}

/// Leaves out what may be missing at a start: optional images on volumes, which cannot be found without their pool.
fn drop_optional(def: &mut DomainDef) {
    let missing =
        |d: &DiskDef| d.source.kind == SourceKind::Volume && d.startup_policy == Some(StartupPolicy::Optional);
    for cdrom in def
        .devices
        .disks
        .iter_mut()
        .filter(|d| missing(d) && matches!(d.device, DiskDevice::Cdrom | DiskDevice::Floppy))
    {
        cdrom.source = StorageSource::new(SourceKind::File);
    }
    def.devices.disks.retain(|d| !missing(d));
}

/// Makes every interface one that QEMU can be told of without anything prepared on the host: a plain tap, of which only the card's
/// model, MAC address and script are left. Its address is to be assigned anew.
pub fn generalize(def: &mut DomainDef) {
    for interface in &mut def.devices.interfaces {
        interface.kind = InterfaceKind::Ethernet;
        interface.source = InterfaceSource::Ethernet;
        interface.driver = NetDriverOptions::default();
        interface.backend = BackendOptions::default();
        interface.info = DeviceInfo::default();
        interface.teaming = None;
        interface.mtu = None;
        interface.sndbuf = None;
        interface.ips.clear();
        interface.actual = None;
    }
    // Ports that would be chosen at the start.
    for graphics in &mut def.devices.graphics {
        match &mut graphics.graphics {
            Graphics::Vnc(vnc) if vnc.autoport => vnc.port = 5900,
            Graphics::Spice(spice) if spice.autoport => spice.port = 5901,
            _ => {}
        }
    }
}

/// Environment, program and arguments on one line, as a shell would take them.
pub fn text(plan: &LaunchPlan) -> String {
    let env = plan.env.iter().map(|(name, value)| format!("{name}={}", quote(value)));
    let words = std::iter::once(plan.program.as_str()).chain(plan.argv.iter().map(String::as_str)).map(quote);
    env.chain(words).collect::<Vec<_>>().join(" ")
}

/// Single quotes around what a shell would not take as it is.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        let plan = LaunchPlan {
            program: "/usr/bin/qemu".into(),
            argv: ["-S", "-device", "{\"a\":1}", "-m", "1"].map(String::from).to_vec(),
            env: vec![("A".into(), "b c".into())],
        };
        assert_eq!(text(&plan), "A='b c' /usr/bin/qemu -S -device '{\"a\":1}' -m 1");
    }
}
