//! The QEMU/KVM driver: its layers, from the monitor up. The program is in `main.rs`.

pub mod address;
pub mod capability;
pub mod command;
pub mod cpu;
pub mod definition;
pub mod qmp;
pub mod domain;
pub mod process;
