//! One PCI bus: what fits on it and which functions are taken.

use conf::domain::device::controller::ControllerModel;

/// What a device needs and what a bus offers, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Connect(pub u16);

impl Connect {
    /// May be given out without being asked for by address.
    pub const AUTOASSIGN: Connect = Connect(1);
    /// Can be plugged while the guest runs.
    pub const HOTPLUGGABLE: Connect = Connect(1 << 1);
    /// May share a slot with others of its kind.
    pub const AGGREGATE_SLOT: Connect = Connect(1 << 2);
    /// Plain PCI end point.
    pub const PCI_DEVICE: Connect = Connect(1 << 3);
    /// PCI Express end point.
    pub const PCIE_DEVICE: Connect = Connect(1 << 4);
    pub const PCIE_ROOT_PORT: Connect = Connect(1 << 5);
    pub const PCIE_SWITCH_UPSTREAM_PORT: Connect = Connect(1 << 6);
    pub const PCIE_SWITCH_DOWNSTREAM_PORT: Connect = Connect(1 << 7);
    pub const DMI_TO_PCI_BRIDGE: Connect = Connect(1 << 8);
    pub const PCI_EXPANDER_BUS: Connect = Connect(1 << 9);
    pub const PCIE_EXPANDER_BUS: Connect = Connect(1 << 10);
    pub const PCI_BRIDGE: Connect = Connect(1 << 11);
    pub const PCIE_TO_PCI_BRIDGE: Connect = Connect(1 << 12);
    /// Must be part of the root complex.
    pub const INTEGRATED: Connect = Connect(1 << 13);

    /// The bits that say what is plugged.
    pub const TYPES: Connect = Connect(0x1ff8);
    /// The two kinds of end points.
    pub const END_POINTS: Connect = Connect(Self::PCI_DEVICE.0 | Self::PCIE_DEVICE.0);

    pub const fn or(self, other: Connect) -> Connect {
        Connect(self.0 | other.0)
    }

    pub const fn and(self, other: Connect) -> Connect {
        Connect(self.0 & other.0)
    }

    /// Whether a bit of `other` is set.
    pub const fn any(self, other: Connect) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A bus.
#[derive(Clone, Debug, Default)]
pub struct Bus {
    /// `None` until a model is chosen.
    pub model: Option<ControllerModel>,
    pub offers: Connect,
    pub first_slot: u32,
    pub last_slot: u32,
    /// Taken functions of each slot.
    pub functions: [u8; 32],
    /// Slots that several devices may share.
    pub aggregate: u32,
}

impl Bus {
    /// The bus that a controller of this model makes. `None`: not a PCI controller. That a user switched hot-plug off on a
    /// port does not keep devices away from it.
    pub fn of(model: ControllerModel) -> Option<Bus> {
        use ControllerModel as M;
        let auto = Connect::AUTOASSIGN;
        let plug = Connect::HOTPLUGGABLE;
        let (offers, first_slot, last_slot) = match model {
            M::PciRoot => {
                (auto.or(plug).or(Connect::PCI_DEVICE).or(Connect::PCI_BRIDGE).or(Connect::PCI_EXPANDER_BUS), 1, 31)
            }
            M::PciBridge | M::PcieToPciBridge => (auto.or(plug).or(Connect::PCI_DEVICE).or(Connect::PCI_BRIDGE), 1, 31),
            M::PciExpanderBus => (auto.or(plug).or(Connect::PCI_DEVICE).or(Connect::PCI_BRIDGE), 0, 31),
            M::PcieRoot => (
                auto.or(Connect::PCIE_DEVICE)
                    .or(Connect::PCIE_ROOT_PORT)
                    .or(Connect::DMI_TO_PCI_BRIDGE)
                    .or(Connect::PCIE_EXPANDER_BUS)
                    .or(Connect::INTEGRATED),
                1,
                31,
            ),
            M::DmiToPciBridge => (auto.or(Connect::PCI_DEVICE).or(Connect::PCI_BRIDGE), 0, 31),
            M::PcieRootPort | M::PcieSwitchDownstreamPort => (
                auto.or(plug)
                    .or(Connect::PCIE_DEVICE)
                    .or(Connect::PCIE_SWITCH_UPSTREAM_PORT)
                    .or(Connect::PCIE_TO_PCI_BRIDGE),
                0,
                0,
            ),
            M::PcieSwitchUpstreamPort => (auto.or(Connect::PCIE_SWITCH_DOWNSTREAM_PORT), 0, 31),
            M::PcieExpanderBus => (auto.or(Connect::PCIE_ROOT_PORT).or(Connect::DMI_TO_PCI_BRIDGE), 0, 31),
            _ => return None,
        };
        Some(Bus { model: Some(model), offers, first_slot, last_slot, functions: [0; 32], aggregate: 0 })
    }

    /// Whether every slot has something in it.
    pub fn is_full(&self) -> bool {
        (self.first_slot..=self.last_slot).all(|s| self.functions[s as usize] != 0)
    }

    /// A free place for a device that wants `wanted`, at or after the first slot: (slot, function).
    pub fn free_place(&self, wanted: Connect, function: Option<u32>) -> Option<(u32, u32)> {
        let exact = function.unwrap_or(0);
        for slot in self.first_slot..=self.last_slot {
            let taken = self.functions[slot as usize];
            if taken == 0 {
                return Some((slot, exact));
            }
            if wanted.any(Connect::AGGREGATE_SLOT) && self.aggregate & (1 << slot) != 0 {
                if taken & (1 << exact) == 0 {
                    return Some((slot, exact));
                }
                if function.is_none()
                    && let Some(free) = (0..8).find(|f| taken & (1 << f) == 0)
                {
                    return Some((slot, free));
                }
            }
        }
        None
    }
}
