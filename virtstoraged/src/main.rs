//! The storage pool and volume driver daemon.
//!
//! | module | holds |
//! |---|---|
//! | `api` | the RPC procedures of the storage class |
//! | `driver`, `event` | all pools; who hears of them |
//! | `pool` | one pool: actor, published view, files, lifecycle, refresh |
//! | `volume` | work on volumes: find, create, copy, change, transfer |
//! | `backend` | how each kind of pool works |
//! | `folder`, `scan` | a directory of images, held open; what its files are |
//! | `tool` | runs of `qemu-img` and of host tools |
//!
//! Never here: a link followed out of a pool, a guest's header believed for a disk that was declared raw, a tool run without
//! explicit formats, a client's call that waits for a scan it did not ask for.

mod api;
mod backend;
mod driver;
mod event;
mod folder;
mod pool;
mod scan;
mod tool;
mod volume;

use std::process::ExitCode;
use std::sync::Arc;

use daemon::context::{Context, Services};
use daemon::spec::Spec;
use protocol::{Class, remote};
use rpc::{RemoteConfig, RemoteProgram, Router};

use crate::driver::Driver;
use crate::pool::store::Store;

const SPEC: Spec = Spec::driver("virtstoraged", "storage", "storage pools and volumes");

fn main() -> ExitCode {
    daemon::run(SPEC, serve)
}

async fn serve(context: Context) -> anyhow::Result<Services> {
    let lock = context.lock_driver("storage")?;
    let paths = context.paths.driver("storage");
    let driver = Driver::start(Store { config: paths.config, state: paths.state }).await?;
    let reloaded = driver.clone();
    context.reload.on_reload(move || {
        let driver = reloaded.clone();
        async move { driver.reload().await }
    });
    let config = RemoteConfig {
        driver: "storage",
        scheme: "storage",
        privileged: context.paths.privileged,
        session_when_privileged: false,
        features: &[],
    };
    let router = Arc::new(Router::new(&context.paths.run_dir, context.paths.privileged));
    let service = Arc::new(driver);
    let programs = RemoteProgram::builder(config)
        .serve(Class::Storage, move |call, number, payload| {
            remote::dispatch_storage(service.clone(), call, number, payload)
        })
        .router(router)
        .build();
    let services = programs.into_iter().fold(Services::new(), Services::program);
    Ok(services.on_close(move || async move { drop(lock) }))
}
