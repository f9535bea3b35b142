//! Fact tables of libvirt's RPC programs and the Rust generated from them.
