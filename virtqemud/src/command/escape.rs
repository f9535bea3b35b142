//! Quoting inside QEMU's options.

use std::borrow::Cow;

/// A value inside an option of the old form `key=value,...`: commas are doubled.
pub fn comma(text: &str) -> Cow<'_, str> {
    if text.contains(',') { text.replace(',', ",,").into() } else { text.into() }
}

/// `on` or `off`.
pub fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// An address with brackets around it when it is IPv6.
pub fn host(address: &str) -> Cow<'_, str> {
    if address.contains(':') { format!("[{address}]").into() } else { address.into() }
}
