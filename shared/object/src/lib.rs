//! What all kinds of objects (domains, networks, pools) have in common, whatever they are.
//!
//! | module | holds |
//! |---|---|
//! | [`registry`] | all objects of a kind, found by uuid or name |
//! | [`file`] | their files: written whole or not at all, on disk before anyone is told |
//! | [`autostart`] | the links that mark what starts with the host |
//! | [`events`] | who wants to hear of which events |

pub mod autostart;
pub mod events;
pub mod file;
pub mod registry;

pub use registry::{Clash, Registry};
