//! One domain: its state, its only writer, what the world sees of it.
//!
//! | file | holds |
//! |---|---|
//! | [`state`] | states and reasons |
//! | [`view`] | the published copy of a domain's state |
//! | [`handle`] | the way to a domain: view, mailbox, and a way to kill beside it |
//! | [`actor`] | the only writer of a domain's state |
//! | [`lifecycle`] | what users ask of it |
//! | [`reaction`], [`monitor_event`] | what QEMU tells, and what is done about it |
//! | [`event`] | what subscribers are told |
//! | [`guest`] | the running half of the state |
//! | [`status`], [`recover`], `rescue` | what a new daemon needs to find guests again, and how it does |
//!
//! ```text
//!  api ─▶ handle ─▶ mailbox ─▶ actor ─▶ process, monitor
//!           ▲                    │
//!           └────── view ◀───────┘──▶ events
//! ```

pub mod actor;
pub mod event;
pub mod guest;
pub mod handle;
pub mod lifecycle;
pub mod monitor_event;
mod reaction;
pub mod recover;
mod rescue;
pub mod state;
pub mod status;
pub mod view;
