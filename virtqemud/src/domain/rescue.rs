//! Running guests whose status document is lost or broken: found by pid file and command line, so that no second QEMU is
//! started for them, and listed so that they can be seen and destroyed.

use std::path::PathBuf;
use std::sync::Arc;

use conf::domain::DomainDef;
use host::{Pid, run_blocking};
use object::file;

use crate::address::alias;
use crate::driver::Driver;
use crate::process::folder::short_name;

use super::guest::RunFolders;
use super::recover::Found;
use super::state::State;
use super::status::{ProcessId, Status};

/// Longest command line that is read.
const COMMAND_LINE_MAX: u64 = 4 << 20;

/// Takes back every guest that has a pid file and a process of its name, but no usable status document.
pub(super) async fn rescue_all(driver: &Arc<Driver>) {
    let state = driver.folders.state.clone();
    let pid_files = run_blocking(move || file::with_suffix(&state, ".pid")).await.unwrap_or_default();
    for (name, path) in pid_files {
        let Some(domain) = driver.domains.by_name(&name) else { continue };
        let view = domain.view();
        let Some(stored) = view.persistent.clone().filter(|_| !view.is_active()) else { continue };
        let asked = name.clone();
        let Some((pid, id)) = run_blocking(move || process_of(&asked, path)).await else { continue };
        tracing::error!(domain = %name, pid = pid.number(), "guest runs without a usable status document: taken back with its stored definition");
        let found = found(driver, &stored, pid, id);
        if let Err(e) = domain.ask(move |actor| Box::pin(actor.adopt(found))).await {
            tracing::error!(domain = %name, error = %e, "cannot take the guest back");
        }
    }
}

/// What can be said of such a guest.
fn found(driver: &Driver, stored: &DomainDef, pid: Pid, id: i32) -> Found {
    driver.note_id(id);
    let mut def = stored.clone();
    def.id = Some(id);
    alias::assign(&mut def);
    let folders = RunFolders::of(&driver.folders, id, &def.name);
    let process = ProcessId { pid: pid.number(), start_time: pid.start_time(), boot_id: driver.boot_id.clone() };
    let status = Status {
        state: State::RUNNING,
        process,
        monitor: folders.monitor.clone(),
        lib_dir: folders.lib.clone(),
        channel_dir: folders.channel.clone(),
        vcpu_threads: Vec::new(),
        fake_reboot: false,
        starting: false,
        changed_live: true,
        owned: crate::process::images::owned_paths(&def),
    };
    Found { id, def: Arc::new(def), pid, folders, status }
}

/// The process of the pid file, when its command line is that of this guest; with the id of its run. The process is held
/// before its command line is read, so that it cannot be another one meanwhile.
fn process_of(name: &str, path: PathBuf) -> Option<(Pid, i32)> {
    let number: i32 = String::from_utf8(file::read_limited(&path, 32).ok()?).ok()?.trim().parse().ok()?;
    let pid = Pid::open(number).ok().filter(Pid::is_running)?;
    let line = file::read_limited(format!("/proc/{number}/cmdline").as_ref(), COMMAND_LINE_MAX).ok()?;
    let id = id_of(name, &String::from_utf8_lossy(&line))?;
    pid.is_running().then_some((pid, id))
}

/// The id in the path of the master key, when the line is of a guest with this name.
fn id_of(name: &str, line: &str) -> Option<i32> {
    let words: Vec<&str> = line.split('\0').collect();
    let own = format!("guest={},", name.replace(',', ",,"));
    let at = words.iter().position(|word| *word == "-name")?;
    if !words.get(at + 1)?.starts_with(&own) {
        return None;
    }
    let key = words.iter().find(|word| word.contains("master-key.aes"))?;
    let folder = key.rsplit("/domain-").next()?.split("/master-key.aes").next()?;
    let id: i32 = folder.split('-').next()?.parse().ok()?;
    (folder == short_name(id, name)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::id_of;

    #[test]
    fn only_the_guests_own_command_line_counts() {
        let line = |name: &str| {
            format!(
                "/usr/bin/qemu\0-name\0guest={name},debug-threads=on\0-object\0{{\"file\":\"/l/domain-7-{name}/master-key.aes\"}}\0"
            )
        };
        assert_eq!(id_of("g", &line("g")), Some(7));
        assert_eq!(id_of("g", &line("g2")), None);
        assert_eq!(id_of("g2", &line("g")), None);
        assert_eq!(id_of("g", "/bin/sh\0-c\0guest=g,\0"), None);
        assert_eq!(id_of("g", ""), None);
    }
}
