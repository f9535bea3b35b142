//! Definitions of libvirt's objects: parse, defaults, validate, format.
