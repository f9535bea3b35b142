//! The virtual network driver daemon.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use daemon::{Context, Services, Spec};
use protocol::{Class, remote};
use rpc::remote::{RemoteConfig, RemoteProgram};
use virtnetworkd::api::Service;
use virtnetworkd::driver::Driver;
use virtnetworkd::folders::Folders;

/// `VIR_DRV_FEATURE_NETWORK_UPDATE_HAS_CORRECT_ORDER`: command and section of NETWORK_UPDATE are in the order of their names.
const UPDATE_HAS_CORRECT_ORDER: i32 = 16;

const SPEC: Spec =
    Spec::driver("virtnetworkd", "network", "virtual networks: bridges, DHCP, DNS and packet filter rules");

fn main() -> ExitCode {
    daemon::run(SPEC, build)
}

async fn build(context: Context) -> anyhow::Result<Services> {
    // held for the life of the process: nobody else may write our state
    let lock = context.lock_driver("network")?;
    let firewall = firewall(&context)?;
    let folders = Folders::new(&context.paths);
    let idle = context.idle.clone();
    let driver = Driver::load(folders, firewall, Box::new(move || Box::new(idle.inhibit())))
        .await
        .map_err(anyhow::Error::msg)
        .context("cannot load networks")?;
    driver.autostart().await;
    let reloaded = driver.clone();
    context.reload.on_reload(move || {
        let driver = reloaded.clone();
        async move { driver.reload().await }
    });
    let config = RemoteConfig {
        driver: "network",
        scheme: "network",
        privileged: context.paths.privileged,
        session_when_privileged: false,
        features: &[UPDATE_HAS_CORRECT_ORDER],
    };
    let service = Arc::new(Service(driver));
    let programs = RemoteProgram::builder(config)
        .serve(Class::Network, move |call, number, payload| {
            remote::dispatch_network(service.clone(), call, number, payload)
        })
        .build();
    let services = programs.into_iter().fold(Services::new(), Services::program);
    Ok(services.on_close(move || async move { drop(lock) }))
}

/// Whether packet filter rules are made: network.conf, `firewall_backend`.
fn firewall(context: &Context) -> anyhow::Result<bool> {
    let file = context.config_file("network.conf")?;
    match file.string("firewall_backend")? {
        None => Ok(true),
        Some(backend) => match backend.as_ref() {
            "nftables" => Ok(true),
            "none" => Ok(false),
            // the rules are the same; nft is what keeps them now
            "iptables" => {
                tracing::warn!("network.conf: firewall_backend 'iptables' is served by nftables");
                Ok(true)
            }
            other => bail!("unrecognized firewall_backend = '{other}' set in network driver config file network.conf"),
        },
    }
}
