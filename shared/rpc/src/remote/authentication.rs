//! The calls that are allowed before authentication.

use super::Shared;
use crate::call::Call;
use crate::client::{Auth, Client};
use error::{Code, Domain, Error, Result};
use protocol::remote::{self, AuthListRet, AuthPolkitRet, AuthSaslInitRet, AuthType};

/// The one kind of authentication that this client has to pass. A client that needs none counts as authenticated.
pub fn offered(client: &Client) -> AuthType {
    match client.auth() {
        _ if client.is_authenticated() => AuthType::None,
        Auth::None => AuthType::None,
        Auth::Sasl => AuthType::Sasl,
        // PolicyKit allows root everything; asking it would need a bus that may not run.
        Auth::Polkit if client.peer().uid == 0 => {
            client.set_authenticated();
            AuthType::None
        }
        Auth::Polkit => AuthType::Polkit,
    }
}

/// The answer to a login that this daemon cannot check, or that this socket does not ask for.
pub fn unavailable(client: &Client, wanted: Auth) -> Error {
    if client.auth() != wanted {
        return Error::new(Domain::Rpc, Code::AuthFailed, "authentication failed");
    }
    let mechanism = if wanted == Auth::Sasl { "SASL" } else { "polkit" };
    Error::new(Domain::Rpc, Code::AuthUnavailable, format!("{mechanism} authentication is not available"))
}

impl remote::Auth<Call> for Shared {
    async fn auth_list(&self, call: &Call) -> Result<AuthListRet> {
        Ok(AuthListRet { types: vec![offered(call.client())] })
    }

    async fn auth_polkit(&self, call: &Call) -> Result<AuthPolkitRet> {
        Err(unavailable(call.client(), Auth::Polkit))
    }

    async fn auth_sasl_init(&self, call: &Call) -> Result<AuthSaslInitRet> {
        Err(unavailable(call.client(), Auth::Sasl))
    }
}
