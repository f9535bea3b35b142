//! What happens when the guest powers off, reboots or crashes, and its power management.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::fault::unsupported;

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

impl Lifecycle {
    /// Reads the four elements.
    ///
    /// # Errors
    /// `CONFIG_UNSUPPORTED` for an unknown action, as libvirt answers.
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let action = |name: &str, default: LifecycleAction| match domain.child_text(name) {
            None => Ok(default),
            Some(text) => {
                LifecycleAction::from_word(&text).ok_or_else(|| unsupported(format!("unknown {name} action: {text}")))
            }
        };
        let on_lock_failure = match domain.child_text("on_lockfailure") {
            None => None,
            Some(text) => Some(
                LockFailure::from_word(&text)
                    .ok_or_else(|| unsupported(format!("unknown on_lockfailure action: {text}")))?,
            ),
        };
        Ok(Self {
            on_poweroff: action("on_poweroff", LifecycleAction::Destroy)?,
            on_reboot: action("on_reboot", LifecycleAction::Restart)?,
            on_crash: action("on_crash", LifecycleAction::Destroy)?,
            on_lock_failure: on_lock_failure.filter(|l| *l != LockFailure::Default),
        })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.leaf("on_poweroff", self.on_poweroff);
        w.leaf("on_reboot", self.on_reboot);
        w.leaf("on_crash", self.on_crash);
        w.leaf_opt("on_lockfailure", self.on_lock_failure);
    }
}

impl PowerManagement {
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let state =
            |name: &str| domain.path(&["pm", name]).map(|n| n.yes_no("enabled")).transpose().map(Option::flatten);
        Ok(Self { suspend_to_mem: state("suspend-to-mem")?, suspend_to_disk: state("suspend-to-disk")? })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("pm", |w| {
            w.element_if_any("suspend-to-mem", |w| w.yes_no("enabled", self.suspend_to_mem));
            w.element_if_any("suspend-to-disk", |w| w.yes_no("enabled", self.suspend_to_disk));
        });
    }
}
