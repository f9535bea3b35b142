//! Random number generators.

use conf::domain::device::rng::RngBackend;
use error::Result;

use super::{address, alias, chardev, virtio};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All generators, each after its source.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for rng in &def.devices.rngs {
        let id = alias(&rng.info);
        let object = format!("obj{id}");
        let source = match &rng.backend {
            RngBackend::Random { path } => Props::object("rng-random", object.clone()).maybe("filename", path.clone()),
            RngBackend::Egd(backend) => {
                let chardev = chardev::build(b, backend, &id)?;
                Props::object("rng-egd", object.clone()).with("chardev", chardev)
            }
            RngBackend::Builtin => Props::object("rng-builtin", object.clone()),
        };
        b.object(&source);
        let mut props =
            virtio::begin("virtio-rng", &rng.info, Some(rng.model), &rng.virtio).with("rng", object).with("id", id);
        if let Some((bytes, period)) = rng.rate {
            // QEMU counts in periods of its own choice unless told.
            props = props.with("max-bytes", bytes).with("period", period.filter(|p| *p > 0).unwrap_or(1000));
        }
        b.device(address::place(props, def, &rng.info));
    }
    Ok(())
}
