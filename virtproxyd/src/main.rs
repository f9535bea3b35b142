//! The proxy daemon: stands at the legacy sockets and relays to the driver daemons.

use daemon::{Context, Services, Spec};
use rpc::Router;
use std::process::ExitCode;

const SPEC: Spec = Spec::proxy("virtproxyd", "libvirt proxy daemon");

fn main() -> ExitCode {
    daemon::run(SPEC, |context: Context| async move {
        let router = Router::new(context.paths.run_dir.clone(), context.paths.privileged);
        Ok(virtproxyd::programs(router).into_iter().fold(Services::new(), Services::program))
    })
}
