//! Golden files, daemon runner and fakes for tests.
