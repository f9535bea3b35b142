//! zPCI identities: how a mainframe knows its PCI functions.

use std::collections::{BTreeMap, BTreeSet};

use conf::domain::DomainDef;
use conf::domain::device::controller::{ControllerKind, ControllerModel};
use conf::domain::device::info::{Address, PciAddress, Zpci};
use error::Result;

use super::pci::internal;
use super::{iterate, machine};

/// User-defined ids are 16 bits and never zero.
const UID_MAX: u32 = 0xffff;

/// Gives an identity to every PCI device of an s390x guest.
pub fn assign(def: &mut DomainDef) -> Result<()> {
    if !machine::is_s390_ccw(def) {
        return Ok(());
    }
    let (mut uids, mut fids) = (BTreeSet::new(), BTreeSet::new());
    each(def, |at| {
        if let Some(uid) = at.zpci.uid
            && !uids.insert(uid)
        {
            // libvirt prints the number in octal
            return Err(internal(format!("zPCI uid {uid:o} is already reserved")));
        }
        if let Some(fid) = at.zpci.fid
            && !fids.insert(fid)
        {
            return Err(internal(format!("zPCI fid {fid:o} is already reserved")));
        }
        Ok(())
    })?;
    // what a document half says is completed before what it leaves open
    for half in [true, false] {
        complete(def, half, &mut uids, &mut fids)?;
    }
    Ok(())
}

fn complete(def: &mut DomainDef, half: bool, uids: &mut BTreeSet<u32>, fids: &mut BTreeSet<u32>) -> Result<()> {
    each(def, |at| {
        if half && at.zpci.uid.is_none() && at.zpci.fid.is_none() {
            return Ok(());
        }
        if at.zpci.uid.is_none() {
            let free =
                (1..=UID_MAX).find(|n| !uids.contains(n)).ok_or_else(|| internal("There is no more free zPCI uid"))?;
            uids.insert(free);
            at.zpci.uid = Some(free);
        }
        if at.zpci.fid.is_none() {
            let free =
                (0..u32::MAX).find(|n| !fids.contains(n)).ok_or_else(|| internal("There is no more free zPCI fid"))?;
            fids.insert(free);
            at.zpci.fid = Some(free);
        }
        Ok(())
    })
}

fn each(def: &mut DomainDef, mut visit: impl FnMut(&mut PciAddress) -> Result<()>) -> Result<()> {
    iterate::each(def, |info, _| match &mut info.address {
        Some(Address::Pci(at)) if !at.is_empty() => visit(at),
        _ => Ok(()),
    })
}

/// Identities by alias, for the command line; empty but on s390x.
pub fn identities(def: &DomainDef) -> BTreeMap<String, Zpci> {
    let mut found = BTreeMap::new();
    if !machine::is_s390_ccw(def) {
        return found;
    }
    let root = |c: &&conf::domain::device::controller::ControllerDef| {
        c.kind == ControllerKind::Pci && c.model == Some(ControllerModel::PciRoot)
    };
    let roots: Vec<_> = def.devices.controllers.iter().filter(root).filter_map(|c| c.info.alias.clone()).collect();
    let _ = iterate::each(&mut def.clone(), |info, _| {
        if let (Some(Address::Pci(at)), Some(alias)) = (&info.address, &info.alias)
            && !roots.contains(alias)
        {
            found.insert(alias.clone(), at.zpci);
        }
        Ok::<(), ()>(())
    });
    found
}
