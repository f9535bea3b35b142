//! tc: checksums of DHCP replies.
//!
//! Guests that look at checksums drop the replies of a dnsmasq on the same host, because nobody fills them in for packets that never leave. libvirt lets
//! tc do it; a kernel without that action loses only those guests (old ones), so it is a warning.

use error::Result;
use tokio::process::Command;

use super::process::run;

fn tc(line: &str) -> Command {
    let mut command = Command::new("tc");
    command.args(line.split(' '));
    command
}

/// Fills in the checksums of DHCP replies on the bridge.
///
/// # Errors
/// tc's complaint; the bridge's queue is then as before.
pub async fn fill_dhcp_checksums(bridge: &str) -> Result<()> {
    run(tc(&format!("qdisc add dev {bridge} root handle 1: htb default 2")), None).await?;
    let filter = format!("filter add dev {bridge} prio 2 protocol ip parent 1: u32 match ip dport 68 ffff action csum ip and udp");
    if let Err(cause) = run(tc(&filter), None).await {
        // a queue without its filter would do nothing but cost
        let _ = run(tc(&format!("qdisc del dev {bridge} root")), None).await;
        return Err(cause);
    }
    Ok(())
}
