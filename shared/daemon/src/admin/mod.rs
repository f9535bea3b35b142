//! The admin program: what `virt-admin` asks of a running daemon.
//!
//! - `servers`: the servers of the daemon, their clients and limits;
//! - `pool`: the worker figures that tools set and read;
//! - this file: the calls, each a short one.

mod pool;
mod servers;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use error::{Code, Domain, Error, Result, check_flags};
use protocol::{Procedure, ReplyFuture, admin};
use rpc::{Call, Program, Server};

use crate::context::Context;
use crate::log::Control;
use crate::settings;
use pool::Pool;
use servers::Managed;

/// libvirt's version that we speak.
const LIBRARY_VERSION: u64 = rpc::remote::LIBRARY_VERSION;
/// `VIR_DAEMON_SHUTDOWN_PRESERVE`: save guests before the end.
const SHUTDOWN_PRESERVE: u32 = 1;

/// The admin program of one daemon.
pub(crate) struct Administration {
    calls: Arc<Calls>,
}

struct Calls {
    context: Context,
    servers: OnceLock<Vec<Managed>>,
}

/// Whether a connection has been opened, as libvirt wants it before anything else.
#[derive(Default)]
struct Opened(OnceLock<()>);

impl Administration {
    pub(crate) fn new(context: &Context) -> Arc<Administration> {
        Arc::new(Administration { calls: Arc::new(Calls { context: context.clone(), servers: OnceLock::new() }) })
    }

    /// Names the servers that are administered, once they are built.
    pub(crate) fn serve(&self, servers: &[Server]) {
        let settings = &self.calls.context.settings;
        let limits: [&settings::Limits; 2] = [&settings.limits, &settings.admin_limits];
        let managed = servers.iter().zip(limits).map(|(server, limits)| Managed {
            server: server.clone(),
            pool: Pool::new(limits, server.name() == "admin"),
        });
        let _ = self.calls.servers.set(managed.collect());
    }
}

impl Program for Administration {
    fn number(&self) -> u32 {
        admin::PROGRAM
    }

    fn procedure(&self, number: i32) -> Option<&'static Procedure> {
        admin::procedure(number)
    }

    fn call(&self, call: Call, payload: Bytes) -> ReplyFuture {
        let number = call.procedure().number;
        if number != admin::proc::CONNECT_OPEN && call.client().data::<Opened>().0.get().is_none() {
            let error = Error::new(Domain::Rpc, Code::InternalError, "connection not open");
            return Box::pin(std::future::ready(Err(error)));
        }
        admin::dispatch_service(self.calls.clone(), call, number, payload)
    }
}

fn no_flags(function: &str, flags: u32) -> Result<()> {
    check_flags(Domain::Admin, function, flags, 0)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(Domain::Admin, Code::InvalidArg, text)
}

impl Calls {
    fn managed(&self) -> &[Managed] {
        self.servers.get().map_or(&[], Vec::as_slice)
    }

    fn server(&self, name: &str) -> Result<&Managed> {
        let missing = || Error::new(Domain::Rpc, Code::NoServer, format!("No server named '{name}'"));
        self.managed().iter().find(|managed| managed.server.name() == name).ok_or_else(missing)
    }

    fn log() -> Result<Control> {
        Control::get().ok_or_else(|| Error::new(Domain::Admin, Code::InternalError, "logging is not set up"))
    }
}

impl admin::Service<Call> for Calls {
    async fn connect_open(&self, call: &Call, args: admin::ConnectOpenArgs) -> Result<()> {
        no_flags("adminDispatchConnectOpen", args.flags)?;
        let _ = call.client().data::<Opened>().0.set(());
        Ok(())
    }

    async fn connect_close(&self, call: &Call) -> Result<()> {
        call.client().close_after_reply();
        Ok(())
    }

    async fn connect_get_lib_version(&self, _: &Call) -> Result<admin::ConnectGetLibVersionRet> {
        Ok(admin::ConnectGetLibVersionRet { lib_ver: LIBRARY_VERSION })
    }

    async fn connect_list_servers(
        &self,
        _: &Call,
        args: admin::ConnectListServersArgs,
    ) -> Result<admin::ConnectListServersRet> {
        no_flags("adminConnectListServers", args.flags)?;
        let names =
            self.managed().iter().map(|managed| admin::NonnullServer { name: managed.server.name().to_owned() });
        let servers: Vec<_> = names.collect();
        let count = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        Ok(admin::ConnectListServersRet {
            servers: if args.need_results == 0 { Vec::new() } else { servers },
            ret: count,
        })
    }

    async fn connect_lookup_server(
        &self,
        _: &Call,
        args: admin::ConnectLookupServerArgs,
    ) -> Result<admin::ConnectLookupServerRet> {
        no_flags("adminConnectLookupServer", args.flags)?;
        let name = self.server(&args.name)?.server.name().to_owned();
        Ok(admin::ConnectLookupServerRet { srv: admin::NonnullServer { name } })
    }

    async fn server_get_threadpool_parameters(
        &self,
        _: &Call,
        args: admin::ServerGetThreadpoolParametersArgs,
    ) -> Result<admin::ServerGetThreadpoolParametersRet> {
        no_flags("adminServerGetThreadPoolParameters", args.flags)?;
        Ok(admin::ServerGetThreadpoolParametersRet { params: self.server(&args.srv.name)?.pool.params() })
    }

