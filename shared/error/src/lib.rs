//! libvirt's error: domain, code, level, message.
