//! QEMU's monitor: a QMP client over one UNIX stream.
//!
//! Reading order: [`message`] (one line of JSON, pure) → [`command`] (a command type carries its reply type) →
//! [`commands`] (the vocabulary) → [`monitor`] (the connection: reader task, writer task, waiters).
//!
//! ```text
//!  execute(cmd) ─▶ id, waiter ─▶ writer task ─▶ QEMU ─▶ reader task ─▶ waiter (reply) · event queue
//! ```
//!
//! Invariants: a reply is matched by its id and nothing else; every call has a deadline; a peer that breaks the
//! protocol, sends an endless line or dies wakes every waiter with the reason and is never read again.

pub mod command;
pub mod commands;
mod error;
mod message;
mod monitor;

pub use command::{Command, Empty};
pub use error::QmpError;
pub use message::{Event, Greeting, Timestamp, Version};
pub use monitor::{DEADLINE, EventReceiver, LINE_MAX, Monitor};

#[cfg(test)]
mod tests;
