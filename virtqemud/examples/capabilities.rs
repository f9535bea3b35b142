//! Prints what virtqemud would answer for `virsh capabilities` (no argument) or
//! `virsh domcapabilities --arch ARCH --machine MACHINE --virttype TYPE`.

use std::path::Path;
use virtqemud::capability::cache::{CapabilityCache, kvm_usable};
use virtqemud::capability::document::{capabilities, guest_architectures};
use virtqemud::capability::domain_capabilities::{Question, domain_capabilities};
use virtqemud::capability::host::HostFacts;
use virtqemud::capability::probe::ProbeUser;
use virtqemud::capability::{VirtType, firmware};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let cache = CapabilityCache::new(std::env::temp_dir().join("oxvirt-capabilities"), ProbeUser::default());
    let host = HostFacts::read();
    let [arch, machine, virt] = words.as_slice() else {
        print!("{}", capabilities(&host, &guest_architectures(&cache).await, (0, 0)));
        return Ok(());
    };
    let emulator = cache.for_arch(arch).await?;
    let virt = if virt == "kvm" && kvm_usable() { VirtType::Kvm } else { VirtType::Tcg };
    let facts = emulator.machine(virt, machine).ok_or_else(|| anyhow::anyhow!("no such machine"))?;
    let firmware = firmware::read(&firmware::folders(None::<&Path>));
    let question = Question {
        emulator: &emulator,
        arch,
        virt,
        machine: facts,
        machine_name: &facts.name,
        kvm_vcpus_max: 1024,
        firmware: &firmware,
        known_loaders: &["/usr/share/OVMF/OVMF_CODE.fd".into(), "/usr/share/OVMF/OVMF_CODE.secboot.fd".into()],
    };
    print!("{}", domain_capabilities(&question, &host));
    Ok(())
}
