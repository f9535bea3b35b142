//! What makes a type a QMP command.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A QMP command: its fields are the arguments, its `Reply` what QEMU returns.
pub trait Command: Serialize {
    /// Name on the wire.
    const NAME: &'static str;
    /// What QEMU answers.
    type Reply: DeserializeOwned;
}

/// The reply `{}`.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
pub struct Empty {}

/// Declares command types: name, wire name, reply, arguments (kebab-case on the wire, absent when `None`).
macro_rules! commands {
    ($( $(#[$meta:meta])* $name:ident = $wire:literal -> $reply:ty { $( $(#[$field_meta:meta])* $field:ident : $ty:ty ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[allow(missing_docs, reason = "the fields are the arguments of QEMU's QMP reference")]
        pub struct $name { $( $(#[$field_meta])* pub $field: $ty ),* }
        impl $crate::qmp::Command for $name {
            const NAME: &'static str = $wire;
            type Reply = $reply;
        }
    )* };
}
pub(crate) use commands;
