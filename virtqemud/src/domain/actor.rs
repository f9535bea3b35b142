//! The only writer of a domain's state.
//!
//! One task: it takes requests from the mailbox one by one, and between them hears of QEMU's events and of its end.
//! Every change is written to disk, then published, then told to subscribers, then answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conf::FormatFlags;
use conf::domain::DomainDef;
use error::{Code, Error};
use host::run_blocking;
use object::{autostart, file};
use protocol::constants as c;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use crate::driver::Driver;
use crate::process;
use crate::qmp::Monitor;

use super::event::Event;
use super::guest::{Guest, Happening};
use super::handle::{Domain, Request};
use super::recover;
use super::state::State;
use super::status::{ProcessId, Status};
use super::view::DomainView;

/// After QEMU's end its last events are in our socket already; reading them takes no longer than this.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A lost monitor is looked for after this long at first, and at last so often.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The state of one domain, owned by its task.
#[derive(Debug)]
pub struct Actor {
    pub(super) driver: Arc<Driver>,
    pub(super) domain: Domain,
    pub(super) uuid: Uuid,
    pub(super) name: String,
    pub(super) persistent: Option<Arc<DomainDef>>,
    pub(super) guest: Option<Guest>,
    pub(super) state: State,
    pub(super) autostart: bool,
    /// Out of the registry: the task ends after this turn.
    pub(super) retired: bool,
}

