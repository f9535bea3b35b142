//! What every daemon does: command line, configuration, activation, logging, signals.

pub mod fd_store;
pub mod keep;
