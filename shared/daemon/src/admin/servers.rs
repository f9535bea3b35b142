//! The servers of a daemon as an administrator sees them.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use error::{Code, Domain, Error, Result};
use protocol::admin::{NonnullClient, NonnullServer, TypedParam, TypedParamValue};
use protocol::constants as c;
use rpc::identity::field;
use rpc::{Client, Server};

use super::invalid;
use super::pool::{Pool, uint, uints};

/// One server with the figures kept for it.
pub(super) struct Managed {
    pub(super) server: Server,
    pub(super) pool: Pool,
}

impl Managed {
    pub(super) fn clients(&self) -> Vec<NonnullClient> {
        self.server.clients().iter().map(|client| self.describe(client)).collect()
    }

    /// How a client is named on the wire; all of them come over UNIX sockets so far.
    pub(super) fn describe(&self, client: &Client) -> NonnullClient {
        let since = client.connected().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        NonnullClient {
            srv: NonnullServer { name: self.server.name().to_owned() },
            id: client.id(),
            timestamp: i64::try_from(since).unwrap_or(i64::MAX),
            transport: c::VIR_CLIENT_TRANS_UNIX.cast_unsigned(),
        }
    }

    pub(super) fn client(&self, id: u64) -> Result<Arc<Client>> {
        let missing = || Error::new(Domain::Rpc, Code::NoClient, format!("No client with matching ID '{id}'"));
        self.server.clients().into_iter().find(|client| client.id() == id).ok_or_else(missing)
    }

    pub(super) fn limits(&self) -> Vec<TypedParam> {
        let (most, most_anonymous) = self.server.client_limits();
        let clients = self.server.clients();
        let anonymous = clients.iter().filter(|client| !client.is_authenticated()).count();
        let figure = |field: &str, value: usize| uint(field, u32::try_from(value).unwrap_or(u32::MAX));
        vec![
            figure(c::VIR_SERVER_CLIENTS_MAX, most),
            figure(c::VIR_SERVER_CLIENTS_CURRENT, clients.len()),
            figure(c::VIR_SERVER_CLIENTS_UNAUTH_MAX, most_anonymous),
            figure(c::VIR_SERVER_CLIENTS_UNAUTH_CURRENT, anonymous),
        ]
    }

    /// Changes one or both limits.
    pub(super) fn set_limits(&self, params: &[TypedParam]) -> Result<()> {
        let (mut most, mut anonymous) = self.server.client_limits();
        for (field, value) in uints(params)? {
            match field {
                c::VIR_SERVER_CLIENTS_MAX => most = value as usize,
                c::VIR_SERVER_CLIENTS_UNAUTH_MAX => anonymous = value as usize,
                other => return Err(invalid(format!("parameter '{other}' not supported"))),
            }
        }
        if anonymous > most {
            return Err(invalid(
                "The overall maximum number of clients must not be less than the number of clients waiting for authentication",
            ));
        }
        self.server.set_client_limits(most, anonymous);
        Ok(())
    }
}

/// What `virt-admin client-info` prints.
pub(super) fn client_info(client: &Client) -> Vec<TypedParam> {
    let peer = client.peer();
    let identity = client.identity();
    let text =
        |name: &str, value: &str| TypedParam { field: name.into(), value: TypedParamValue::String(value.into()) };
    let int = |name: &str, value: i32| TypedParam { field: name.into(), value: TypedParamValue::Int(value) };
    let mut params = vec![TypedParam {
        field: c::VIR_CLIENT_INFO_READONLY.into(),
        value: TypedParamValue::Boolean(client.read_only().into()),
    }];
    params.push(int(c::VIR_CLIENT_INFO_UNIX_USER_ID, peer.uid.cast_signed()));
    params.extend(
        host::account::user_name(peer.uid).ok().flatten().map(|name| text(c::VIR_CLIENT_INFO_UNIX_USER_NAME, &name)),
    );
    params.push(int(c::VIR_CLIENT_INFO_UNIX_GROUP_ID, peer.gid.cast_signed()));
    params.extend(
        host::account::group_name(peer.gid).ok().flatten().map(|name| text(c::VIR_CLIENT_INFO_UNIX_GROUP_NAME, &name)),
    );
    params.push(int(c::VIR_CLIENT_INFO_UNIX_PROCESS_ID, peer.pid));
    let named = [
        (field::SASL_USER_NAME, c::VIR_CLIENT_INFO_SASL_USER_NAME),
        (field::X509_DISTINGUISHED_NAME, c::VIR_CLIENT_INFO_X509_DISTINGUISHED_NAME),
        (field::SELINUX_CONTEXT, c::VIR_CLIENT_INFO_SELINUX_CONTEXT),
    ];
    params.extend(named.iter().filter_map(|(part, name)| Some(text(name, identity.text(part)?))));
    params
}
