//! Crypto devices.

use conf::domain::device::crypto::CryptoBackend;
use error::Result;

use super::{address, alias, virtio};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All crypto devices, each after its back end.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for crypto in &def.devices.cryptos {
        let id = alias(&crypto.info);
        let object = format!("obj{id}");
        let kind = match crypto.backend {
            CryptoBackend::Builtin => "cryptodev-backend-builtin",
            CryptoBackend::Lkcf => "cryptodev-backend-lkcf",
        };
        b.object(&Props::object(kind, object.clone()).nonzero("queues", crypto.queues.unwrap_or(0)));
        let props =
            virtio::begin("virtio-crypto", &crypto.info, None, &crypto.virtio).with("cryptodev", object).with("id", id);
        b.device(address::place(props, def, &crypto.info));
    }
    Ok(())
}
