//! Channel subsystem addresses of s390x.

use std::collections::BTreeSet;

use conf::domain::DomainDef;
use conf::domain::device::info::{Address, CcwAddress};
use error::Result;

use super::pci::{internal, xml_error};
use super::{iterate, machine, mmio};

/// The channel subsystem of virtio devices.
const VIRTIO_CSS: u32 = 0xfe;
const DEVICES_MAX: u32 = 65535;

/// Puts virtio devices on channels and numbers them.
pub fn assign(def: &mut DomainDef) -> Result<()> {
    if !machine::is_s390_ccw(def) {
        return Ok(());
    }
    mmio::prime(def, &Address::Ccw(CcwAddress::default()));
    let mut taken = BTreeSet::new();
    iterate::each(def, |info, _| match &info.address {
        Some(Address::Ccw(CcwAddress { at: Some(at) })) if !taken.insert(*at) => {
            Err(xml_error(format!("The CCW devno '{:x}.{:x}.{:04x}' is in use already ", at.0, at.1, at.2)))
        }
        _ => Ok(()),
    })?;
    let mut next = 0;
    iterate::each(def, |info, _| {
        let Some(Address::Ccw(ccw)) = &mut info.address else { return Ok(()) };
        if ccw.at.is_some() {
            return Ok(());
        }
        while taken.contains(&(VIRTIO_CSS, 0, next)) {
            next += 1;
        }
        if next > DEVICES_MAX {
            return Err(internal("There are no more free CCW devnos."));
        }
        taken.insert((VIRTIO_CSS, 0, next));
        ccw.at = Some((VIRTIO_CSS, 0, next));
        Ok(())
    })
}
