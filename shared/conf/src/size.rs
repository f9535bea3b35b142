//! Scaled sizes: `<memory unit='MiB'>512</memory>`.

use error::{Code, Domain, Error, Result};
use xml::Node;

/// Bytes of `value` counted in `unit` (default unit: `default_scale` bytes each), at most `max_bytes`.
pub fn scaled(value: u64, unit: Option<&str>, default_scale: u64, max_bytes: u64) -> Result<u64> {
    let scale = match unit {
        None | Some("") => default_scale,
        Some(unit) => xml::scale(unit)
            .ok_or_else(|| Error::new(Domain::None, Code::InvalidArg, format!("unknown suffix '{unit}'")))?,
    };
    let bytes = value.checked_mul(scale).filter(|b| *b <= max_bytes);
    bytes.ok_or_else(|| {
        Error::new(Domain::None, Code::Overflow, format!("value too large: {value}{}", unit.unwrap_or("")))
    })
}

/// Memory in KiB of element `node`: its text counted in its `unit` (default KiB), rounded up to whole KiB.
pub fn memory_kib(node: Node<'_>) -> Result<u64> {
    let text = node.text();
    let value = xml::parse_u64(&text, 10).ok_or_else(|| {
        Error::new(
            Domain::Xml,
            Code::XmlError,
            format!("Invalid value '{text}' for element or attribute './{}[1]'", node.name()),
        )
    })?;
    kib(value, node.attr("unit"))
}

/// KiB of `value` counted in `unit` (default KiB), rounded up.
pub fn kib(value: u64, unit: Option<&str>) -> Result<u64> {
    // libvirt's cap on 64-bit hosts: the byte count must fit in a signed number
    Ok(scaled(value, unit, 1024, i64::MAX as u64)?.div_ceil(1024))
}
