//! The first words on a connection to a sibling, and other calls of our own on it.

use crate::client::Client;
use crate::frame::{Frame, Header, MessageType, Packet, Status, decode_error};
use crate::peer::Peer;
use error::{Code, Domain, Error, Result};
use protocol::remote::{self, AuthListRet, AuthType, ConnectOpenArgs, ConnectSetIdentityArgs};
use std::sync::Arc;
use tokio::sync::oneshot;
use xdr::{Decode, Encode};

/// `VIR_CONNECT_RO`.
const OPEN_READ_ONLY: u32 = 1;

/// Authenticates, opens `uri` and hands over the client's identity.
pub(super) async fn greet(peer: &Arc<Peer>, uri: &str, client: &Client, read_only: bool) -> Result<()> {
    let auth: AuthListRet = call(peer, remote::proc::AUTH_LIST, &()).await?;
    if !matches!(auth.types[..], [] | [AuthType::None]) {
        return Err(Error::new(Domain::Rpc, Code::AuthFailed, format!("the daemon of {uri} asks for a login")));
    }
    let flags = if read_only { OPEN_READ_ONLY } else { 0 };
    let args = ConnectOpenArgs { name: Some(uri.to_owned()), flags };
    let () = call(peer, remote::proc::CONNECT_OPEN, &args).await?;
    // A read-only connection may not change its identity: the sibling sees ours, and both only look.
    if read_only { Ok(()) } else { set_identity(peer, client).await }
}

/// The header of a call of ours.
pub(super) fn call_header(program: u32, procedure: i32, serial: u32) -> Header {
    Header { program, version: 1, procedure, kind: MessageType::Call, serial, status: Status::Ok }
}

/// Sends a message and waits for its reply.
pub(super) async fn exchange(peer: &Arc<Peer>, packet: impl FnOnce(u32) -> Packet) -> Result<Frame> {
    let (reply_tx, reply_rx) = oneshot::channel();
    peer.call(packet, Box::new(move |reply| drop(reply_tx.send(reply))));
    reply_rx.await.map_err(|_| peer.gone())?
}

/// The error in a reply.
pub(super) fn failure_of(reply: &Frame) -> Option<Error> {
    (reply.header.status != Status::Ok).then(|| decode_error(reply.payload()).unwrap_or_else(|_| undecodable()))
}

async fn call<A: Encode, R: Decode>(peer: &Arc<Peer>, procedure: i32, args: &A) -> Result<R> {
    let mut body = Vec::new();
    args.encode(&mut body).map_err(|_| undecodable())?;
    let packet = |serial| Packet::with_body(call_header(remote::PROGRAM, procedure, serial), body.into());
    let reply = exchange(peer, packet).await?;
    match failure_of(&reply) {
        None => xdr::from_slice(reply.payload()).map_err(|_| undecodable()),
        Some(error) => Err(error),
    }
}

/// Hands over the client's identity.
pub(super) async fn set_identity(peer: &Arc<Peer>, client: &Client) -> Result<()> {
    let args = ConnectSetIdentityArgs { params: client.identity().params().to_vec(), flags: 0 };
    match call(peer, remote::proc::CONNECT_SET_IDENTITY, &args).await {
        Err(error) if error.code() == Some(Code::NoSupport) => Ok(()),
        result => result,
    }
}

fn undecodable() -> Error {
    Error::new(Domain::Rpc, Code::Rpc, "Unable to decode message payload")
}
