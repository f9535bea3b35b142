//! tc: checksums of DHCP replies, and the rates of a network.
//!
//! Guests that look at checksums drop the replies of a dnsmasq on the same host, because nobody fills them in for packets that never leave. libvirt lets
//! tc do it; a kernel without that action loses only those guests (old ones), so it is a warning. Rates that cannot be kept are an error: the user asked.

use std::sync::atomic::{AtomicBool, Ordering};

use conf::network::Bandwidth;
use conf::network::bandwidth::Rate;
use error::Result;
use tokio::process::Command;

use super::process::{run, tool};

/// Set once the kernel has said that it cannot fill in checksums: nobody wants to hear it for each network.
static NO_CHECKSUMS: AtomicBool = AtomicBool::new(false);

fn tc(line: &str) -> Command {
    let mut command = tool("tc");
    command.args(line.split(' '));
    command
}

async fn add_root(bridge: &str) -> Result<()> {
    run(tc(&format!("qdisc add dev {bridge} root handle 1: htb default 2")), None).await.map(drop)
}

async fn remove_root(bridge: &str) {
    // with the bridge it goes anyway
    let _ = run(tc(&format!("qdisc del dev {bridge} root")), None).await;
}

/// Fills in the checksums of DHCP replies on the bridge, if the kernel can.
pub async fn fill_dhcp_checksums(bridge: &str, has_root: bool) {
    if NO_CHECKSUMS.load(Ordering::Relaxed) {
        return;
    }
    let made = if has_root { Ok(()) } else { add_root(bridge).await };
    let filter = format!(
        "filter add dev {bridge} prio 2 protocol ip parent 1: u32 match ip dport 68 ffff action csum ip and udp"
    );
    let done = match made {
        Ok(()) => run(tc(&filter), None).await,
        Err(e) => Err(e),
    };
    if let Err(cause) = done {
        NO_CHECKSUMS.store(true, Ordering::Relaxed);
        tracing::warn!(bridge, "DHCP replies go out without checksums, which very old guests mind: {cause}");
        if !has_root {
            // a queue without its filter would do nothing but cost
            remove_root(bridge).await;
        }
    }
}

fn rate_words(rate: &Rate) -> String {
    let mut words = format!("rate {}kbps", rate.average);
    if rate.peak > 0 {
        words.push_str(&format!(" ceil {}kbps", rate.peak));
    }
    if rate.burst > 0 {
        words.push_str(&format!(" burst {}kb", rate.burst));
    }
    words
}

/// Limits what passes the bridge: inbound is towards the guests. Returns whether the bridge has a root queue now.
///
/// # Errors
/// tc's complaint; the bridge is then to be removed.
pub async fn limit(bridge: &str, bandwidth: &Bandwidth) -> Result<bool> {
    let inbound = bandwidth.inbound.filter(|r| r.average > 0);
    if let Some(rate) = &inbound {
        add_root(bridge).await?;
        let words = rate_words(rate);
        for line in [
            format!("class add dev {bridge} parent 1: classid 1:1 htb {words}"),
            format!("class add dev {bridge} parent 1:1 classid 1:2 htb {words}"),
            format!("qdisc add dev {bridge} parent 1:2 handle 2: sfq perturb 10"),
        ] {
            run(tc(&line), None).await?;
        }
    }
    if let Some(rate) = bandwidth.outbound.filter(|r| r.average > 0) {
        let burst = if rate.burst > 0 { rate.burst } else { rate.average };
        for line in [
            format!("qdisc add dev {bridge} ingress"),
            format!(
                "filter add dev {bridge} parent ffff: protocol all u32 match u32 0 0 police rate {}kbps burst {burst}kb mtu 64kb drop flowid :1",
                rate.average
            ),
        ] {
            run(tc(&line), None).await?;
        }
    }
    Ok(inbound.is_some())
}
