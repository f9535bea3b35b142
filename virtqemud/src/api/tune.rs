//! Memory and vCPU amounts.

use conf::domain::vcpu::Vcpu;
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::{Api, bad_argument, check_flags, invalid, not_running};
use crate::domain::handle::Domain;
use crate::domain::lifecycle::refused;
use crate::domain::view::DomainView;
use crate::qmp::commands::Balloon;

const AFFECT: u32 = c::VIR_DOMAIN_AFFECT_LIVE | c::VIR_DOMAIN_AFFECT_CONFIG;

/// Which definitions a change is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) live: bool,
    pub(super) config: bool,
}

impl Target {
    /// No flag means the running guest, or the stored definition when nothing runs.
    pub(super) fn of(view: &DomainView, flags: u32) -> error::Result<Target> {
        let (mut live, mut config) = (flags & c::VIR_DOMAIN_AFFECT_LIVE != 0, flags & c::VIR_DOMAIN_AFFECT_CONFIG != 0);
        if !live && !config {
            (live, config) = (view.is_active(), !view.is_active());
        }
        if live && !view.is_active() {
            return Err(not_running());
        }
        if config && view.persistent.is_none() {
            return Err(invalid("transient domains do not have any persistent config"));
        }
        Ok(Target { live, config })
    }
}

pub(super) async fn set_max_memory(api: &Api, _: &Call, args: remote::DomainSetMaxMemoryArgs) -> error::Result<()> {
    memory(&api.find(&args.dom)?, args.memory, c::VIR_DOMAIN_MEM_MAXIMUM).await
}

pub(super) async fn set_memory(api: &Api, _: &Call, args: remote::DomainSetMemoryArgs) -> error::Result<()> {
    memory(&api.find(&args.dom)?, args.memory, c::VIR_DOMAIN_AFFECT_LIVE).await
}

pub(super) async fn set_memory_flags(api: &Api, _: &Call, args: remote::DomainSetMemoryFlagsArgs) -> error::Result<()> {
    check_flags("qemuDomainSetMemoryFlags", args.flags, AFFECT | c::VIR_DOMAIN_MEM_MAXIMUM)?;
    memory(&api.find(&args.dom)?, args.memory, args.flags).await
}

async fn memory(domain: &Domain, kib: u64, flags: u32) -> error::Result<()> {
    let target = Target::of(&domain.view(), flags)?;
    let maximum = flags & c::VIR_DOMAIN_MEM_MAXIMUM != 0;
    if maximum && target.live {
        return Err(invalid("cannot resize the maximum memory on an active domain"));
    }
    domain.ask(move |actor| Box::pin(actor.set_memory(kib, maximum, target.live, target.config))).await
}

pub(super) async fn set_vcpus(api: &Api, _: &Call, args: remote::DomainSetVcpusArgs) -> error::Result<()> {
    vcpus(&api.find(&args.dom)?, args.nvcpus, c::VIR_DOMAIN_AFFECT_LIVE).await
}

pub(super) async fn set_vcpus_flags(api: &Api, _: &Call, args: remote::DomainSetVcpusFlagsArgs) -> error::Result<()> {
    let accepted = AFFECT | c::VIR_DOMAIN_VCPU_MAXIMUM | c::VIR_DOMAIN_VCPU_GUEST | c::VIR_DOMAIN_VCPU_HOTPLUGGABLE;
    check_flags("qemuDomainSetVcpusFlags", args.flags, accepted)?;
    vcpus(&api.find(&args.dom)?, args.nvcpus, args.flags).await
}

async fn vcpus(domain: &Domain, count: u32, flags: u32) -> error::Result<()> {
    let target = Target::of(&domain.view(), flags)?;
    if target.live || flags & c::VIR_DOMAIN_VCPU_GUEST != 0 {
        return Err(Error::new(
            From::Qemu,
            Code::OperationUnsupported,
            "changing vCPUs of a running guest is not served yet",
        ));
    }
    if count == 0 {
        return Err(bad_argument("nvcpus must be positive"));
    }
    let maximum = flags & c::VIR_DOMAIN_VCPU_MAXIMUM != 0;
    domain.ask(move |actor| Box::pin(actor.set_vcpus(count as usize, maximum))).await
}

impl crate::domain::actor::Actor {
    /// Sets current or maximum memory, of the guest, of the next boot, or of both.
    pub(crate) async fn set_memory(&mut self, kib: u64, maximum: bool, live: bool, config: bool) -> error::Result<()> {
        if live {
            let def = self.live_def()?;
            if kib > def.memory.total_kib {
                return Err(bad_argument("cannot set memory higher than max memory"));
            }
            self.monitor()?.execute(&Balloon { value: kib * 1024 }).await.map_err(refused)?;
        }
        if config {
            let mut def = self.stored_def()?;
            if maximum {
                def.memory.total_kib = kib;
                def.memory.current_kib = def.memory.current_kib.min(kib);
            } else {
                if kib > def.memory.total_kib {
                    return Err(bad_argument("cannot set memory higher than max memory"));
                }
                def.memory.current_kib = kib;
            }
            self.store(def).await?;
        }
        Ok(())
    }

    /// Sets current or maximum vCPUs of the next boot.
    pub(crate) async fn set_vcpus(&mut self, count: usize, maximum: bool) -> error::Result<()> {
        let mut def = self.stored_def()?;
        if maximum {
            // New ones are offline until someone asks for them.
            def.vcpu.vcpus.resize(count, Vcpu::default());
        } else {
            if count > def.vcpu.max() {
                let text = format!(
                    "requested vcpus is greater than max allowable vcpus for the persistent domain: {count} > {}",
                    def.vcpu.max()
                );
                return Err(bad_argument(text));
            }
            for (index, vcpu) in def.vcpu.vcpus.iter_mut().enumerate() {
                vcpu.online = index < count;
            }
        }
        self.store(def).await
    }
}
