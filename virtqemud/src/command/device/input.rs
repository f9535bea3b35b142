//! Keyboards, mice, tablets, host input devices.

use conf::domain::DomainDef;
use conf::domain::device::input::{InputBus, InputDef, InputKind};
use error::Result;

use super::{address, alias, unsupported, virtio};
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All input devices that are not part of the board.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for input in &def.devices.inputs {
        if input.kind == InputKind::Evdev {
            let object = Props::object("input-linux", alias(&input.info))
                .maybe("evdev", input.evdev.clone())
                .maybe("repeat", input.repeat)
                .maybe("grab_all", input.grab.map(|_| true))
                .maybe("grab-toggle", input.grab_toggle.map(|t| t.to_string()));
            b.object(&object);
            continue;
        }
        if let Some(props) = props(def, input)? {
            b.device(props);
        }
    }
    Ok(())
}

/// Properties; `None` for the board's own PS/2 devices.
pub fn props(def: &DomainDef, input: &InputDef) -> Result<Option<Props>> {
    let begin = match (input.bus, input.kind) {
        (Some(InputBus::Usb), InputKind::Mouse) => Props::driver("usb-mouse"),
        (Some(InputBus::Usb), InputKind::Tablet) => Props::driver("usb-tablet"),
        (Some(InputBus::Usb), InputKind::Keyboard) => Props::driver("usb-kbd"),
        (Some(InputBus::Virtio), kind) => {
            let base = match kind {
                InputKind::Mouse => "virtio-mouse",
                InputKind::Tablet => "virtio-tablet",
                InputKind::Keyboard => "virtio-keyboard",
                InputKind::Passthrough => "virtio-input-host",
                InputKind::Evdev => return Err(unsupported("evdev input devices have no bus")),
            };
            virtio::begin(base, &input.info, input.model, &input.virtio)
        }
        _ => return Ok(None),
    };
    let evdev = input.evdev.clone().filter(|_| input.kind == InputKind::Passthrough);
    let props = begin.with("id", alias(&input.info)).maybe("evdev", evdev);
    Ok(Some(address::place(props, def, &input.info)))
}
