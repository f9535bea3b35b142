//! Definitions and life: what users ask of a domain, each in one turn of its actor.

use std::sync::Arc;
use std::time::Duration;

use conf::domain::DomainDef;
use error::{Code, Error};
use host::{Pid, run_blocking};
use nix::sys::signal::Signal;
use object::file;
use protocol::constants as c;
use tokio::time::timeout;

use crate::process::{self, start};
use crate::qmp::QmpError;
use crate::qmp::commands::{Cont, InjectNmi, SendKey, Stop, SystemPowerdown, SystemReset, SystemWakeup};

use super::actor::{Actor, invalid, not_running};
use super::event::Event;
use super::handle::Domain;
use super::state::State;

/// A QEMU that does not end this long after SIGTERM is killed.
const TERM_DEADLINE: Duration = Duration::from_secs(10);
/// After SIGKILL only the kernel can hold it (uninterruptible sleep).
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// How a guest is to be started.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartOptions {
    /// vCPUs stay stopped.
    pub paused: bool,
    /// NVRAM is made anew from its template.
    pub reset_nvram: bool,
}

impl Actor {
    /// Stores a definition for the next boot; `added` when the domain is new.
    pub async fn define(&mut self, def: Arc<DomainDef>, added: bool) -> error::Result<()> {
        if let Err(e) = self.write_definition(&def).await {
            if added {
                self.retire();
            }
            return Err(e);
        }
        self.persistent = Some(def);
        self.publish();
        let detail = if added { c::VIR_DOMAIN_EVENT_DEFINED_ADDED } else { c::VIR_DOMAIN_EVENT_DEFINED_UPDATED };
        self.emit(&Event::lifecycle(c::VIR_DOMAIN_EVENT_DEFINED, detail));
        Ok(())
    }

    /// Replaces the stored definition after a change by a user (`--config`).
    pub async fn store(&mut self, def: DomainDef) -> error::Result<()> {
        let def = Arc::new(def);
        self.write_definition(&def).await?;
        self.persistent = Some(def);
        self.publish();
        Ok(())
    }

    /// Forgets the stored definition; a running guest becomes transient.
    pub async fn undefine(&mut self, flags: u32) -> error::Result<()> {
        let Some(def) = self.persistent.clone() else { return Err(invalid("cannot undefine transient domain")) };
        let nvram =
            def.os.loader.as_ref().and_then(|loader| loader.nvram.as_ref()).and_then(|nvram| nvram.path.clone());
        let nvram = nvram.filter(|path| std::path::Path::new(path).exists());
        let has = |flag| flags & flag != 0;
        if nvram.is_some() && !has(c::VIR_DOMAIN_UNDEFINE_NVRAM) && !has(c::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) {
            return Err(invalid("cannot undefine domain with nvram"));
        }
        let doomed_nvram = nvram.filter(|_| has(c::VIR_DOMAIN_UNDEFINE_NVRAM));
        let (definition, link) = (self.driver.definition_file(&self.name), self.driver.autostart_link(&self.name));
        let name = self.name.clone();
        run_blocking(move || {
            if let Some(path) = doomed_nvram {
                file::remove_durable(path.as_ref())?;
            }
            file::remove_durable(&link)?;
            file::remove_durable(&definition)
        })
        .await
        .map_err(|e| Error::system(error::Domain::Qemu, &e, format!("cannot remove config of domain '{name}'")))?;
        let told = self.domain.view().wire();
        self.autostart = false;
        if self.guest.is_some() {
            self.persistent = None;
            self.publish();
        } else {
            self.retire();
        }
        self.driver
            .emit(&told, &Event::lifecycle(c::VIR_DOMAIN_EVENT_UNDEFINED, c::VIR_DOMAIN_EVENT_UNDEFINED_REMOVED));
        Ok(())
    }

    /// Marks the domain to be started with the host, or not.
    pub async fn set_autostart(&mut self, on: bool) -> error::Result<()> {
        if self.persistent.is_none() {
            return Err(invalid("cannot set autostart for transient domain"));
        }
        if self.autostart != on {
            self.write_autostart(on).await?;
            self.autostart = on;
            self.publish();
        }
        Ok(())
    }