    async fn server_set_threadpool_parameters(
        &self,
        _: &Call,
        args: admin::ServerSetThreadpoolParametersArgs,
    ) -> Result<()> {
        no_flags("adminServerSetThreadPoolParameters", args.flags)?;
        self.server(&args.srv.name)?.pool.set(&args.params)
    }

    async fn server_list_clients(
        &self,
        _: &Call,
        args: admin::ServerListClientsArgs,
    ) -> Result<admin::ServerListClientsRet> {
        no_flags("adminServerListClients", args.flags)?;
        let clients = self.server(&args.srv.name)?.clients();
        let count = u32::try_from(clients.len()).unwrap_or(u32::MAX);
        Ok(admin::ServerListClientsRet {
            clients: if args.need_results == 0 { Vec::new() } else { clients },
            ret: count,
        })
    }

    async fn server_lookup_client(
        &self,
        _: &Call,
        args: admin::ServerLookupClientArgs,
    ) -> Result<admin::ServerLookupClientRet> {
        no_flags("adminServerLookupClient", args.flags)?;
        let managed = self.server(&args.srv.name)?;
        Ok(admin::ServerLookupClientRet { clnt: managed.describe(&*managed.client(args.id)?) })
    }

    async fn client_get_info(&self, _: &Call, args: admin::ClientGetInfoArgs) -> Result<admin::ClientGetInfoRet> {
        no_flags("adminClientGetInfo", args.flags)?;
        let client = self.server(&args.clnt.srv.name)?.client(args.clnt.id)?;
        Ok(admin::ClientGetInfoRet { params: servers::client_info(&client) })
    }

    async fn client_close(&self, _: &Call, args: admin::ClientCloseArgs) -> Result<()> {
        no_flags("adminClientClose", args.flags)?;
        self.server(&args.clnt.srv.name)?.client(args.clnt.id)?.close();
        Ok(())
    }

    async fn server_get_client_limits(
        &self,
        _: &Call,
        args: admin::ServerGetClientLimitsArgs,
    ) -> Result<admin::ServerGetClientLimitsRet> {
        no_flags("adminServerGetClientLimits", args.flags)?;
        Ok(admin::ServerGetClientLimitsRet { params: self.server(&args.srv.name)?.limits() })
    }

    async fn server_set_client_limits(&self, _: &Call, args: admin::ServerSetClientLimitsArgs) -> Result<()> {
        no_flags("adminServerSetClientLimits", args.flags)?;
        self.server(&args.srv.name)?.set_limits(&args.params)
    }

    async fn connect_get_logging_outputs(
        &self,
        _: &Call,
        args: admin::ConnectGetLoggingOutputsArgs,
    ) -> Result<admin::ConnectGetLoggingOutputsRet> {
        no_flags("adminConnectGetLoggingOutputs", args.flags)?;
        let (outputs, count) = Calls::log()?.outputs();
        Ok(admin::ConnectGetLoggingOutputsRet { outputs, noutputs: u32::try_from(count).unwrap_or(u32::MAX) })
    }

    async fn connect_get_logging_filters(
        &self,
        _: &Call,
        args: admin::ConnectGetLoggingFiltersArgs,
    ) -> Result<admin::ConnectGetLoggingFiltersRet> {
        no_flags("adminConnectGetLoggingFilters", args.flags)?;
        let (filters, count) = Calls::log()?.filters();
        let filters = Some(filters).filter(|text| !text.is_empty());
        Ok(admin::ConnectGetLoggingFiltersRet { filters, nfilters: u32::try_from(count).unwrap_or(u32::MAX) })
    }

    async fn connect_set_logging_outputs(&self, _: &Call, args: admin::ConnectSetLoggingOutputsArgs) -> Result<()> {
        no_flags("adminConnectSetLoggingOutputs", args.flags)?;
        let text = args.outputs.unwrap_or_default();
        Calls::log()?.set_outputs(&text).map_err(|error| invalid("").with_message(error.to_string()))
    }

    async fn connect_set_logging_filters(&self, _: &Call, args: admin::ConnectSetLoggingFiltersArgs) -> Result<()> {
        no_flags("adminConnectSetLoggingFilters", args.flags)?;
        let text = args.filters.unwrap_or_default();
        Calls::log()?.set_filters(&text).map_err(|error| invalid("").with_message(error.to_string()))
    }

    async fn server_update_tls_files(&self, _: &Call, args: admin::ServerUpdateTlsFilesArgs) -> Result<()> {
        no_flags("adminServerUpdateTlsFiles", args.flags)?;
        self.server(&args.srv.name)?;
        Err(Error::new(Domain::Rpc, Code::InternalError, "no tls service found, unable to update tls files"))
    }

    async fn connect_set_daemon_timeout(&self, _: &Call, args: admin::ConnectSetDaemonTimeoutArgs) -> Result<()> {
        no_flags("adminConnectSetDaemonTimeout", args.flags)?;
        let timeout =
            Some(args.timeout).filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
        self.context.idle.set_timeout(timeout);
        Ok(())
    }

    async fn connect_daemon_shutdown(&self, _: &Call, args: admin::ConnectDaemonShutdownArgs) -> Result<()> {
        check_flags(Domain::Admin, "adminConnectDaemonShutdown", args.flags, SHUTDOWN_PRESERVE)?;
        if args.flags & SHUTDOWN_PRESERVE != 0 {
            // Saving guests on the way out is not built: refused rather than forgotten.
            return Err(Error::no_support("virAdmConnectDaemonShutdown"));
        }
        self.context.shutdown.begin();
        Ok(())
    }
}
