//! The host: processors, memory, security.

use std::fs;

use error::{Code, Domain as From, Error};
use protocol::remote;
use rpc::Call;

use super::{Api, check_flags};
use crate::capability::document;
use crate::capability::host::HostFacts;

pub(super) async fn info(_: &Api, _: &Call) -> error::Result<remote::NodeGetInfoRet> {
    Ok(host::run_blocking(|| document::node_info(&HostFacts::read())).await)
}

/// How many processors this machine may have.
pub(super) fn cpu_count() -> usize {
    last_present() + 1
}

fn last_present() -> usize {
    let present = fs::read_to_string("/sys/devices/system/cpu/present").unwrap_or_else(|_| "0".into());
    present.trim().rsplit(['-', ',']).next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Numbers of the processors that are online.
fn online() -> Vec<usize> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_else(|_| "0".into());
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cpus.extend(first..=last.min(first + 8192));
        }
    }
    cpus
}

fn memory_kib(meminfo: &str, field: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

pub(super) async fn free_memory(_: &Api, _: &Call) -> error::Result<remote::NodeGetFreeMemoryRet> {
    let text =
        fs::read_to_string("/proc/meminfo").map_err(|e| Error::system(From::Qemu, &e, "cannot read /proc/meminfo"))?;
    let missing = || Error::new(From::Qemu, Code::InternalError, "Unable to determine free memory");
    Ok(remote::NodeGetFreeMemoryRet { free_mem: memory_kib(&text, "MemFree").ok_or_else(missing)? * 1024 })
}

pub(super) async fn cpu_map(
    _: &Api,
    _: &Call,
    args: remote::NodeGetCpuMapArgs,
) -> error::Result<remote::NodeGetCpuMapRet> {
    check_flags("virHostCPUGetMap", args.flags, 0)?;
    let last = last_present();
    let online = online();
    let mut cpumap = vec![0u8; last / 8 + 1];
    for cpu in online.iter().filter(|cpu| **cpu <= last) {
        cpumap[cpu / 8] |= 1 << (cpu % 8);
    }
    let count = u32::try_from(online.len()).unwrap_or(u32::MAX);
    Ok(remote::NodeGetCpuMapRet {
        cpumap: if args.need_map != 0 { cpumap } else { Vec::new() },
        online: if args.need_online != 0 { count } else { 0 },
        ret: i32::try_from(last + 1).unwrap_or(i32::MAX),
    })
}

/// DAC is not told here, as in libvirt, which names the first of its models only when that is a mandatory one.
pub(super) async fn security_model(_: &Api, _: &Call) -> error::Result<remote::NodeGetSecurityModelRet> {
    Ok(remote::NodeGetSecurityModelRet { model: c_string("none"), doi: c_string("0") })
}

/// Characters with the NUL that ends them, one word each on the wire.
pub(super) fn c_string(text: &str) -> Vec<i8> {
    text.bytes().chain([0]).map(u8::cast_signed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_proc() {
        assert_eq!(memory_kib("MemTotal:       24689764 kB\nMemFree:  12 kB\n", "MemFree"), Some(12));
        assert!(!online().is_empty());
    }
}
