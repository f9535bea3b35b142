//! Making and ending the process of a domain.
//!
//! ```text
//!  start:  prepare (definition of this run) ─▶ files, ports, taps, log ─▶ plan ─▶ launcher: locks ─▶ status document
//!          ─▶ owners ─▶ exec ─▶ monitor ─▶ facts of the running QEMU ─▶ vCPUs run
//!  stop:   (process is gone) ─▶ ports, owners, files, status document
//! ```
//!
//! What `stop` does is the reverse of all that `start` may have done; it can be repeated, so the way back from a failed
//! start, the end of a guest and the recovery after a crash are one and the same.

mod chain;
mod display;
pub mod folder;
pub mod images;
pub mod lease;
pub mod live;
pub mod log;
mod network;
pub mod ownership;
mod served;
pub mod start;
pub mod status;
pub mod stop;
mod tap;
pub mod usage;

use std::time::Duration;

use conf::domain::DomainDef;

use crate::domain::actor::STORED;

/// How long a new QEMU may take to greet. libvirt waits 30 seconds and more for guests with much memory.
pub const MONITOR_DEADLINE: Duration = Duration::from_secs(30);

/// The text of a definition file: a note to whoever opens it in an editor, then the definition.
pub fn definition_document(def: &DomainDef) -> String {
    // Two dashes would end the comment.
    let name = def.name.replace("--", "- -");
    format!(
        "<!--\nWARNING: this file is written by virtqemud; what is changed here by hand will be lost.\nTo change it use:\n  virsh edit {name}\n\
         or another client of the libvirt API.\n-->\n\n{}",
        def.format(STORED)
    )
}
