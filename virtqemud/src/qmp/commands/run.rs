//! Running, stopping, resetting the machine.

use serde::Deserialize;

use crate::qmp::Empty;
use crate::qmp::command::commands;

commands! {
    /// What the machine is doing.
    QueryStatus = "query-status" -> StatusInfo {}
    /// Starts or resumes the vCPUs.
    Cont = "cont" -> Empty {}
    /// Pauses the vCPUs.
    Stop = "stop" -> Empty {}
    /// Presses the power button.
    SystemPowerdown = "system_powerdown" -> Empty {}
    /// Pulls the reset line.
    SystemReset = "system_reset" -> Empty {}
    /// Wakes a sleeping guest.
    SystemWakeup = "system_wakeup" -> Empty {}
    /// Ends QEMU.
    Quit = "quit" -> Empty {}
    /// Leaves the preconfig state.
    ExitPreconfig = "x-exit-preconfig" -> Empty {}
    /// What the guest's reset does: `reset`, `shutdown`; and so on for each action.
    SetAction = "set-action" -> Empty {
        #[serde(skip_serializing_if = "Option::is_none")] reboot: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] shutdown: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] panic: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] watchdog: Option<String>,
    }
    /// Sends an NMI.
    InjectNmi = "inject-nmi" -> Empty {}
    /// Starts an outgoing migration.
    Migrate = "migrate" -> Empty { uri: String }
    /// Starts a delayed incoming migration.
    MigrateIncoming = "migrate-incoming" -> Empty { uri: String }
    /// Stops the migration.
    MigrateCancel = "migrate_cancel" -> Empty {}
    /// Runs a line of the human monitor.
    HumanMonitorCommand = "human-monitor-command" -> String { command_line: String }
}

/// Reply of `query-status`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
pub struct StatusInfo {
    /// Whether vCPUs run.
    pub running: bool,
    /// QEMU's run state (`running`, `paused`, `prelaunch`, `inmigrate`, `shutdown`, `io-error`, ...).
    pub status: String,
}