impl Actor {
    /// Makes handle and actor of a definition and starts its task. The caller enters the handle in the registry.
    pub fn spawn(driver: Arc<Driver>, def: Arc<DomainDef>, persistent: bool, autostart: bool) -> Domain {
        let uuid = Uuid::from_bytes(def.uuid);
        let view = DomainView {
            uuid,
            name: def.name.clone(),
            id: None,
            state: State::OFF,
            // A transient domain has no other definition until it runs.
            live: (!persistent).then(|| def.clone()),
            persistent: persistent.then(|| def.clone()),
            autostart,
            updated: false,
            pid: None,
            vcpu_threads: Vec::new(),
        };
        let (domain, requests) = Domain::new(view);
        let actor = Actor {
            driver,
            domain: domain.clone(),
            uuid,
            name: def.name.clone(),
            persistent: persistent.then_some(def),
            guest: None,
            state: State::OFF,
            autostart,
            retired: false,
        };
        tokio::spawn(actor.run(requests));
        domain
    }

    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while !self.retired {
            let happening = async {
                match &mut self.guest {
                    Some(guest) => guest.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => request.run(&mut self).await,
                    None => return,
                },
                happening = happening => self.on_happening(happening).await,
            }
        }
    }

    async fn on_happening(&mut self, happening: Happening) {
        match happening {
            Happening::Monitor(event) => self.on_monitor_event(event).await,
            Happening::MonitorLost => self.on_monitor_lost().await,
            Happening::Dead => self.on_death().await,
        }
    }

    /// QEMU closes its monitor just before it ends; when it lives on, the guest stays listed and can be destroyed.
    async fn on_monitor_lost(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        guest.events = None;
        guest.monitor = None;
        if timeout(LAST_WORDS, &mut guest.death).await.is_ok() {
            return self.finish_death().await;
        }
        tracing::error!(domain = %self.name, "monitor is lost: until it answers again the guest can only be destroyed");
        self.retry_monitor(FIRST_RETRY);
    }

    /// Tries to reach a lost monitor again after `delay`, then after longer ones.
    pub(super) fn retry_monitor(&self, delay: Duration) {
        let domain = self.domain.clone();
        let id = self.guest.as_ref().map(|guest| guest.id);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if domain.view().id == id
                && let Err(e) = domain.ask(move |actor| Box::pin(actor.find_monitor(delay))).await
            {
                tracing::debug!(uuid = %domain.uuid(), error = %e, "domain is gone");
            }
        });
    }

    async fn find_monitor(&mut self, delay: Duration) -> error::Result<()> {
        let Some(guest) = self.guest.as_mut().filter(|guest| guest.monitor.is_none()) else { return Ok(()) };
        match recover::reconnect(guest).await {
            Ok(status) => {
                tracing::warn!(domain = %self.name, "monitor answers again");
                self.reconcile(&status).await?;
                self.publish();
            }
            Err(e) => {
                tracing::debug!(domain = %self.name, error = %e, "monitor does not answer");
                self.retry_monitor((delay * 2).min(LAST_RETRY));
            }
        }
        Ok(())
    }

    async fn on_death(&mut self) {
        // What QEMU said before its end explains it.
        let deadline = tokio::time::Instant::now() + LAST_WORDS;
        while let Some(events) = self.guest.as_mut().and_then(|guest| guest.events.as_mut()) {
            match tokio::time::timeout_at(deadline, events.recv()).await {
                Ok(Some(event)) => self.on_monitor_event(event).await,
                Ok(None) | Err(_) => break,
            }
        }
        self.finish_death().await;
    }

    async fn finish_death(&mut self) {
        let Some(guest) = &self.guest else { return };
        let off =
            if guest.victim.is_requested() { State::OFF_DESTROYED } else { guest.ending.unwrap_or(State::OFF_CRASHED) };
        if off == State::OFF_CRASHED {
            tracing::error!(domain = %self.name, pid = guest.pid.number(), "QEMU ended unexpectedly");
        }
        self.end(off).await;
    }

    /// The process is gone: give back what was made for it, and tell.
    pub(super) async fn end(&mut self, off: State) {
        let Some(guest) = self.guest.take() else { return };
        self.domain.clear_victim();
        self.driver.unhold();
        process::log::write_end(&self.driver, &self.name, self.uuid.into_bytes(), off.words().1).await;
        process::stop::clean(&self.driver, &guest).await;
        self.state = off;
        let detail = match off {
            State::OFF_SHUTDOWN => c::VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN,
            State::OFF_DESTROYED => c::VIR_DOMAIN_EVENT_STOPPED_DESTROYED,
            State::OFF_FAILED => c::VIR_DOMAIN_EVENT_STOPPED_FAILED,
            State::OFF_CRASHED if guest.ending == Some(State::OFF_CRASHED) => c::VIR_DOMAIN_EVENT_STOPPED_CRASHED,
            _ => c::VIR_DOMAIN_EVENT_STOPPED_FAILED,
        };
        // The id has ended with the run.
        let told = protocol::remote::NonnullDomain { name: self.name.clone(), uuid: self.uuid.into_bytes(), id: -1 };
        if self.persistent.is_none() {
            self.retire();
        }
        self.publish_last(&guest.def);
        self.driver.emit(&told, &Event::lifecycle(c::VIR_DOMAIN_EVENT_STOPPED, detail));
    }

    /// Leaves the registry; requests still in the mailbox hear that there is no such domain.
    pub(super) fn retire(&mut self) {
        self.driver.domains.remove(&self.uuid);
        self.retired = true;
    }

    /// Name of the domain.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The running guest, or libvirt's error that there is none.
    pub(super) fn running(&mut self) -> error::Result<&mut Guest> {
        self.guest.as_mut().ok_or_else(not_running)
    }

    /// The monitor of the running guest.
    pub(crate) fn monitor(&mut self) -> error::Result<Monitor> {
        let lost = || Error::new(error::Domain::Qemu, Code::InternalError, "monitor is not available");
        self.running()?.monitor.clone().ok_or_else(lost)
    }

    /// State changes: disk, view, subscribers, in this order.
    pub(super) async fn change(&mut self, state: State, event: Option<Event>) {
        self.state = state;
        if let Err(e) = self.write_status(false).await {
            tracing::error!(domain = %self.name, error = %e, "cannot write status document");
        }
        self.publish();
        if let Some(event) = event {
            self.emit(&event);
        }
    }

    pub(super) fn emit(&self, event: &Event) {
        self.driver.emit(&self.domain.view().wire(), event);
    }

    /// Writes what the next daemon needs to find this guest.
    pub(super) async fn write_status(&self, starting: bool) -> error::Result<()> {
        let Some(guest) = &self.guest else { return Ok(()) };
        process::status::write(&self.driver, &self.name, self.status(guest, starting), guest.def.clone()).await
    }

    fn status(&self, guest: &Guest, starting: bool) -> Status {
        Status {
            state: self.state,
            process: ProcessId {
                pid: guest.pid.number(),
                start_time: guest.pid.start_time(),
                boot_id: self.driver.boot_id.clone(),
            },
            monitor: guest.folders.monitor.clone(),
            lib_dir: guest.folders.lib.clone(),
            channel_dir: guest.folders.channel.clone(),
            vcpu_threads: guest.vcpu_threads.clone(),
            fake_reboot: guest.fake_reboot,
            starting,
            changed_live: guest.changed,
            owned: guest.owned.clone(),
        }
    }

    pub(super) fn publish(&self) {
        let guest = self.guest.as_ref();
        self.domain.publish(DomainView {
            uuid: self.uuid,
            name: self.name.clone(),
            id: guest.map(|guest| guest.id),
            state: self.state,
            live: guest.map(|guest| guest.def.clone()),
            persistent: self.persistent.clone(),
            autostart: self.autostart,
            updated: guest.is_some_and(|guest| guest.changed),
            pid: guest.map(|guest| guest.pid.number()),
            vcpu_threads: guest.map(|guest| guest.vcpu_threads.clone()).unwrap_or_default(),
        });
    }

    /// As [`publish`](Self::publish), for a domain that may have lost its last definition.
    fn publish_last(&self, last: &Arc<DomainDef>) {
        if self.persistent.is_some() {
            return self.publish();
        }
        let mut view = DomainView::clone(&self.domain.view());
        view.id = None;
        view.pid = None;
        view.state = self.state;
        view.live = Some(last.clone());
        self.domain.publish(view);
    }

    /// Stores a definition for the next boot and makes it durable.
    pub(super) async fn write_definition(&self, def: &Arc<DomainDef>) -> error::Result<()> {
        let path = self.driver.definition_file(&self.name);
        let text = process::definition_document(def);
        run_blocking(move || file::write_atomic(&path, text.as_bytes(), 0o600)).await.map_err(|e| {
            Error::system(error::Domain::Qemu, &e, format!("cannot write definition of domain '{}'", self.name))
        })
    }

    pub(super) async fn write_autostart(&self, on: bool) -> error::Result<()> {
        let (link, definition): (PathBuf, PathBuf) =
            (self.driver.autostart_link(&self.name), self.driver.definition_file(&self.name));
        let text =
            format!("Failed to {} autostart link of domain '{}'", if on { "create" } else { "delete" }, self.name);
        run_blocking(move || autostart::set(&link, &definition, on))
            .await
            .map_err(|e| Error::system(error::Domain::Qemu, &e, text))
    }
}

/// The flags of a definition on disk: complete, with secrets (the file is for root alone).
pub(crate) const STORED: FormatFlags = FormatFlags { inactive: true, secure: true, migratable: false, status: false };

/// The error of requests that need a running guest; libvirt reports it from its domain code.
pub(super) fn not_running() -> Error {
    Error::new(error::Domain::Domain, Code::OperationInvalid, "domain is not running")
}

/// OPERATION_INVALID with this detail.
pub(super) fn invalid(detail: &str) -> Error {
    Error::new(error::Domain::Qemu, Code::OperationInvalid, detail)
}
