//! Disk image headers and backing chains.
