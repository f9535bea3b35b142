//! The hypervisor itself: version, abilities, conversions.

use std::time::{SystemTime, UNIX_EPOCH};

use conf::domain::VirtType as DomainVirt;
use error::{Domain as From, Error};
use protocol::remote;
use rpc::Call;
use xml::Vocabulary;

use super::{Api, bad_argument, check_flags, define};
use crate::capability::domain_capabilities::{self, DISABLE_DEPRECATED_FEATURES, Question};
use crate::capability::host::HostFacts;
use crate::capability::means::HostMeans;
use crate::capability::{VirtType, cache, document, firmware};
use crate::command::{self, InterfaceFds, LaunchInputs};
use crate::document::host_arch;
use crate::peer;
use crate::process::start::search_path;

/// Limit of a guest without KVM, and of one whose kind is not told.
const TCG_VCPUS_MAX: i32 = 16;
/// A descriptor number for command lines that nobody runs.
const SHOWN_FD: i32 = 24;
/// The only native form there is.
const NATIVE_FORMAT: &str = "qemu-argv";

pub(super) async fn version(api: &Api, _: &Call) -> error::Result<remote::ConnectGetVersionRet> {
    let emulator = api.driver.emulators.for_arch(host_arch()).await?;
    Ok(remote::ConnectGetVersionRet { hv_ver: emulator.version })
}

pub(super) async fn hostname(_: &Api, _: &Call) -> error::Result<remote::ConnectGetHostnameRet> {
    let hostname =
        host::system::hostname().map_err(|e| Error::system(From::None, &e, "failed to determine host name"))?;
    Ok(remote::ConnectGetHostnameRet { hostname })
}

pub(super) async fn max_vcpus(
    _: &Api,
    _: &Call,
    args: remote::ConnectGetMaxVcpusArgs,
) -> error::Result<remote::ConnectGetMaxVcpusRet> {
    let max_vcpus = match args.type_.as_deref() {
        None | Some("qemu" | "QEMU") => TCG_VCPUS_MAX,
        Some("kvm" | "KVM") => i32::try_from(host::run_blocking(kvm_vcpus_max).await).unwrap_or(i32::MAX),
        Some(other) => return Err(bad_argument(format!("unknown type '{other}'"))),
    };
    Ok(remote::ConnectGetMaxVcpusRet { max_vcpus })
}

pub(super) async fn capabilities(api: &Api, _: &Call) -> error::Result<remote::ConnectGetCapabilitiesRet> {
    let guests = document::guest_architectures(&api.driver.emulators).await;
    let facts = host::run_blocking(HostFacts::read).await;
    let label = api.driver.settings.user.as_ref().map_or((0, 0), |user| (user.uid, user.gid));
    Ok(remote::ConnectGetCapabilitiesRet { capabilities: document::capabilities(&facts, &guests, label) })
}

pub(super) async fn domain_capabilities(
    api: &Api,
    _: &Call,
    args: remote::ConnectGetDomainCapabilitiesArgs,
) -> error::Result<remote::ConnectGetDomainCapabilitiesRet> {
    check_flags("qemuConnectGetDomainCapabilities", args.flags, DISABLE_DEPRECATED_FEATURES)?;
    let emulators = &api.driver.emulators;
    let emulator = match (&args.emulatorbin, &args.arch) {
        (Some(path), _) => emulators.get(path.as_ref()).await?,
        (None, arch) => emulators.for_arch(arch.as_deref().unwrap_or(host_arch())).await?,
    };
    let arch = args.arch.clone().unwrap_or_else(|| emulator.arch.clone());
    if arch != emulator.arch {
        return Err(bad_argument(format!(
            "architecture from emulator '{}' doesn't match given architecture '{arch}'",
            emulator.arch
        )));
    }
    let virt = match args.virttype.as_deref() {
        None => emulator.best_virt(),
        Some(word) => match DomainVirt::from_word(word) {
            Some(DomainVirt::Kvm) => VirtType::Kvm,
            Some(DomainVirt::Qemu) => VirtType::Tcg,
            _ => return Err(bad_argument(format!("unknown virttype: {word}"))),
        },
    };
    if emulator.accelerated(virt).is_none() {
        return Err(bad_argument(format!(
            "the accel '{}' is not supported by '{}' on this host",
            virt.name(),
            emulator.emulator.display()
        )));
    }
    let unknown = |name: &str| {
        bad_argument(format!("the machine '{name}' is not supported by emulator '{}'", emulator.emulator.display()))
    };
    let machine = match &args.machine {
        Some(name) => emulator.machine(virt, name).ok_or_else(|| unknown(name))?,
        None => emulator.default_machine(virt).ok_or_else(|| unknown("default"))?,
    };
    let machine_name = machine.name.clone();
    let (facts, firmware, vcpus) =
        host::run_blocking(|| (HostFacts::read(), firmware::read(&firmware::folders(None)), kvm_vcpus_max())).await;
    let question = Question {
        emulator: &emulator,
        arch: &arch,
        virt,
        machine,
        machine_name: &machine_name,
        kvm_vcpus_max: vcpus,
        firmware: &firmware,
        known_loaders: &[],
    };
    Ok(remote::ConnectGetDomainCapabilitiesRet {
        capabilities: domain_capabilities::domain_capabilities(&question, &facts),
    })
}

pub(super) async fn xml_to_native(
    api: &Api,
    _: &Call,
    args: remote::ConnectDomainXmlToNativeArgs,
) -> error::Result<remote::ConnectDomainXmlToNativeRet> {
    check_flags("qemuConnectDomainXMLToNative", args.flags, 0)?;
    if args.native_format != NATIVE_FORMAT {
        return Err(bad_argument(format!("unsupported config type {}", args.native_format)));
    }
    let def = define::parse(api, &args.domain_xml, false).await?;
    let capability = api.driver.emulator(def.devices.emulator.as_deref(), &def.os.arch).await?;
    let folders = &api.driver.folders;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (lib, run) = (folders.lib.display().to_string(), folders.state.display().to_string());
    let path = search_path();
    let mut inputs = LaunchInputs::shown(&lib, &run, &def.name, &path, i64::try_from(now).unwrap_or(i64::MAX), 0);
    let tap = |number: usize| InterfaceFds {
        taps: vec![SHOWN_FD + i32::try_from(number).unwrap_or(0)],
        ..InterfaceFds::default()
    };
    inputs.interfaces = (0..def.devices.interfaces.len()).map(tap).collect();
    let mut means = host::run_blocking(HostMeans::read).await;
    for name in command::need::listened_networks(&def) {
        if let Err(error) = peer::network::known(&api.driver, &name).await {
            means.networks.insert(name, error);
        }
    }
    Ok(remote::ConnectDomainXmlToNativeRet { native_config: command::native::show(def, &capability, &inputs, &means)? })
}

fn kvm_vcpus_max() -> u32 {
    if !cache::kvm_usable() {
        return 0;
    }
    kvm_ioctls::Kvm::new().map_or(0, |kvm| u32::try_from(kvm.get_max_vcpus()).unwrap_or(u32::MAX))
}
