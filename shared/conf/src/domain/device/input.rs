//! Keyboards, mice, tablets and host input devices.

use xml::text_enum;

use super::info::{DeviceInfo, VirtioModel, VirtioOptions};

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
            kind, bus: Some(bus), model: None, evdev: None, grab: None, grab_toggle: None, repeat: None, virtio: VirtioOptions::default(),
            info: DeviceInfo::default(),
        }
    }
}
