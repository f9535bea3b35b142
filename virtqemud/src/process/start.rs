//! From a stored definition to a running guest.
//!
//! Everything is checked before anything is made; then each step leaves its trace in [`Run`], so that the way back is
//! always `stop::clean_remains` of what is there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conf::domain::DomainDef;
use error::{Code, Domain as From, Error};
use host::{Pid, run_blocking};
use nix::sys::signal::Signal;

use crate::capability::Capability;
use crate::capability::host_devices::HostDevices;
use crate::command::{self, Endpoint, InterfaceFds, LaunchInputs, LaunchPlan};
use crate::domain::guest::{Guest, RunFolders};
use crate::domain::handle::{Domain, Victim};
use crate::domain::lifecycle::{StartOptions, end_process, refused};
use crate::domain::state::State;
use crate::domain::status::{ProcessId, Status};
use crate::driver::Driver;
use crate::launcher::LaunchSpec;
use crate::qmp::{EventReceiver, Monitor, QmpError};
use crate::settings::StdioHandler;

use super::log::RunLog;
use super::ownership::{self, Owner};
use super::stop::{self, Remains};
use super::{MONITOR_DEADLINE, chain, display, folder, images, lease, live, network, served, status};

/// First number of the descriptors that QEMU gets beside its standard streams.
const FIRST_FD: i32 = 3;
/// How long QEMU's last words may take after its end.
const EXIT_DEADLINE: Duration = Duration::from_secs(1);

/// What a start has made so far.
struct Run {
    id: i32,
    def: DomainDef,
    folders: RunFolders,
    owned: Vec<PathBuf>,
    fds: Fds,
}

/// Descriptors for QEMU with their numbers there.
#[derive(Debug, Default)]
struct Fds {
    open: Vec<OwnedFd>,
    numbers: Vec<i32>,
}

impl Fds {
    fn add(&mut self, fd: OwnedFd) -> i32 {
        let number = FIRST_FD + i32::try_from(self.open.len()).unwrap_or(i32::MAX - FIRST_FD);
        self.open.push(fd);
        self.numbers.push(number);
        number
    }
}

/// A QEMU that has greeted.
struct Running {
    pid: Pid,
    victim: Victim,
    monitor: Monitor,
    events: EventReceiver,
}

/// Starts a guest of this definition.
///
/// # Errors
/// Why it cannot be started; nothing is left behind then.
pub async fn start(
    driver: &Arc<Driver>,
    domain: &Domain,
    stored: &DomainDef,
    options: StartOptions,
) -> error::Result<Guest> {
    let capability = driver.emulator(stored.devices.emulator.as_deref(), &stored.os.arch).await?;
    let id = driver.next_id();
    let mut run = Run {
        id,
        def: stored.clone(),
        folders: RunFolders::of(&driver.folders, id, &stored.name),
        owned: Vec::new(),
        fds: Fds::default(),
    };
    run.def.id = Some(id);
    let result = steps(driver, domain, &mut run, &capability, options).await;
    match result {
        Ok(guest) => Ok(guest),
        Err(e) => {
            if let Some(victim) = domain.victim()
                && let Err(stuck) = end_process(victim.pid(), Signal::SIGKILL, false).await
            {
                tracing::error!(domain = %run.def.name, error = %stuck, "the half-started guest does not end");
            }
            domain.clear_victim();
            let Run { def, folders, owned, .. } = run;
            stop::clean_remains(driver, Remains { def: Arc::new(def), folders, owned }).await;
            Err(e)
        }
    }
}

async fn steps(
    driver: &Arc<Driver>,
    domain: &Domain,
    run: &mut Run,
    capability: &Capability,
    options: StartOptions,
) -> error::Result<Guest> {
    served::check(&run.def)?;
    chain::complete(&mut run.def).await?;
    command::prepare(&mut run.def, capability)?;
    live::complete(&mut run.def, &run.folders, &driver.settings);
    display::reserve(driver, &mut run.def)?;
    images::check(&run.def).await?;
    let owner = owner(driver);
    let lease = lease::of(driver, &run.def, run.id, options.paused)?;
    make_folders(run, owner).await?;
    if options.reset_nvram || run.def.os.loader.is_some() {
        images::make_nvram(&run.def, owner, options.reset_nvram).await?;
    }
    let monitor_socket = listen(run.folders.monitor.clone()).await?;
    let monitor = run.fds.add(monitor_socket);
    let mut log = RunLog::open(driver, &run.def).await?;
    let taps = network::connect(driver, &mut run.def).await?;
    let logs = console_logs(driver, run).await?;
    let interfaces = taps.into_iter().map(|queues| InterfaceFds {
        taps: queues.into_iter().map(|fd| run.fds.add(fd)).collect(),
        ..InterfaceFds::default()
    });
    let interfaces = interfaces.collect();
    let inputs = inputs(driver, run, monitor, interfaces, logs);
    let plan = command::plan(&run.def, capability, &inputs)?;
    log.write_header(&facts(capability), &plan.env, &arguments(&plan));
    match execute(driver, domain, run, plan, lease, &log, owner).await {
        Ok(running) => {
            let pid = running.pid.clone();
            match finish(run, running, options).await {
                Err(e) if e.is_closed() => Err(explain(driver, &run.def.name, &pid, &log, e).await),
                done => Ok(done?),
            }
        }
        Err(e) => Err(e),
    }
}

