//! Black-box test helpers: fake QEMU and friends.
