//! Golden files, daemon runner and fakes for tests.

pub mod manager;
