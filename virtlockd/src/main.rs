//! The disk lock daemon.

mod lock_file;
mod owner;
mod slot;
mod space;

fn main() {}
