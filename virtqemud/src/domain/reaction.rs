//! What the actor does when QEMU tells of a change.

use conf::domain::lifecycle::LifecycleAction;
use nix::sys::signal::Signal;
use protocol::constants as c;

use crate::qmp;
use crate::qmp::commands::{Cont, SystemReset};

use super::actor::Actor;
use super::event::Event;
use super::monitor_event::{Change, meaning};
use super::state::State;

impl Actor {
    pub(super) async fn on_monitor_event(&mut self, event: qmp::Event) {
        if event.lost > 0 {
            tracing::warn!(domain = %self.name, lost = event.lost, "monitor events were lost");
        }
        tracing::debug!(domain = %self.name, event = %event.name, "monitor event");
        match meaning(&event) {
            Change::Shutdown(by_guest) => self.on_shutdown(by_guest).await,
            Change::Reset { .. } => self.emit(&Event::Reboot),
            Change::Stopped => self.on_stopped().await,
            Change::Resumed => self.on_resumed().await,
            Change::Panicked { action } => self.on_panic(&action).await,
            Change::RtcChange(offset) => self.emit(&Event::RtcChange(offset)),
            Change::Watchdog(action) => self.on_watchdog(&action).await,
            Change::IoError { device, node, action, no_space } => {
                self.on_io_error(&device, &node, &action, no_space).await
            }
            Change::Tray { device, open } => {
                let reason =
                    if open { c::VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN } else { c::VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE };
                self.emit(&Event::TrayChange { alias: alias_of(&device), reason });
            }
            Change::Balloon(bytes) => self.on_balloon(bytes / 1024).await,
            Change::DeviceDeleted(alias) => self.emit(&Event::DeviceRemoved(alias)),
            Change::UnplugFailed(alias) => self.emit(&Event::DeviceRemovalFailed(alias)),
            Change::Port { alias, open } => self.on_port(&alias, open).await,
            Change::Graphics { phase, local, remote, auth, subject } => {
                self.emit(&Event::Graphics { phase, local, remote, auth, subject })
            }
            Change::Asleep => {
                self.emit(&Event::Suspend);
                let slept = Event::lifecycle(c::VIR_DOMAIN_EVENT_PMSUSPENDED, c::VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY);
                self.change(State::ASLEEP, Some(slept)).await;
            }
            Change::Hibernated => {
                self.emit(&Event::SuspendDisk);
                let slept = Event::lifecycle(c::VIR_DOMAIN_EVENT_PMSUSPENDED, c::VIR_DOMAIN_EVENT_PMSUSPENDED_DISK);
                self.change(State::ASLEEP, Some(slept)).await;
            }
            Change::Woken => self.on_woken().await,
            Change::Other => {}
        }
    }

