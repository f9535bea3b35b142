//! What a domain is doing, and why: libvirt's states and reasons.
//!
//! ```text
//!              start                    guest powers off
//!  Shutoff ───────────▶ Running ─────────────────────────▶ Shutdown
//!     ▲                  │   ▲                                │
//!     │          suspend │   │ resume                         │ QEMU ends
//!     │                  ▼   │                                │
//!     ├─ destroy ────── Paused        Crashed (panic) ────────┤
//!     └───────────────────────────────────────────────────────┘
//! ```

use protocol::constants as c;

/// State with its reason, as the wire has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// `virDomainState`.
    pub state: i32,
    /// The reason enum that belongs to the state.
    pub reason: i32,
}

/// Names in status documents, by state: (state, word, reasons by number).
const NAMES: &[(i32, &str, &[&str])] = &[
    (c::VIR_DOMAIN_NOSTATE, "no state", &["unknown"]),
    (
        c::VIR_DOMAIN_RUNNING,
        "running",
        &[
            "unknown",
            "booted",
            "migrated",
            "restored",
            "from snapshot",
            "unpaused",
            "migration canceled",
            "save canceled",
            "wakeup",
            "crashed",
            "post-copy",
            "post-copy failed",
        ],
    ),
    (c::VIR_DOMAIN_BLOCKED, "idle", &["unknown"]),
    (
        c::VIR_DOMAIN_PAUSED,
        "paused",
        &[
            "unknown",
            "user",
            "migrating",
            "saving",
            "dumping",
            "ioerror",
            "watchdog",
            "from snapshot",
            "shutdown",
            "snapshot",
            "panicked",
            "starting up",
            "post-copy",
            "post-copy failed",
            "api error",
        ],
    ),
    (c::VIR_DOMAIN_SHUTDOWN, "shutdown", &["unknown", "user"]),
    (
        c::VIR_DOMAIN_SHUTOFF,
        "shutoff",
        &["unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot", "daemon"],
    ),
    (c::VIR_DOMAIN_CRASHED, "crashed", &["unknown", "panicked"]),
    (c::VIR_DOMAIN_PMSUSPENDED, "pmsuspended", &["unknown"]),
];

macro_rules! states {
    ($( $(#[$meta:meta])* $name:ident = $state:ident / $reason:ident; )*) => {
        impl State { $( $(#[$meta])* pub const $name: State = State { state: c::$state, reason: c::$reason }; )* }
    };
}

states! {
    /// Defined, never ran under this daemon.
    OFF = VIR_DOMAIN_SHUTOFF / VIR_DOMAIN_SHUTOFF_UNKNOWN;
    /// Ended after the guest shut itself down.
    OFF_SHUTDOWN = VIR_DOMAIN_SHUTOFF / VIR_DOMAIN_SHUTOFF_SHUTDOWN;
    /// Ended by destroy.
    OFF_DESTROYED = VIR_DOMAIN_SHUTOFF / VIR_DOMAIN_SHUTOFF_DESTROYED;
    /// QEMU ended by itself.
    OFF_CRASHED = VIR_DOMAIN_SHUTOFF / VIR_DOMAIN_SHUTOFF_CRASHED;
    /// Start failed.
    OFF_FAILED = VIR_DOMAIN_SHUTOFF / VIR_DOMAIN_SHUTOFF_FAILED;
    /// Being started: QEMU exists, vCPUs do not run yet.
    STARTING = VIR_DOMAIN_PAUSED / VIR_DOMAIN_PAUSED_STARTING_UP;
    /// Running since it was started.
    BOOTED = VIR_DOMAIN_RUNNING / VIR_DOMAIN_RUNNING_BOOTED;
    /// Running again after a pause.
    UNPAUSED = VIR_DOMAIN_RUNNING / VIR_DOMAIN_RUNNING_UNPAUSED;
    /// Running again after the guest slept.
    WOKEN = VIR_DOMAIN_RUNNING / VIR_DOMAIN_RUNNING_WAKEUP;
    /// Running, found so after the daemon's restart.
    RUNNING = VIR_DOMAIN_RUNNING / VIR_DOMAIN_RUNNING_UNKNOWN;
    /// Paused by a user.
    PAUSED = VIR_DOMAIN_PAUSED / VIR_DOMAIN_PAUSED_USER;
    /// Paused, the reason is not known.
    PAUSED_UNKNOWN = VIR_DOMAIN_PAUSED / VIR_DOMAIN_PAUSED_UNKNOWN;
    /// Paused by QEMU because a disk failed.
    PAUSED_IO_ERROR = VIR_DOMAIN_PAUSED / VIR_DOMAIN_PAUSED_IOERROR;
    /// Paused by the watchdog's action.
    PAUSED_WATCHDOG = VIR_DOMAIN_PAUSED / VIR_DOMAIN_PAUSED_WATCHDOG;
    /// Paused between shutdown and reset of a reboot.
    PAUSED_SHUTDOWN = VIR_DOMAIN_PAUSED / VIR_DOMAIN_PAUSED_SHUTTING_DOWN;
    /// The guest has powered off, QEMU is about to end.
    SHUTDOWN = VIR_DOMAIN_SHUTDOWN / VIR_DOMAIN_SHUTDOWN_UNKNOWN;
    /// The guest's kernel panicked.
    PANICKED = VIR_DOMAIN_CRASHED / VIR_DOMAIN_CRASHED_PANICKED;
    /// The guest sleeps (S3).
    ASLEEP = VIR_DOMAIN_PMSUSPENDED / VIR_DOMAIN_PMSUSPENDED_UNKNOWN;
}

impl State {
    /// Whether this is the same state, whatever the reason.
    pub fn same(self, other: State) -> bool {
        self.state == other.state
    }

    /// The words for state and reason in a status document.
    pub fn words(self) -> (&'static str, &'static str) {
        let Some((_, word, reasons)) = NAMES.iter().find(|(state, ..)| *state == self.state) else {
            return ("no state", "unknown");
        };
        let reason = usize::try_from(self.reason).ok().and_then(|n| reasons.get(n)).copied();
        (word, reason.unwrap_or("unknown"))
    }

    /// The state of these words; an unknown reason is reason 0, an unknown state none.
    pub fn from_words(state: &str, reason: &str) -> Option<State> {
        let (number, _, reasons) = NAMES.iter().find(|(_, word, _)| *word == state)?;
        let reason = reasons.iter().position(|word| *word == reason).unwrap_or(0);
        Some(State { state: *number, reason: i32::try_from(reason).unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for (state, _, reasons) in NAMES {
            for reason in 0..reasons.len() {
                let state = State { state: *state, reason: i32::try_from(reason).unwrap() };
                let (word, why) = state.words();
                assert_eq!(State::from_words(word, why), Some(state));
            }
        }
        assert_eq!(State::BOOTED.words(), ("running", "booted"));
        assert_eq!(State::from_words("running", "flying"), Some(State::RUNNING));
        assert_eq!(State::from_words("flying", "unknown"), None);
    }
}
