//! The QEMU/KVM driver daemon.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use daemon::{Context, Services, Spec};
use protocol::{Class, qemu, remote};
use rpc::{RemoteConfig, RemoteProgram, Router};
use virtqemud::api::Api;
use virtqemud::domain::recover;
use virtqemud::driver::Driver;
use virtqemud::launcher;

/// Features of `CONNECT_SUPPORTS_FEATURE` that the QEMU driver has: migration 2, p2p, 3, change protection, typed
/// strings, migratable XML, offline migration, migration parameters, network update order.
const FEATURES: &[i32] = &[9, 11, 16];

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == launcher::ARGUMENT) {
        return launcher::serve();
    }
    daemon::run(Spec::driver("virtqemud", "qemu", "QEMU/KVM guests"), build)
}

async fn build(context: Context) -> anyhow::Result<Services> {
    let lock = context.lock_driver("qemu")?;
    let driver = Arc::new(Driver::load(&context)?);
    driver.launcher.prepare().await.context("cannot start the launcher")?;
    recover::load(&driver).await.context("cannot load the state of the driver")?;
    let config = RemoteConfig {
        driver: "QEMU",
        scheme: "qemu",
        privileged: context.paths.privileged,
        session_when_privileged: true,
        features: FEATURES,
    };
    let api = Arc::new(Api::new(driver.clone()));
    let qemu_api = api.clone();
    let programs = RemoteProgram::builder(config)
        .serve(Class::Hypervisor, move |call, number, payload| {
            remote::dispatch_hypervisor(api.clone(), call, number, payload)
        })
        .serve_qemu(move |call, number, payload| qemu::dispatch_hypervisor(qemu_api.clone(), call, number, payload))
        .router(Arc::new(Router::new(&context.paths.run_dir, context.paths.privileged)))
        .build();
    tokio::spawn(async move {
        recover::autostart_all(&driver).await;
        // Held as long as the daemon lives.
        let _lock = lock;
        std::future::pending::<()>().await;
    });
    Ok(programs.into_iter().fold(Services::new(), Services::program))
}
