//! Making and ending the process of a domain.

pub mod ownership;
