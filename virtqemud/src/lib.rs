//! The QEMU/KVM driver: its layers, from the monitor up. The program is in `main.rs`.

pub mod address;
pub mod api;
pub mod capability;
pub mod command;
pub mod cpu;
pub mod definition;
pub mod document;
pub mod domain;
pub mod driver;
mod failure;
pub mod launcher;
pub mod peer;
pub mod process;
pub mod qmp;
pub mod settings;
