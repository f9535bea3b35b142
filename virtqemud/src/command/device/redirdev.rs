//! USB redirection.

use conf::domain::device::redirdev::RedirRule;
use error::Result;

use super::{address, alias, chardev};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All redirected devices.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    let filter = def.devices.redir_filter.as_ref().map(|rules| rules.iter().map(rule).collect::<Vec<_>>().join("|"));
    for redirdev in &def.devices.redirdevs {
        let id = chardev::build(b, &redirdev.source, &alias(&redirdev.info))?;
        let props = Props::driver("usb-redir")
            .with("chardev", id)
            .with("id", alias(&redirdev.info))
            .maybe("filter", filter.clone())
            .maybe("bootindex", redirdev.info.boot_index);
        b.device(address::place(props, def, &redirdev.info));
    }
    Ok(())
}

/// One rule in usbredir's form.
fn rule(rule: &RedirRule) -> String {
    let hex = |value: Option<u32>, width: usize| value.map_or_else(|| "-1".to_owned(), |v| format!("0x{v:0width$X}"));
    format!(
        "{}:{}:{}:{}:{}",
        hex(rule.class, 2),
        hex(rule.vendor, 4),
        hex(rule.product, 4),
        hex(rule.version, 4),
        u8::from(rule.allow)
    )
}