    /// Starts the stored definition.
    pub async fn start(&mut self, options: StartOptions) -> error::Result<()> {
        if self.guest.is_some() {
            return Err(invalid("domain is already running"));
        }
        let Some(def) = self.persistent.clone() else { return Err(invalid("domain has no persistent definition")) };
        self.boot(def, options).await
    }

    /// Starts a transient domain, or a persistent one from another definition; a transient one is gone when that fails.
    pub async fn create(&mut self, def: Arc<DomainDef>, options: StartOptions) -> error::Result<()> {
        if self.guest.is_some() {
            let text = format!("domain '{}' is already active", self.name);
            return Err(Error::new(error::Domain::Domain, Code::OperationInvalid, text));
        }
        let result = self.boot(def, options).await;
        if result.is_err() && self.persistent.is_none() {
            self.retire();
        }
        result
    }

    async fn boot(&mut self, def: Arc<DomainDef>, options: StartOptions) -> error::Result<()> {
        let started = std::time::Instant::now();
        let guest = match start::start(&self.driver, &self.domain, &def, options).await {
            Ok(guest) => guest,
            Err(e) => {
                self.state = State::OFF_FAILED;
                self.publish();
                return Err(e);
            }
        };
        self.guest = Some(guest);
        self.driver.hold();
        self.state = if options.paused { State::PAUSED } else { State::BOOTED };
        if let Err(e) = self.write_status(false).await {
            self.kill_and_wait(Signal::SIGKILL).await?;
            self.end(State::OFF_FAILED).await;
            return Err(e);
        }
        self.publish();
        tracing::info!(domain = %self.name, milliseconds = started.elapsed().as_millis(), "domain started");
        self.tell_agent_is_away();
        if !options.paused {
            self.emit(&Event::lifecycle(c::VIR_DOMAIN_EVENT_RESUMED, c::VIR_DOMAIN_EVENT_RESUMED_UNPAUSED));
        }
        self.emit(&Event::lifecycle(c::VIR_DOMAIN_EVENT_STARTED, c::VIR_DOMAIN_EVENT_STARTED_BOOTED));
        if options.paused {
            self.emit(&Event::lifecycle(c::VIR_DOMAIN_EVENT_SUSPENDED, c::VIR_DOMAIN_EVENT_SUSPENDED_PAUSED));
        }
        Ok(())
    }

    /// A guest with an agent's channel begins without an agent, which subscribers hear of.
    fn tell_agent_is_away(&self) {
        use conf::domain::device::chardev::ChannelTarget;
        let Some(guest) = &self.guest else { return };
        let mut targets = guest.def.devices.channels.iter().map(|channel| &channel.target);
        if targets.any(|target| matches!(target, ChannelTarget::Virtio { name: Some(name), .. } if name == crate::api::AGENT_CHANNEL)) {
            let state = c::VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED;
            self.emit(&Event::AgentLifecycle(state, c::VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED));
        }
    }

    /// Stops the vCPUs.
    pub async fn suspend(&mut self) -> error::Result<()> {
        let monitor = self.monitor()?;
        if self.state.same(State::ASLEEP) {
            return Err(invalid("domain is pmsuspended"));
        }
        if self.state.same(State::PAUSED) {
            return Ok(());
        }
        monitor.execute(&Stop {}).await.map_err(refused)?;
        process::lease::pause(&self.driver, self.guest.as_ref(), &self.name).await?;
        let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_SUSPENDED, c::VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
        self.change(State::PAUSED, Some(told)).await;
        Ok(())
    }

    /// Lets the vCPUs run again.
    pub async fn resume(&mut self) -> error::Result<()> {
        let monitor = self.monitor()?;
        if self.state.same(State::ASLEEP) {
            return Err(invalid("domain is pmsuspended"));
        }
        if self.state.same(State::RUNNING) {
            return Err(invalid("domain is already running"));
        }
        process::lease::resume(&self.driver, self.guest.as_ref(), &self.name).await?;
        monitor.execute(&Cont {}).await.map_err(refused)?;
        let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_RESUMED, c::VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
        self.change(State::UNPAUSED, Some(told)).await;
        Ok(())
    }

