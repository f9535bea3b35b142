//! The vocabulary: QMP commands that we use, by what they are about.

mod block;
mod device;
mod machine;
mod probe;
mod run;
mod session;

pub use block::*;
pub use device::*;
pub use machine::*;
pub use probe::*;
pub use run::*;
pub use session::*;
