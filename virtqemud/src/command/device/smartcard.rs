//! Smart cards.

use conf::domain::device::smartcard::Smartcard;
use error::Result;

use super::{alias, chardev};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// NSS database of host certificates when the definition names none.
const DATABASE: &str = "/etc/pki/nssdb";

/// The reader's cards.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for card in &def.devices.smartcards {
        let props = match &card.smartcard {
            Smartcard::Host => Props::driver("ccid-card-emulated").with("backend", "nss-emulated"),
            Smartcard::HostCertificates { certificates, database } => {
                let begin = Props::driver("ccid-card-emulated").with("backend", "certificates");
                let named = (1..).zip(certificates).fold(begin, |p, (n, c)| p.with(&format!("cert{n}"), c.clone()));
                named.with("db", database.clone().unwrap_or_else(|| DATABASE.into()))
            }
            Smartcard::Passthrough(source) => {
                let id = chardev::build(b, source, &alias(&card.info))?;
                Props::driver("ccid-card-passthru").with("chardev", id)
            }
        };
        b.device(props.with("id", alias(&card.info)).with("bus", "ccid0.0"));
    }
    Ok(())
}
