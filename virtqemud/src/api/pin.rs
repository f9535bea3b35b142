//! Which host CPUs threads may use, and I/O threads.

use conf::Bitmap;
use conf::domain::cputune::Pin;
use conf::domain::vcpu::Iothread;
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::parameters::edit;
use super::{Api, bad_argument, check_flags, info, node};

const AFFECT: u32 = c::VIR_DOMAIN_AFFECT_LIVE | c::VIR_DOMAIN_AFFECT_CONFIG;

pub(super) async fn vcpu_pins(
    api: &Api,
    _: &Call,
    args: remote::DomainGetVcpuPinInfoArgs,
) -> error::Result<remote::DomainGetVcpuPinInfoRet> {
    check_flags("qemuDomainGetVcpuPinInfo", args.flags, AFFECT)?;
    let view = api.find(&args.dom)?.view();
    let def = info::pick(&view, args.flags)?;
    let (wanted, length) = (usize::try_from(args.ncpumaps).unwrap_or(0), usize::try_from(args.maplen).unwrap_or(0));
    if wanted.saturating_mul(length) > remote::limit::CPUMAPS_MAX {
        return Err(Error::new(From::Rpc, Code::Rpc, "CPU maps are too large"));
    }
    let count = wanted.min(def.vcpu.max());
    let mut cpumaps = Vec::with_capacity(count * length);
    for number in 0..count {
        let pin = def.cputune.vcpu_pins.iter().find(|pin| usize::try_from(pin.id) == Ok(number)).map(|pin| &pin.cpuset);
        cpumaps.extend(map(pin.or(def.vcpu.cpuset.as_ref()), length));
    }
    Ok(remote::DomainGetVcpuPinInfoRet { cpumaps, num: i32::try_from(count).unwrap_or(i32::MAX) })
}

pub(super) async fn pin_vcpu(api: &Api, _: &Call, args: remote::DomainPinVcpuFlagsArgs) -> error::Result<()> {
    check_flags("qemuDomainPinVcpuFlags", args.flags, AFFECT)?;
    let cpuset = set(&args.cpumap)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        if usize::try_from(args.vcpu).unwrap_or(usize::MAX) >= def.vcpu.max() {
            return Err(bad_argument(format!(
                "vcpu {} is out of range of persistent cpu count {}",
                args.vcpu,
                def.vcpu.max()
            )));
        }
        def.cputune.vcpu_pins.retain(|pin| pin.id != args.vcpu);
        def.cputune.vcpu_pins.push(Pin { id: args.vcpu, cpuset });
        def.cputune.vcpu_pins.sort_by_key(|pin| pin.id);
        Ok(())
    })
    .await
}

pub(super) async fn emulator_pin(
    api: &Api,
    _: &Call,
    args: remote::DomainGetEmulatorPinInfoArgs,
) -> error::Result<remote::DomainGetEmulatorPinInfoRet> {
    check_flags("qemuDomainGetEmulatorPinInfo", args.flags, AFFECT)?;
    let view = api.find(&args.dom)?.view();
    let def = info::pick(&view, args.flags)?;
    let length = usize::try_from(args.maplen).unwrap_or(0).min(remote::limit::CPUMAP_MAX);
    let pin = def.cputune.emulator_pin.as_ref().or(def.vcpu.cpuset.as_ref());
    Ok(remote::DomainGetEmulatorPinInfoRet { cpumaps: map(pin, length), ret: 1 })
}

pub(super) async fn pin_emulator(api: &Api, _: &Call, args: remote::DomainPinEmulatorArgs) -> error::Result<()> {
    check_flags("qemuDomainPinEmulator", args.flags, AFFECT)?;
    let cpuset = set(&args.cpumap)?;
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        def.cputune.emulator_pin = Some(cpuset);
        Ok(())
    })
    .await
}

pub(super) async fn iothreads(
    api: &Api,
    _: &Call,
    args: remote::DomainGetIothreadInfoArgs,
) -> error::Result<remote::DomainGetIothreadInfoRet> {
    check_flags("qemuDomainGetIOThreadInfo", args.flags, AFFECT)?;
    let view = api.find(&args.dom)?.view();
    let def = info::pick(&view, args.flags)?;
    let length = node::cpu_count().div_ceil(8);
    let info = def.iothreads.iter().map(|thread| {
        let pin = def.cputune.iothread_pins.iter().find(|pin| pin.id == thread.id).map(|pin| &pin.cpuset);
        remote::DomainIothreadInfo { iothread_id: thread.id, cpumap: map(pin.or(def.vcpu.cpuset.as_ref()), length) }
    });
    let info: Vec<_> = info.collect();
    let ret = u32::try_from(info.len()).unwrap_or(u32::MAX);
    Ok(remote::DomainGetIothreadInfoRet { info, ret })
}

pub(super) async fn add_iothread(api: &Api, _: &Call, args: remote::DomainAddIothreadArgs) -> error::Result<()> {
    check_flags("qemuDomainAddIOThread", args.flags, AFFECT)?;
    let id = args.iothread_id;
    if id == 0 {
        return Err(bad_argument("invalid value of 0 for iothread_id"));
    }
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        if def.iothreads.iter().any(|thread| thread.id == id) {
            return Err(bad_argument(format!(
                "an IOThread is already using iothread_id '{id}' in persistent iothreadids"
            )));
        }
        def.iothreads.push(Iothread { id, listed: true, ..Iothread::default() });
        Ok(())
    })
    .await
}

pub(super) async fn delete_iothread(api: &Api, _: &Call, args: remote::DomainDelIothreadArgs) -> error::Result<()> {
    check_flags("qemuDomainDelIOThread", args.flags, AFFECT)?;
    let id = args.iothread_id;
    if id == 0 {
        return Err(bad_argument("invalid value of 0 for iothread_id"));
    }
    edit(&api.find(&args.dom)?, args.flags, move |def| {
        if !def.iothreads.iter().any(|thread| thread.id == id) {
            return Err(bad_argument(format!("cannot find IOThread '{id}' in iothreadids list")));
        }
        if def.devices.disks.iter().any(|disk| disk.driver.iothread == Some(id)) {
            return Err(bad_argument(format!("cannot remove IOThread {id} since it is being used by disk")));
        }
        def.iothreads.retain(|thread| thread.id != id);
        def.cputune.iothread_pins.retain(|pin| pin.id != id);
        Ok(())
    })
    .await
}

/// CPUs of a set as a map of this many bytes; without a set every CPU of the host.
fn map(set: Option<&Bitmap>, length: usize) -> Vec<u8> {
    let mut map = vec![0u8; length];
    for cpu in 0..node::cpu_count().min(length * 8) {
        let inside = set.is_none_or(|set| u32::try_from(cpu).is_ok_and(|cpu| set.contains(cpu)));
        map[cpu / 8] |= u8::from(inside) << (cpu % 8);
    }
    map
}

/// The set of a map; an empty one pins to nothing, which is refused.
fn set(map: &[u8]) -> error::Result<Bitmap> {
    let cpus = (0u32..).zip(map.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)));
    let set: Bitmap = cpus.filter(|(_, inside)| *inside).map(|(cpu, _)| cpu).collect();
    if set.is_empty() { Err(bad_argument("Empty cpu list for pinning")) } else { Ok(set) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_sets() {
        let one = set(&[0b10, 0b1]).unwrap();
        assert_eq!(one.iter().collect::<Vec<_>>(), [1, 8]);
        assert!(set(&[0, 0]).is_err());
        assert_eq!(map(Some(&set(&[1]).unwrap()), 1), [1]);
        assert_eq!(map(None, 0), Vec::<u8>::new());
    }
}
