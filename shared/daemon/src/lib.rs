//! What every daemon does, whatever it serves: command line, configuration, activation, logging, signals, end.
//!
//! ```text
//!  main ─▶ run(Spec, build) ─▶ arguments ─▶ config, settings ─▶ log ─▶ [background] ─▶ activation | own sockets
//!                                                                                             │
//!   exit ◀─ close ◀─ drain ◀─ idle | signal | shutdown ◀─ accept clients ◀─ build(Context) ◀─ runtime
//! ```
//!
//! A daemon's `main` is one call of [`run`] with a closure that loads its driver from a [`Context`] and returns the
//! [`Services`] to be served. Sockets listen before the driver is loaded; clients are accepted after.
//!
//! | module | holds |
//! |---|---|
//! | [`spec`] | what distinguishes one daemon from another |
//! | [`arguments`], [`config`], [`settings`], [`paths`] | what the user said |
//! | [`log`] | the log in libvirt's form |
//! | [`activation`], [`sockets`] | listening sockets, given or made |
//! | [`notify`], [`fd_store`], [`keep`] | the service manager; what outlives a process |
//! | [`context`] | what a driver gets and gives back |
//! | [`idle`], [`token`] | when to leave; how daemons know each other |
//! | `run`, `serve`, `reexec` | the order of it all |

pub mod activation;
mod admin;
pub mod arguments;
pub mod config;
pub mod context;
pub mod fd_store;
pub mod idle;
pub mod keep;
pub mod log;
pub mod notify;
pub mod paths;
mod reexec;
mod run;
mod serve;
pub mod settings;
pub mod sockets;
pub mod spec;
mod status;
pub mod token;

pub use context::{Context, Reload, Services, Shutdown};
pub use idle::Inhibitor;
pub use paths::{DriverPaths, Paths};
pub use run::run;
pub use settings::Settings;
pub use spec::{Flavour, Kind, Spec};
pub use status::Status;
