//! Keyboards, mice, tablets and host input devices.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::info::Allow;
use super::info::{DeviceInfo, VirtioModel, VirtioOptions};
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{internal, unsupported};

text_enum! {
    /// Kind.
    pub enum InputKind { Mouse = "mouse", Tablet = "tablet", Keyboard = "keyboard", Passthrough = "passthrough", Evdev = "evdev" }
}
text_enum! {
    /// Bus.
    pub enum InputBus { Ps2 = "ps2", Usb = "usb", Xen = "xen", Parallels = "parallels", Virtio = "virtio", None = "none" }
}
text_enum! {
    /// Which devices are grabbed.
    pub enum Grab { All = "all" }
}
text_enum! {
    /// Keys that toggle the grab.
    pub enum GrabToggle {
        CtrlCtrl = "ctrl-ctrl", AltAlt = "alt-alt", ShiftShift = "shift-shift", MetaMeta = "meta-meta", Scrolllock = "scrolllock",
        CtrlScrolllock = "ctrl-scrolllock",
    }
}

/// `<input>`
#[derive(Clone, Debug, PartialEq)]
pub struct InputDef {
    pub kind: InputKind,
    /// `None` until post-parse chooses.
    pub bus: Option<InputBus>,
    pub model: Option<VirtioModel>,
    pub evdev: Option<String>,
    pub grab: Option<Grab>,
    pub grab_toggle: Option<GrabToggle>,
    pub repeat: Option<bool>,
    pub virtio: VirtioOptions,
    pub info: DeviceInfo,
}

impl InputDef {
    /// A plain input device.
    pub fn new(kind: InputKind, bus: InputBus) -> Self {
        Self {
            kind,
            bus: Some(bus),
            model: None,
            evdev: None,
            grab: None,
            grab_toggle: None,
            repeat: None,
            virtio: VirtioOptions::default(),
            info: DeviceInfo::default(),
        }
    }
}

impl InputDef {
    /// Reads `<input>`.
    ///
    /// # Errors
    /// `XML_ERROR` and `INTERNAL_ERROR` as libvirt's.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let kind = match node.attr("type") {
            None => return Err(internal("missing input device type")),
            Some(word) => {
                InputKind::from_word(word).ok_or_else(|| unsupported(format!("unknown input device type '{word}'")))?
            }
        };
        let bus = match node.attr("bus") {
            None => None,
            Some(word) => {
                Some(InputBus::from_word(word).ok_or_else(|| unsupported(format!("unknown input bus type '{word}'")))?)
            }
        };
        let mut def = Self { bus, model: node.word("model")?, ..Self::new(kind, InputBus::None) };
        if let Some(source) = node.child("source") {
            if kind == InputKind::Evdev {
                def.evdev = Some(source.required("dev")?.to_owned());
                def.grab = source.word("grab")?;
                def.grab_toggle = source.word("grabToggle")?;
                def.repeat = source.on_off("repeat")?;
            } else {
                def.evdev = source.string("evdev");
            }
        }
        def.virtio = VirtioOptions::parse(node.child("driver"))?;
        def.info = DeviceInfo::parse(node, ctx, Allow::default())?;
        Ok(def)
    }

    /// Writes `<input>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("input", |w| {
            w.attr("type", self.kind);
            w.attr_opt("bus", self.bus.filter(|b| *b != InputBus::None));
            w.attr_opt("model", self.model);
            self.virtio.format_driver(w);
            w.element_if_any("source", |w| {
                w.attr_opt(if self.kind == InputKind::Evdev { "dev" } else { "evdev" }, self.evdev.as_deref());
                w.attr_opt("grab", self.grab);
                w.attr_opt("grabToggle", self.grab_toggle);
                w.on_off("repeat", self.repeat);
            });
            self.info.format(w, flags);
        });
    }
}
