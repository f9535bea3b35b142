//! Processors compared and reduced to what several have in common.

use std::collections::BTreeSet;

use conf::domain::VirtType as DomainVirt;
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;
use xml::Vocabulary;

use super::{Api, bad_argument, check_flags};
use crate::capability::{Accelerated, VirtType};
use crate::cpu::baseline::baseline;
use crate::cpu::compare::{Provider, compare};
use crate::cpu::document::CpuDocument;
use crate::cpu::{HostCpu, feature, models};
use crate::document::host_arch;

const COMPARE_FLAGS: u32 = c::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE | c::VIR_CONNECT_COMPARE_CPU_VALIDATE_XML;
const BASELINE_FLAGS: u32 = c::VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES | c::VIR_CONNECT_BASELINE_CPU_MIGRATABLE;

fn is_x86(arch: &str) -> bool {
    matches!(arch, "x86_64" | "i686")
}

pub(super) async fn model_names(
    _: &Api,
    _: &Call,
    args: remote::ConnectGetCpuModelNamesArgs,
) -> error::Result<remote::ConnectGetCpuModelNamesRet> {
    check_flags("qemuConnectGetCPUModelNames", args.flags, 0)?;
    if !is_x86(&args.arch) {
        // Models of other architectures are the emulator's own: domain capabilities list them.
        return Err(Error::no_support("virConnectGetCPUModelNames"));
    }
    let names: Vec<String> = models().iter().map(|model| model.name.to_owned()).collect();
    let ret = i32::try_from(names.len()).unwrap_or(i32::MAX);
    Ok(remote::ConnectGetCpuModelNamesRet { models: if args.need_results == 0 { Vec::new() } else { names }, ret })
}

pub(super) async fn compare_host(
    _: &Api,
    _: &Call,
    args: remote::ConnectCompareCpuArgs,
) -> error::Result<remote::ConnectCompareCpuRet> {
    check_flags("qemuConnectCompareCPU", args.flags, COMPARE_FLAGS)?;
    let cpu = CpuDocument::parse(&args.xml)?;
    let host = host::run_blocking(HostCpu::read).await;
    let provider = Provider { arch: host_arch(), vendor: host.vendor.as_deref(), features: &host.features };
    let fail = args.flags & c::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE != 0;
    Ok(remote::ConnectCompareCpuRet { result: compare(&cpu, &provider, fail)? as i32 })
}

pub(super) async fn baseline_host(
    _: &Api,
    _: &Call,
    args: remote::ConnectBaselineCpuArgs,
) -> error::Result<remote::ConnectBaselineCpuRet> {
    check_flags("qemuConnectBaselineCPU", args.flags, BASELINE_FLAGS)?;
    Ok(remote::ConnectBaselineCpuRet { cpu: baseline(&documents(&args.xml_cp_us)?, args.flags, None)? })
}

fn documents(texts: &[String]) -> error::Result<Vec<CpuDocument>> {
    texts.iter().map(|text| CpuDocument::parse(text)).collect()
}

/// What one emulator offers to guests: architecture, features and the names of its models.
struct Offer {
    arch: String,
    vendor: Option<&'static str>,
    features: BTreeSet<String>,
    models: BTreeSet<String>,
}

async fn offer(api: &Api, emulator: Option<&str>, arch: Option<&str>, virttype: Option<&str>) -> error::Result<Offer> {
    let emulators = &api.driver.emulators;
    let emulator = match emulator {
        Some(path) => emulators.get(path.as_ref()).await?,
        None => emulators.for_arch(arch.unwrap_or(host_arch())).await?,
    };
    let arch = arch.unwrap_or(&emulator.arch).to_owned();
    let virt = match virttype {
        None => emulator.best_virt(),
        Some(word) => match DomainVirt::from_word(word) {
            Some(DomainVirt::Kvm) => VirtType::Kvm,
            Some(DomainVirt::Qemu) => VirtType::Tcg,
            _ => return Err(bad_argument(format!("unknown virttype: {word}"))),
        },
    };
    let lacking = || {
        Error::new(
            From::Qemu,
            Code::OperationUnsupported,
            format!(
                "QEMU '{}' does not support reporting CPU model for virttype '{}'",
                emulator.emulator.display(),
                virt.name()
            ),
        )
    };
    let facts = emulator.accelerated(virt).filter(|_| is_x86(&arch)).ok_or_else(lacking)?;
    let props = facts.host_cpu.as_ref().ok_or_else(lacking)?;
    let vendor = match props.get("vendor").and_then(serde_json::Value::as_str) {
        Some("GenuineIntel") => Some("Intel"),
        Some("AuthenticAMD") => Some("AMD"),
        Some("HygonGenuine") => Some("Hygon"),
        _ => None,
    };
    Ok(Offer {
        arch,
        vendor,
        features: features_of(facts),
        models: facts.cpu_models.iter().map(|model| model.name.clone()).collect(),
    })
}

fn features_of(facts: &Accelerated) -> BTreeSet<String> {
    let props = facts.host_cpu.iter().flatten();
    let on = props.filter(|(_, value)| **value == serde_json::Value::Bool(true)).map(|(name, _)| name);
    on.chain(&facts.host_cpu_unmigratable).map(|name| feature::from_qemu(name).to_owned()).collect()
}

pub(super) async fn compare_hypervisor(
    api: &Api,
    _: &Call,
    args: remote::ConnectCompareHypervisorCpuArgs,
) -> error::Result<remote::ConnectCompareHypervisorCpuRet> {
    check_flags("qemuConnectCompareHypervisorCPU", args.flags, COMPARE_FLAGS)?;
    let cpu = CpuDocument::parse(&args.xml_cpu)?;
    let offer = offer(api, args.emulator.as_deref(), args.arch.as_deref(), args.virttype.as_deref()).await?;
    let provider = Provider { arch: &offer.arch, vendor: offer.vendor, features: &offer.features };
    let fail = args.flags & c::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE != 0;
    Ok(remote::ConnectCompareHypervisorCpuRet { result: compare(&cpu, &provider, fail)? as i32 })
}

pub(super) async fn baseline_hypervisor(
    api: &Api,
    _: &Call,
    args: remote::ConnectBaselineHypervisorCpuArgs,
) -> error::Result<remote::ConnectBaselineHypervisorCpuRet> {
    check_flags("qemuConnectBaselineHypervisorCPU", args.flags, BASELINE_FLAGS)?;
    let cpus = documents(&args.xml_cp_us)?;
    let offer = offer(api, args.emulator.as_deref(), args.arch.as_deref(), args.virttype.as_deref()).await?;
    let known = |name: &str| offer.models.contains(name);
    Ok(remote::ConnectBaselineHypervisorCpuRet { cpu: baseline(&cpus, args.flags, Some((&offer.features, &known)))? })
}