/// QEMU's account, when it is not ours.
fn owner(driver: &Driver) -> Option<Owner> {
    driver.settings.user.as_ref().map(|user| Owner { uid: user.uid, gid: user.gid })
}

async fn make_folders(run: &Run, owner: Option<Owner>) -> error::Result<()> {
    let folders = run.folders.clone();
    run_blocking(move || folders.make(owner))
        .await
        .map_err(|e| Error::system(From::Qemu, &e, format!("cannot create folders of domain '{}'", run.def.name)))
}

/// The monitor's socket, listening before QEMU exists: connecting to it succeeds at once.
async fn listen(path: PathBuf) -> error::Result<OwnedFd> {
    let failed = format!("cannot create monitor socket '{}'", path.display());
    let bound = run_blocking(move || std::os::unix::net::UnixListener::bind(path)).await;
    Ok(bound.map_err(|e| Error::system(From::Qemu, &e, failed))?.into())
}

/// Pipes for `<log file=>` of character devices.
async fn console_logs(driver: &Driver, run: &mut Run) -> error::Result<BTreeMap<String, i32>> {
    let mut logs = BTreeMap::new();
    if driver.settings.stdio_handler != StdioHandler::Logd {
        return Ok(logs);
    }
    for (alias, file, append) in live::log_files(&run.def) {
        let opened =
            crate::peer::log::open(&driver.logd_socket(), run.def.uuid, &run.def.name, file.as_ref(), !append).await?;
        let number = run.fds.add(opened.pipe);
        logs.insert(format!("char{alias}-log"), number);
    }
    Ok(logs)
}

fn inputs(
    driver: &Driver,
    run: &Run,
    monitor: i32,
    interfaces: Vec<InterfaceFds>,
    fds: BTreeMap<String, i32>,
) -> LaunchInputs {
    let text = |path: &std::path::Path| path.display().to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LaunchInputs {
        domain_dir: text(&run.folders.lib),
        lib_dir: text(&driver.folders.lib),
        run_dir: text(&driver.folders.state),
        short_name: folder::short_name(run.id, &run.def.name),
        monitor: Endpoint::Fd(monitor),
        interfaces,
        fds,
        secrets: BTreeMap::new(),
        vnc_listen: driver.settings.vnc_listen.clone(),
        spice_listen: driver.settings.spice_listen.clone(),
        chardev_tls_dir: None,
        now: i64::try_from(now).unwrap_or(i64::MAX),
        utc_offset: host::clock::utc_offset(),
        incoming: None,
        sandbox: driver.settings.sandbox,
        dump_guest_core: driver.settings.dump_guest_core,
        search_path: search_path(),
        hugepages: Vec::new(),
        host: HostDevices::read(),
        shown_only: false,
    }
}

/// Programs that QEMU may start itself are found as we find ours.
pub fn search_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into())
}

/// Facts of emulator and host for the log.
fn facts(capability: &Capability) -> String {
    let (v, package) = (capability.version, &capability.package);
    let kernel =
        nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    let hostname = host::system::hostname().unwrap_or_default();
    format!(
        "qemu version: {}.{}.{}{package}, kernel: {kernel}, hostname: {hostname}",
        v / 1_000_000,
        v / 1000 % 1000,
        v % 1000
    )
}

/// The whole argument list, the program's name first.
fn arguments(plan: &LaunchPlan) -> Vec<String> {
    std::iter::once(plan.program.clone()).chain(plan.argv.iter().cloned()).collect()
}

/// Locks, status document, owners, exec, greeting.
async fn execute(
    driver: &Arc<Driver>,
    domain: &Domain,
    run: &mut Run,
    plan: LaunchPlan,
    lease: Option<crate::launcher::Lease>,
    log: &RunLog,
    owner: Option<Owner>,
) -> error::Result<Running> {
    let argv = arguments(&plan);
    let (fds, numbers) = standard_streams(std::mem::take(&mut run.fds), log)?;
    let spec = LaunchSpec {
        program: PathBuf::from(OsStr::new(&plan.program)),
        argv,
        env: plan.env,
        fds: numbers,
        user: driver.settings.user.clone(),
        limits: driver.settings.limits.clone(),
        directory: PathBuf::from("/"),
        lease,
    };
    let launched = driver.launcher.launch(&spec, &fds).await?;
    drop(fds);
    let pid = launched.pid().clone();
    let victim = domain.set_victim(pid.clone());
    if driver.settings.dynamic_ownership {
        run.owned = images::owned_paths(&run.def);
    }
    status::write_pid(driver, &run.def.name, pid.number()).await?;
    status::write(driver, &run.def.name, starting(driver, run, &pid), Arc::new(run.def.clone())).await?;
    if let Some(owner) = owner {
        take_files(driver, run, owner).await?;
    }
    let pid = launched.go().await?;
    let (monitor, events) = match greet(run.folders.monitor.clone(), &pid).await {
        Ok(connected) => connected,
        Err(e) => return Err(explain(driver, &run.def.name, &pid, log, e).await),
    };
    Ok(Running { pid, victim, monitor, events })
}