    /// Presses the power button; with `reboot`, the power-off that follows becomes a reset.
    pub async fn press_power_button(&mut self, reboot: bool) -> error::Result<()> {
        let monitor = self.monitor()?;
        if let Some(guest) = &mut self.guest {
            guest.fake_reboot = reboot;
        }
        // A new daemon must know what the coming power-off means.
        self.write_status(false).await?;
        monitor.execute(&SystemPowerdown {}).await.map_err(refused)?;
        Ok(())
    }

    /// Pulls the reset line.
    pub async fn reset(&mut self) -> error::Result<()> {
        let monitor = self.monitor()?;
        monitor.execute(&SystemReset {}).await.map_err(refused)?;
        if let Some(guest) = &mut self.guest {
            guest.fake_reboot = false;
        }
        if self.state.same(State::PANICKED) {
            self.change(State::PAUSED_UNKNOWN, None).await;
        }
        Ok(())
    }

    /// Wakes a guest that sleeps.
    pub async fn wake_up(&mut self) -> error::Result<()> {
        let monitor = self.monitor()?;
        monitor.execute(&SystemWakeup {}).await.map_err(refused)?;
        Ok(())
    }

    /// Sends a non-maskable interrupt.
    pub async fn inject_nmi(&mut self) -> error::Result<()> {
        self.monitor()?.execute(&InjectNmi {}).await.map_err(refused)?;
        Ok(())
    }

    /// Presses keys, by QEMU's numbers, all at once.
    pub async fn send_keys(&mut self, keys: Vec<u32>, hold_time: u32) -> error::Result<()> {
        let keys = keys.into_iter().map(|key| serde_json::json!({ "type": "number", "data": key })).collect();
        let hold_time = Some(u64::from(hold_time)).filter(|time| *time > 0);
        self.monitor()?.execute(&SendKey { keys, hold_time }).await.map_err(refused)?;
        Ok(())
    }

    /// Marks the domain to be started at the next boot of the host, and only then.
    pub async fn set_autostart_once(&mut self, on: bool) -> error::Result<()> {
        if self.persistent.is_none() {
            return Err(invalid("cannot set autostart for transient domain"));
        }
        let (link, definition) = (self.driver.autostart_once_link(&self.name), self.driver.definition_file(&self.name));
        let text = format!("Failed to change autostart link of domain '{}'", self.name);
        run_blocking(move || object::autostart::set(&link, &definition, on))
            .await
            .map_err(|e| Error::system(error::Domain::Qemu, &e, text))
    }

    /// Gives back what belonged to a process that [`destroy`] has ended.
    pub async fn finish_destroy(&mut self) -> error::Result<()> {
        if let Some(guest) = &self.guest
            && !guest.pid.is_running()
        {
            self.end(State::OFF_DESTROYED).await;
        }
        Ok(())
    }

    async fn kill_and_wait(&mut self, signal: Signal) -> error::Result<()> {
        let Some(guest) = &self.guest else { return Ok(()) };
        guest.victim.request();
        end_process(&guest.pid, signal, false).await
    }
}

/// Ends the guest's process, beside the mailbox: works when everything else hangs.
///
/// # Errors
/// OPERATION_INVALID when it does not run; OPERATION_FAILED when the process will not end.
pub async fn destroy(domain: &Domain, graceful: bool) -> error::Result<()> {
    let Some(victim) = domain.victim() else { return Err(not_running()) };
    victim.request();
    end_process(victim.pid(), Signal::SIGTERM, graceful).await?;
    match domain.ask(|actor| Box::pin(actor.finish_destroy())).await {
        // A transient domain whose actor was faster than we.
        Err(e) if e.code() == Some(Code::NoDomain) => Ok(()),
        done => done,
    }
}

/// Signals and waits; SIGKILL follows unless `graceful`.
pub(crate) async fn end_process(pid: &Pid, first: Signal, graceful: bool) -> error::Result<()> {
    let stuck = |code| Error::new(error::Domain::Qemu, code, format!("failed to kill qemu process {}", pid.number()));
    let steps: &[(Signal, Duration)] = match (first, graceful) {
        (Signal::SIGTERM, true) => &[(Signal::SIGTERM, TERM_DEADLINE)],
        (Signal::SIGTERM, false) => &[(Signal::SIGTERM, TERM_DEADLINE), (Signal::SIGKILL, KILL_DEADLINE)],
        _ => &[(Signal::SIGKILL, KILL_DEADLINE)],
    };
    for (signal, deadline) in steps {
        if pid.signal(*signal).is_err_and(|e| e.raw_os_error() == Some(nix::libc::ESRCH)) {
            return Ok(());
        }
        if matches!(timeout(*deadline, pid.exited()).await, Ok(Ok(()))) {
            return Ok(());
        }
    }
    Err(stuck(if graceful { Code::OperationFailed } else { Code::SystemError }))
}