    /// The machine is off; QEMU waits to be told what that means (it runs with `-no-shutdown`).
    async fn on_shutdown(&mut self, by_guest: Option<bool>) {
        let Some(guest) = &mut self.guest else { return };
        if guest.ending.is_some() {
            return;
        }
        let requested = guest.victim.is_requested();
        let detail = match by_guest {
            None => c::VIR_DOMAIN_EVENT_SHUTDOWN_FINISHED,
            Some(true) => c::VIR_DOMAIN_EVENT_SHUTDOWN_GUEST,
            Some(false) => c::VIR_DOMAIN_EVENT_SHUTDOWN_HOST,
        };
        let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_SHUTDOWN, detail);
        if requested {
            // Somebody destroys it: subscribers hear what QEMU said, the state will be off in a moment.
            return self.emit(&told);
        }
        let restart = guest.fake_reboot || guest.def.lifecycle.on_poweroff == LifecycleAction::Restart;
        if !restart {
            guest.ending = Some(State::OFF_SHUTDOWN);
        }
        self.change(State::SHUTDOWN, Some(told)).await;
        if restart {
            self.restart_machine().await;
        } else {
            self.terminate();
        }
    }

    /// Reset and go on: a reboot in the same process.
    async fn restart_machine(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        guest.fake_reboot = false;
        let Some(monitor) = guest.monitor.clone() else { return };
        let again = async {
            monitor.execute(&SystemReset {}).await?;
            monitor.execute(&Cont {}).await
        };
        match again.await {
            Ok(_) => {
                let resumed = Event::lifecycle(c::VIR_DOMAIN_EVENT_RESUMED, c::VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
                self.change(State::BOOTED, Some(resumed)).await;
            }
            Err(e) => {
                tracing::error!(domain = %self.name, error = %e, "cannot reboot: ending the guest");
                if let Some(guest) = &mut self.guest {
                    guest.ending = Some(State::OFF_FAILED);
                }
                self.terminate();
            }
        }
    }

    /// Asks the process to end; its death is handled when it comes.
    pub(super) fn terminate(&mut self) {
        let Some(guest) = &self.guest else { return };
        if let Err(e) = guest.pid.signal(Signal::SIGTERM) {
            tracing::debug!(domain = %self.name, error = %e, "process is gone already");
        }
    }

    async fn on_stopped(&mut self) {
        if !self.state.same(State::RUNNING) {
            return;
        }
        let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_SUSPENDED, c::VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
        self.change(State::PAUSED_UNKNOWN, Some(told)).await;
    }

    async fn on_resumed(&mut self) {
        if !self.state.same(State::PAUSED) {
            return;
        }
        let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_RESUMED, c::VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
        self.change(State::UNPAUSED, Some(told)).await;
    }

    async fn on_woken(&mut self) {
        self.emit(&Event::Wakeup);
        if self.state.same(State::ASLEEP) {
            let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_STARTED, c::VIR_DOMAIN_EVENT_STARTED_WAKEUP);
            self.change(State::WOKEN, Some(told)).await;
        }
    }

    async fn on_panic(&mut self, action: &str) {
        let Some(guest) = &mut self.guest else { return };
        let on_crash = guest.def.lifecycle.on_crash;
        if matches!(on_crash, LifecycleAction::Destroy | LifecycleAction::CoredumpDestroy) {
            guest.ending = Some(State::OFF_CRASHED);
        }
        tracing::warn!(domain = %self.name, action, "guest panicked");
        let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_CRASHED, c::VIR_DOMAIN_EVENT_CRASHED_PANICKED);
        self.change(State::PANICKED, Some(told)).await;
        match on_crash {
            LifecycleAction::Destroy | LifecycleAction::CoredumpDestroy => self.terminate(),
            LifecycleAction::Restart | LifecycleAction::RenameRestart | LifecycleAction::CoredumpRestart => {
                self.restart_machine().await
            }
            LifecycleAction::Preserve => {}
        }
    }

    async fn on_watchdog(&mut self, action: &str) {
        let number = match action {
            "pause" => c::VIR_DOMAIN_EVENT_WATCHDOG_PAUSE,
            "reset" => c::VIR_DOMAIN_EVENT_WATCHDOG_RESET,
            "poweroff" => c::VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF,
            "shutdown" => c::VIR_DOMAIN_EVENT_WATCHDOG_SHUTDOWN,
            "debug" => c::VIR_DOMAIN_EVENT_WATCHDOG_DEBUG,
            "inject-nmi" => c::VIR_DOMAIN_EVENT_WATCHDOG_INJECTNMI,
            _ => c::VIR_DOMAIN_EVENT_WATCHDOG_NONE,
        };
        self.emit(&Event::Watchdog(number));
        if number == c::VIR_DOMAIN_EVENT_WATCHDOG_PAUSE && self.state.same(State::RUNNING) {
            let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_SUSPENDED, c::VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG);
            self.change(State::PAUSED_WATCHDOG, Some(told)).await;
        }
    }

    async fn on_io_error(&mut self, device: &str, node: &str, action: &str, no_space: bool) {
        let number = match action {
            "stop" => c::VIR_DOMAIN_EVENT_IO_ERROR_PAUSE,
            "report" => c::VIR_DOMAIN_EVENT_IO_ERROR_REPORT,
            _ => c::VIR_DOMAIN_EVENT_IO_ERROR_NONE,
        };
        let alias = alias_of(device);
        let reason = if no_space { "enospc" } else { "" };
        self.emit(&Event::IoError {
            source: self.disk_source(&alias, node),
            alias,
            action: number,
            reason: reason.into(),
        });
        if number == c::VIR_DOMAIN_EVENT_IO_ERROR_PAUSE && self.state.same(State::RUNNING) {
            let told = Event::lifecycle(c::VIR_DOMAIN_EVENT_SUSPENDED, c::VIR_DOMAIN_EVENT_SUSPENDED_IOERROR);
            self.change(State::PAUSED_IO_ERROR, Some(told)).await;
        }
    }

    fn disk_source(&self, alias: &str, node: &str) -> String {
        let disks = self.guest.iter().flat_map(|guest| &guest.def.devices.disks);
        let index = node.strip_prefix("libvirt-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let mut found = disks
            .filter(|disk| disk.info.alias.as_deref() == Some(alias) || index.is_some_and(|i| i == disk.source.index));
        found.next().and_then(|disk| disk.source.path.clone()).unwrap_or_default()
    }

    async fn on_balloon(&mut self, kib: u64) {
        if let Some(guest) = &mut self.guest {
            let mut def = conf::domain::DomainDef::clone(&guest.def);
            def.memory.current_kib = kib;
            guest.def = def.into();
        }
        self.publish();
        self.emit(&Event::BalloonChange(kib));
    }

    /// A guest opened or closed the far end of a channel.
    async fn on_port(&mut self, chardev: &str, open: bool) {
        use conf::domain::device::chardev::{ChannelState, ChannelTarget};
        let Some(guest) = &mut self.guest else { return };
        let mut def = conf::domain::DomainDef::clone(&guest.def);
        let wanted = if open { ChannelState::Connected } else { ChannelState::Disconnected };
        let mut agent = false;
        for channel in &mut def.devices.channels {
            let ours = channel.info.alias.as_deref().is_some_and(|alias| chardev == format!("char{alias}"));
            if let ChannelTarget::Virtio { name, state } = &mut channel.target
                && ours
            {
                *state = Some(wanted);
                agent = name.as_deref() == Some(crate::api::AGENT_CHANNEL);
            }
        }
        guest.def = def.into();
        if agent {
            let state = if open {
                c::VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
            } else {
                c::VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED
            };
            let told = Event::AgentLifecycle(state, c::VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
            self.change(self.state, Some(told)).await;
        } else {
            self.change(self.state, None).await;
        }
    }
}

/// The alias in a QOM path (`/machine/peripheral/virtio-disk0/virtio-backend`), or the text itself.
fn alias_of(device: &str) -> String {
    let rest = device.strip_prefix("/machine/peripheral/").unwrap_or(device);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::alias_of;

    #[test]
    fn aliases() {
        assert_eq!(alias_of("/machine/peripheral/virtio-disk0/virtio-backend"), "virtio-disk0");
        assert_eq!(alias_of("ide0-0-0"), "ide0-0-0");
        assert_eq!(alias_of(""), "");
    }
}