/// Why the monitor is closed: a QEMU that has ended said it in its log.
async fn explain(driver: &Driver, name: &str, pid: &Pid, log: &RunLog, e: QmpError) -> Error {
    // Its last words are complete when it has ended.
    let _ = tokio::time::timeout(EXIT_DEADLINE, pid.exited()).await;
    if pid.is_running() { refused(e) } else { closed_monitor(name, &log.last_words(driver).await) }
}

fn closed_monitor(name: &str, said: &str) -> Error {
    let text = if said.is_empty() {
        format!("QEMU unexpectedly closed the monitor (vm='{name}')")
    } else {
        format!("QEMU unexpectedly closed the monitor (vm='{name}'): {said}")
    };
    Error::new(From::Qemu, Code::InternalError, text)
}

/// Connects to the monitor; a QEMU that ends first does not keep us waiting.
async fn greet(path: PathBuf, pid: &Pid) -> Result<(Monitor, EventReceiver), QmpError> {
    tokio::select! {
        connected = Monitor::connect(&path, MONITOR_DEADLINE) => connected,
        _ = pid.exited() => Err(QmpError::Closed { reason: "QEMU has ended".into() }),
    }
}

/// Standard input is empty; output and error go to the log.
fn standard_streams(fds: Fds, log: &RunLog) -> error::Result<(Vec<OwnedFd>, Vec<i32>)> {
    let failed = |e: std::io::Error| Error::system(From::Qemu, &e, "cannot prepare QEMU's standard streams");
    let null = std::fs::File::open("/dev/null").map_err(failed)?;
    let mut open: Vec<OwnedFd> =
        vec![null.into(), log.output.try_clone().map_err(failed)?, log.output.try_clone().map_err(failed)?];
    let mut numbers = vec![0, 1, 2];
    open.extend(fds.open);
    numbers.extend(fds.numbers);
    Ok((open, numbers))
}

fn starting(driver: &Driver, run: &Run, pid: &Pid) -> Status {
    Status {
        state: State::STARTING,
        process: ProcessId { pid: pid.number(), start_time: pid.start_time(), boot_id: driver.boot_id.clone() },
        monitor: run.folders.monitor.clone(),
        lib_dir: run.folders.lib.clone(),
        channel_dir: run.folders.channel.clone(),
        vcpu_threads: Vec::new(),
        fake_reboot: false,
        starting: true,
        changed_live: false,
        owned: run.owned.clone(),
    }
}

async fn take_files(driver: &Driver, run: &Run, owner: Owner) -> error::Result<()> {
    let (paths, remember) = (run.owned.clone(), driver.settings.remember_owner);
    let taken = run_blocking(move || {
        for path in paths {
            ownership::take(&path, owner, remember).map_err(|e| (path, e))?;
        }
        Ok(())
    });
    taken.await.map_err(|(path, e): (PathBuf, std::io::Error)| {
        let text = format!("unable to set user and group to '{}:{}' on '{}'", owner.uid, owner.gid, path.display());
        Error::system(From::Qemu, &e, text)
    })
}

/// Facts of the running QEMU, then its vCPUs run.
async fn finish(run: &mut Run, running: Running, options: StartOptions) -> Result<Guest, QmpError> {
    let Running { pid, victim, monitor, events } = running;
    let (vcpu_threads, terminals) = tokio::try_join!(live::vcpu_threads(&monitor), live::terminals(&monitor))?;
    live::set_terminals(&mut run.def, &terminals);
    live::set_passwords(&monitor, &run.def).await?;
    live::set_memory(&monitor, &run.def).await?;
    if !options.paused {
        monitor.execute(&crate::qmp::commands::Cont {}).await?;
    }
    Ok(Guest {
        id: run.id,
        def: Arc::new(run.def.clone()),
        death: Guest::watch(&pid),
        pid,
        victim,
        monitor: Some(monitor),
        events: Some(events),
        vcpu_threads,
        folders: run.folders.clone(),
        owned: std::mem::take(&mut run.owned),
        fake_reboot: false,
        ending: None,
        changed: false,
    })
}
