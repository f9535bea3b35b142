//! Processes, pidfds, locks, descriptors: the kernel's side, and the one home of unsafe code.
