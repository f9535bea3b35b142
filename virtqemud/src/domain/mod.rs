//! One domain: its state, its only writer, what the world sees of it.

pub mod event;
pub mod monitor_event;
pub mod state;
pub mod status;
