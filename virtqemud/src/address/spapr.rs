//! Virtual I/O registers of pseries.

use std::collections::BTreeSet;

use conf::domain::DomainDef;
use conf::domain::device::chardev::SerialModel;
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::info::{Address, DeviceInfo};
use conf::domain::device::tpm::TpmModel;
use error::{Code, Domain, Error, Result};

use super::{iterate, machine};

/// Where libvirt begins for each kind of device; further ones follow in steps of 0x1000.
const NETWORK: u64 = 0x1000;
const SCSI: u64 = 0x2000;
const SERIAL: u64 = 0x3000_0000;
const NVRAM: u64 = 0x3000;
const TPM: u64 = 0x4000;
const STEP: u64 = 0x1000;

/// Gives a register to each device of the virtual I/O bus.
pub fn assign(def: &mut DomainDef) -> Result<()> {
    let pseries = machine::is_pseries(def);
    let mut taken = BTreeSet::new();
    iterate::each(def, |info, _| {
        if let Some(Address::SpaprVio(Some(register))) = &info.address
            && !taken.insert(*register)
        {
            return Err(Error::new(
                Domain::Qemu,
                Code::XmlError,
                format!("spapr-vio address {register:#x} already in use"),
            ));
        }
        Ok(())
    })?;
    let mut give = |info: &mut DeviceInfo, mut register: u64| {
        if !matches!(info.address, None | Some(Address::SpaprVio(None))) {
            return;
        }
        while !taken.insert(register) {
            register += STEP;
        }
        info.address = Some(Address::SpaprVio(Some(register)));
    };
    let d = &mut def.devices;
    d.interfaces
        .iter_mut()
        .filter(|i| i.model.as_deref() == Some("spapr-vlan"))
        .for_each(|i| give(&mut i.info, NETWORK));
    for controller in d
        .controllers
        .iter_mut()
        .filter(|c| c.kind == ControllerKind::Scsi && c.model == Some(ControllerModel::IbmVscsi))
    {
        give(&mut controller.info, SCSI);
    }
    if pseries {
        d.serials.iter_mut().filter(|s| s.model == Some(SerialModel::SpaprVty)).for_each(|s| give(&mut s.info, SERIAL));
        d.nvram.iter_mut().for_each(|n| give(&mut n.info, NVRAM));
        d.tpms.iter_mut().filter(|t| t.model == Some(TpmModel::Spapr)).for_each(|t| give(&mut t.info, TPM));
    }
    Ok(())
}
