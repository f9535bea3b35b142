//! Flags that the storage calls accept; anything else is refused before the object is looked for.

use error::{Domain, Result, check_flags};
use protocol::constants as c;

/// Refuses flags outside `accepted`; `function` is the name in the error, that of libvirt's storage driver.
pub(super) fn check(function: &str, flags: u32, accepted: u32) -> Result<()> {
    check_flags(Domain::Storage, function, flags, accepted)
}

/// Flags of create and createXML.
pub(super) fn start(function: &str, flags: u32) -> Result<()> {
    let overwrite = c::VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE;
    let keep = c::VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE;
    check(function, flags, c::VIR_STORAGE_POOL_CREATE_WITH_BUILD | overwrite | keep)
}
