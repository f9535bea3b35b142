//! What happens when the guest powers off, reboots or crashes, and its power management.

use xml::text_enum;

text_enum! {
    /// Action.
    pub enum LifecycleAction {
        Destroy = "destroy", Restart = "restart", RenameRestart = "rename-restart", Preserve = "preserve", CoredumpDestroy = "coredump-destroy",
        CoredumpRestart = "coredump-restart",
    }
}
text_enum! {
    /// What happens when a lock is lost.
    pub enum LockFailure { Default = "default", Poweroff = "poweroff", Restart = "restart", Pause = "pause", Ignore = "ignore" }
}

/// `<on_poweroff>` and its siblings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lifecycle {
    pub on_poweroff: LifecycleAction,
    pub on_reboot: LifecycleAction,
    pub on_crash: LifecycleAction,
    pub on_lock_failure: Option<LockFailure>,
}

/// `<pm>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PowerManagement {
    pub suspend_to_mem: Option<bool>,
    pub suspend_to_disk: Option<bool>,
}