/// QEMU's refusal as libvirt reports it.
pub(crate) fn refused(e: QmpError) -> Error {
    e.into()
}

impl Actor {
    /// The live definition.
    pub(crate) fn live_def(&mut self) -> error::Result<Arc<DomainDef>> {
        Ok(self.running()?.def.clone())
    }

    /// A copy of the stored definition, to be changed.
    pub(crate) fn stored_def(&self) -> error::Result<DomainDef> {
        let stored =
            self.persistent.as_ref().ok_or_else(|| invalid("transient domains do not have any persistent config"))?;
        Ok(DomainDef::clone(stored))
    }

    /// Makes one change to the stored definition.
    pub(crate) async fn edit<F>(&mut self, change: F) -> error::Result<()>
    where
        F: FnOnce(&mut DomainDef) -> error::Result<()> + Send,
    {
        let mut def = self.stored_def()?;
        change(&mut def)?;
        self.store(def).await
    }

    /// Replaces the stored definition if it is still `old`.
    pub(crate) async fn replace(&mut self, old: Arc<DomainDef>, new: DomainDef) -> error::Result<()> {
        if !self.persistent.as_ref().is_some_and(|now| Arc::ptr_eq(now, &old)) {
            return Err(Error::new(
                error::Domain::Qemu,
                Code::OperationFailed,
                "the definition was changed by somebody else meanwhile",
            ));
        }
        self.store(new).await
    }

    /// Gives the domain another name.
    pub(crate) async fn rename(&mut self, name: String) -> error::Result<()> {
        if self.guest.is_some() {
            return Err(invalid("cannot rename active domain"));
        }
        let mut def = self.stored_def()?;
        let taken = |_| invalid(&format!("domain with name '{name}' already exists"));
        self.driver.domains.rename(&self.uuid, &name).map_err(taken)?;
        let old = std::mem::replace(&mut self.name, name.clone());
        def.name = name;
        let def = Arc::new(def);
        let written = self.write_definition(&def).await;
        let marked = self.autostart;
        let done = match written {
            Ok(()) if marked => self.write_autostart(true).await,
            other => other,
        };
        if let Err(e) = done {
            self.name.clone_from(&old);
            self.driver.domains.rename(&self.uuid, &old).map_err(|_| invalid("the old name is taken"))?;
            return Err(e);
        }
        let told = self.domain.view().wire();
        self.driver
            .emit(&told, &Event::lifecycle(c::VIR_DOMAIN_EVENT_UNDEFINED, c::VIR_DOMAIN_EVENT_UNDEFINED_RENAMED));
        let (definition, link) = (self.driver.definition_file(&old), self.driver.autostart_link(&old));
        let removed =
            run_blocking(move || file::remove_durable(&link).and_then(|_| file::remove_durable(&definition))).await;
        if let Err(e) = removed {
            tracing::error!(domain = %self.name, error = %e, "cannot remove the definition under the old name '{old}'");
        }
        self.persistent = Some(def);
        self.publish();
        self.emit(&Event::lifecycle(c::VIR_DOMAIN_EVENT_DEFINED, c::VIR_DOMAIN_EVENT_DEFINED_RENAMED));
        Ok(())
    }

    /// Changes title, description or a foreign element.
    pub(crate) async fn set_metadata(
        &mut self,
        change: crate::api::MetadataChange,
        live: bool,
        config: bool,
    ) -> error::Result<()> {
        if config {
            let mut def = self.stored_def()?;
            change.apply(&mut def);
            self.store(def).await?;
        }
        if live {
            let live = self.live_def()?;
            let mut def = DomainDef::clone(&live);
            change.apply(&mut def);
            self.running()?.def = Arc::new(def);
            self.write_status(false).await?;
            self.publish();
        }
        let (kind, uri) = change.subject();
        self.emit(&Event::MetadataChange { kind, uri });
        Ok(())
    }
}
