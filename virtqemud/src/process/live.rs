//! The definition of a run: what only a starting or running guest has.

use std::collections::BTreeMap;

use conf::domain::DomainDef;
use conf::domain::device::chardev::{ChannelTarget, Chardev, ChardevSource};
use conf::domain::device::graphics::{Graphics, Listen, ListenKind};
use conf::domain::device::info::DeviceInfo;

use crate::domain::guest::RunFolders;
use crate::qmp::commands::{Balloon, ExpirePassword, QueryChardev, QueryCpusFast, SetPassword};
use crate::qmp::{Monitor, QmpError};
use crate::settings::Settings;

/// Fills in paths and addresses that follow from the run and the settings.
pub fn complete(def: &mut DomainDef, folders: &RunFolders, settings: &Settings) {
    for channel in &mut def.devices.channels {
        let ChannelTarget::Virtio { name, .. } = &channel.target else { continue };
        if let Chardev::Unix { path: path @ None, listen, .. } = &mut channel.source.backend {
            let file = name.as_deref().filter(|name| object::file::is_file_name(name));
            let file =
                file.map(str::to_owned).or_else(|| channel.info.alias.clone()).unwrap_or_else(|| "channel".into());
            *path = Some(folders.channel.join(file).display().to_string());
            *listen = true;
        }
    }
    for display in &mut def.devices.graphics {
        let address = match &display.graphics {
            Graphics::Vnc(_) => &settings.vnc_listen,
            Graphics::Spice(_) => &settings.spice_listen,
            _ => continue,
        };
        for listen in &mut display.listens {
            fill_address(listen, address);
        }
    }
    // A console that is the first serial device in other words shows that device's source.
    if let (Some(serial), Some(console)) = (def.devices.serials.first(), def.devices.consoles.first_mut())
        && console.target == Some(conf::domain::device::chardev::ConsoleType::Serial)
    {
        console.source = serial.source.clone();
        console.info.alias.clone_from(&serial.info.alias);
    }
}

fn fill_address(listen: &mut Listen, address: &str) {
    if listen.kind == ListenKind::Address && listen.address.is_none() {
        listen.address = Some(address.to_owned());
        listen.from_config = true;
    }
}

/// All character devices of the guest but consoles that repeat the first serial device.
fn chardevs(def: &DomainDef) -> impl Iterator<Item = (&DeviceInfo, &ChardevSource)> {
    let devices = &def.devices;
    let first_serial = devices.serials.first().and_then(|serial| serial.info.alias.as_deref());
    let consoles = devices.consoles.iter().map(|d| (&d.info, &d.source));
    (devices.serials.iter().map(|d| (&d.info, &d.source)))
        .chain(devices.parallels.iter().map(|d| (&d.info, &d.source)))
        .chain(devices.channels.iter().map(|d| (&d.info, &d.source)))
        .chain(consoles.filter(move |(info, _)| first_serial.is_none() || info.alias.as_deref() != first_serial))
}

/// Alias, file and append of each `<log file=>`.
pub fn log_files(def: &DomainDef) -> Vec<(String, String, bool)> {
    let logs = chardevs(def).filter_map(|(info, source)| {
        let log = source.log.as_ref()?;
        Some((info.alias.clone()?, log.file.clone(), log.append.unwrap_or(false)))
    });
    logs.collect()
}

/// Thread ids of the vCPUs, by number.
pub async fn vcpu_threads(monitor: &Monitor) -> Result<Vec<i32>, QmpError> {
    let mut cpus = monitor.execute(&QueryCpusFast {}).await?;
    cpus.sort_by_key(|cpu| cpu.cpu_index);
    Ok(cpus.iter().filter_map(|cpu| i32::try_from(cpu.thread_id).ok()).collect())
}

/// Terminals that QEMU made, by the id of the character device.
pub async fn terminals(monitor: &Monitor) -> Result<BTreeMap<String, String>, QmpError> {
    let chardevs = monitor.execute(&QueryChardev {}).await?;
    let terminals = chardevs.into_iter().filter_map(|chardev| {
        let path = chardev.filename.strip_prefix("pty:")?;
        Some((chardev.label, path.to_owned()))
    });
    Ok(terminals.collect())
}

/// Enters the terminals in the definition.
pub fn set_terminals(def: &mut DomainDef, terminals: &BTreeMap<String, String>) {
    let devices = &mut def.devices;
    let all = (devices.serials.iter_mut().map(|d| (&d.info, &mut d.source)))
        .chain(devices.parallels.iter_mut().map(|d| (&d.info, &mut d.source)))
        .chain(devices.channels.iter_mut().map(|d| (&d.info, &mut d.source)))
        .chain(devices.consoles.iter_mut().map(|d| (&d.info, &mut d.source)));
    for (info, source) in all {
        let Some(alias) = &info.alias else { continue };
        if let Chardev::Pty { path } = &mut source.backend
            && let Some(terminal) = terminals.get(&format!("char{alias}"))
        {
            *path = Some(terminal.clone());
        }
    }
}

/// Passwords never stand on the command line.
pub async fn set_passwords(monitor: &Monitor, def: &DomainDef) -> Result<(), QmpError> {
    for display in &def.devices.graphics {
        let (protocol, auth) = match &display.graphics {
            Graphics::Vnc(vnc) => ("vnc", &vnc.auth),
            Graphics::Spice(spice) => ("spice", &spice.auth),
            _ => continue,
        };
        let Some(password) = &auth.passwd else { continue };
        let connected = auth.connected.map(|action| action.to_string());
        monitor.execute(&SetPassword { protocol: protocol.into(), password: password.clone(), connected }).await?;
        let time = auth
            .valid_to
            .as_deref()
            .and_then(seconds_since_epoch)
            .map_or("never".to_owned(), |seconds| seconds.to_string());
        monitor.execute(&ExpirePassword { protocol: protocol.into(), time }).await?;
    }
    Ok(())
}

/// A guest that shall have less than its memory is told so before it runs.
pub async fn set_memory(monitor: &Monitor, def: &DomainDef) -> Result<(), QmpError> {
    use conf::domain::device::memballoon::MemballoonModel;
    let has_balloon = def.devices.memballoon.as_ref().is_some_and(|balloon| balloon.model != MemballoonModel::None);
    if has_balloon && def.memory.current_kib < def.memory.total_kib {
        monitor.execute(&Balloon { value: def.memory.current_kib * 1024 }).await?;
    }
    Ok(())
}

/// `2011-05-31T16:11:22` in UTC.
fn seconds_since_epoch(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds_since_epoch;

    #[test]
    fn moments() {
        assert_eq!(seconds_since_epoch("1970-01-01T00:00:00"), Some(0));
        assert_eq!(seconds_since_epoch("2025-05-31T12:30:45"), Some(1_748_694_645));
        assert_eq!(seconds_since_epoch("2000-02-29T00:00:00"), Some(951_782_400));
        assert_eq!(seconds_since_epoch("tomorrow"), None);
    }
}
