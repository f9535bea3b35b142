//! Flags that the storage calls accept; anything else is refused before the object is looked for.

use error::{Domain, Error, Result, check_flags};
use protocol::constants as c;

/// Refuses flags outside `accepted`; `function` is the name in the error, that of libvirt's storage driver.
pub(super) fn check(function: &str, flags: u32, accepted: u32) -> Result<()> {
    check_flags(Domain::Storage, function, flags, accepted)
}

/// Refuses two flags that exclude each other; `function` is the public name.
fn exclusive(function: &str, flags: u32, one: (&str, u32), other: (&str, u32)) -> Result<()> {
    if flags & one.1 == 0 || flags & other.1 == 0 {
        return Ok(());
    }
    let text = format!("flags '{}' and '{}' in function '{function}' are mutually exclusive", one.0, other.0);
    Err(Error::invalid_argument(Domain::Storage, function, "flags", text))
}

/// Flags of create and createXML.
pub(super) fn start(function: &str, flags: u32) -> Result<()> {
    let (over, keep) =
        (c::VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE, c::VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE);
    check(function, flags, c::VIR_STORAGE_POOL_CREATE_WITH_BUILD | over | keep)?;
    let names = ("VIR_STORAGE_POOL_BUILD_OVERWRITE", "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE");
    exclusive(function, flags, (names.0, over), (names.1, keep))
}
