//! XML tree and writer in libvirt's form.
